"""Up to which age of an answer feedback on it counts: the same for all answers, so that a day is compared with days that had as much time.

People complain at once and praise later, or the other way round. Days of different age then differ by what has not come yet.
"""

from collections.abc import Collection

from ftassets.domain.traffic.feedback import FeedbackAge

DAY = 24  # hours
AGES = (1, 6, *(days * DAY for days in (1, 2, 3, 5, 7, 10, 14)))  # that may be chosen, in hours
YOUNG = 3 * DAY  # hours, while no answer with feedback is as old as the largest of them
MEASURED = 28  # days of answers, all of them older than the largest age, from which it is chosen
COUNTED = 0.8  # share of the feedback that has to count
KEPT = (0.7, 0.9)  # an age is kept while it counts the first, and the next smaller one less than the second: others are read anew
LEAST = 20  # pieces of a kind of feedback that say how late it comes


def feedback_age(came: Collection[FeedbackAge], known: float | None = None) -> float:
    """Seconds after an answer up to which feedback on it counts: the smallest of `AGES` that has most of each kind of feedback.

    `came` is the feedback on answers that are older than the largest age, `known` the age in use. Each kind counts by itself: most
    feedback may be complaints, and praise a week late.
    """
    smaller = dict(zip(AGES, (None, *AGES), strict=False))
    kinds = [kind for kind in ("up", "down", "corrected") if _of(came, kind, AGES[-1]) >= LEAST]
    now = None if known is None else round(known / 3600)
    if not kinds:
        return 3600.0 * (now or YOUNG)

    def share(hours: int | None) -> float:
        return 0.0 if hours is None else min(_of(came, kind, hours) / _of(came, kind, AGES[-1]) for kind in kinds)

    if now in smaller and share(now) >= KEPT[0] and share(smaller[now]) < KEPT[1]:
        return 3600.0 * now
    return 3600.0 * next(hours for hours in AGES if share(hours) >= COUNTED)


def _of(came: Collection[FeedbackAge], kind: str, hours: int) -> int:
    """How much feedback of a kind came before the answer was so old."""
    return sum(getattr(each, kind) for each in came if each.hours < hours)
