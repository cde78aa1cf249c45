"""Examples for rare classes, asked of a teacher class by class."""

from collections.abc import Sequence

from ftassets.backends.teacher.base import Teacher, TeacherError, TeacherRefused
from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset import synthesis
from ftassets.domain.dataset.curation.text import normalised
from ftassets.domain.dataset.rows import Example, Quarantined


def synthesise(teacher: Teacher, rows: Sequence[Example], loop: LoopConfig) -> tuple[list[Example], list[Quarantined]]:
    """Rows a teacher writes for the rare classes of curated rows, and everything of its replies that is not usable.

    A class it refuses is quarantined. When it cannot be asked any more, what it has written is kept and the classes left are
    quarantined. Raises TeacherError when it wrote nothing at all for that reason, ValueError when the loop names no teacher.
    """
    known = {normalised(row.prompt) for row in rows}
    written: list[Example] = []
    bad: list[Quarantined] = []
    asked = synthesis.requests(rows, loop)
    for number, request in enumerate(asked):
        try:
            reply = teacher.ask(synthesis.prompt_for(request, loop))
        except TeacherRefused as error:
            bad.append(Quarantined(f"teacher:{request.label}", str(error), ""))
            continue
        except TeacherError as error:
            if not written:
                raise
            bad += [Quarantined(f"teacher:{left.label}", f"not asked: {error}", "") for left in asked[number:]]
            break
        usable, rest = synthesis.parse_reply(reply, request, loop, known)
        known |= {normalised(row.prompt) for row in usable}
        written += usable
        bad += rest
    return written, bad
