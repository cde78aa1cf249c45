"""An answer followed back to the rows it was learnt from, and rows, people, commits and bases followed forward."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ftassets.assets._shared.dataset_files import dataset_objects, golden_path, labels_path, to_parquet
from ftassets.backends.artifacts.reports import store_eval_report
from ftassets.backends.control.journal import Journal
from ftassets.backends.control.releases import Releases
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.signer.folder import FolderSigner
from ftassets.backends.traffic_log.base import Feedback
from ftassets.backends.traffic_log.day_files import DayFiles, Moved
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli.commands import impact as forward
from ftassets.cli.commands import why as backward
from ftassets.config.home import Home
from ftassets.config.profiles import artifacts, control
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.release.approval import Approval, approval_statement
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.errors import InvalidInput
from ftassets.testing.contracts.traffic_log import exchange
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.releases import attest, make_version
from ftassets.wording import utc
from ftassets_tests.cli.commands.test_compare import report

NOW = time.time() - 3600
LOOP = "support"
BASE = "b" * 64


@dataclass
class World:
    """Two versions: `old` has production's traffic since an hour, `new` went on from it on a dataset with a row of user `anna`."""

    home: Home
    log: SqliteTrafficLog
    store: GitDatasetStore
    old: str
    new: str
    commits: list[str]
    golden: str
    labels: str
    report: str

    @property
    def back(self) -> backward.Stores:
        days = [DayFiles(self.home.traffic_export)]
        signer = FolderSigner(self.home.keys)
        return backward.Stores(artifacts(self.home), control(self.home), signer, self.store, self.log, days, lambda loop: None)

    @property
    def ahead(self) -> forward.Stores:
        known = self.back
        return forward.Stores(known.artifacts, known.control, known.signer, known.datasets, known.log, known.days, [LOOP])

    def why(self, answer: str, **how: Any) -> dict[str, backward.Link]:
        return {link.name: link for link in backward.why(self.back, answer, **how)}

    def impact(self, subject: str) -> forward.Impact:
        return forward.impact(self.ahead, subject)


def example(name: str, text: str, **known: Any) -> Example:
    return Example(id=name, messages=question(text), completion="{}", source=known.pop("source", "seed"), **known)


def publish(store: GitDatasetStore, run: str, rows: list[Example], **metadata: str) -> str:
    files = dataset_objects(store, LOOP, {"train": rows, "validation": [], "test": []}, [], {}, {}, run)
    return store.publish(run, files, f"dataset of {run}", {"loop": LOOP, "content_hash": run, **metadata}).commit


@pytest.fixture
def world(tmp_path: Path) -> World:
    home = Home(tmp_path)
    log, store = SqliteTrafficLog(home.traffic_db, clock=lambda: NOW + 60), GitDatasetStore(home.datasets)
    golden = store.publish("golden", {golden_path(LOOP): to_parquet([example("g1", "open the window")])}, "golden", {"loop": LOOP}).commit
    seed = [example("r1", "turn on the kitchen light"), example("r2", "set a timer"), example("r3", "turn off the heating")]
    first = publish(store, "run-1", seed)
    old = make_version(home, "old", LOOP, dataset_commit=first, base_digest=BASE, made_at=NOW - 7200)
    row = example("r4", "add milk to the list", source="label", user="anna", request_id=f"{LOOP}-1")
    batch = {labels_path(LOOP, "b1"): to_parquet([row])}
    labels = store.publish("labels", batch, "labels", {"loop": LOOP, "batch": "b1"}).commit
    second = publish(store, "run-2", [*seed, row], labels_commit=labels)
    new = make_version(home, "new", LOOP, dataset_commit=second, base_digest=BASE, recipe={"start_from": old})
    made = report(old, BASE, {"base": 0, "production": 0, "candidate": 9}, first, golden)
    digest = store_eval_report(artifacts(home), made)
    store_eval_report(artifacts(home), report(new, old, {"base": 0, "production": 6, "candidate": 9}, second, golden))
    facts = {"report_digest": digest, "golden_commit": golden, "run_id": "run-7", "needs_approval": True, "compared_with": BASE}
    attest(home, LOOP, old, issued_at=int(NOW) - 600, **facts)
    yes = Approval(loop=LOOP, version=old, report_digest=digest, name="ben", role="lead", reason="good", issued_at=int(NOW) - 500)
    Releases(control(home), FolderSigner(home.keys)).write(LOOP, old, "approval", approval_statement(yes))
    journal = Journal(control(home))
    journal.record(LOOP, "start", "run:run-7", "first release", EndpointState(production=old, since=NOW - 400), NOW - 400)
    rows = [
        exchange(n, LOOP, user=user, at=NOW + n, version=old, prompt="turn on the light") for n, user in enumerate(("ben", "anna", "anna"))
    ]
    log.append(rows)
    return World(home, log, store, old, new, [first, second], golden, labels, digest)


def test_every_link_of_an_answer_is_named(world: World) -> None:
    world.log.add_feedback(Feedback(f"{LOOP}-0", NOW + 9, "down", '{"intent": "off"}'))
    found = world.why(f"{LOOP}-0", most=2)
    assert {name: link.state for name, link in found.items()} == dict.fromkeys(found, "known")
    assert list(found) == ["answer", "traffic", "version", "release", "gates", "approval", "report", "run", "dataset", "rows"]
    assert (found["answer"].facts["rating"], found["answer"].facts["corrected"]) == ("down", True)
    assert found["traffic"].sentence.startswith("100 % by start 1, ")
    assert found["version"].facts["digest"] == world.old
    assert found["gates"].facts["verdicts"] == {"exact_match_better": "PASS"}
    assert (found["approval"].facts["name"], found["report"].facts["digest"]) == ("ben", world.report)
    assert (found["run"].facts["run_id"], found["dataset"].facts["commit"]) == ("run-7", world.commits[0])
    assert found["dataset"].facts["train"] == 3
    rows = found["rows"].facts["rows"]
    assert [row["id"] for row in rows] == ["r1", "r3"]
    assert 0 < rows[1]["similarity"] < rows[0]["similarity"] < 1
    text = backward.as_text(found.values())
    assert f"{rows[0]['similarity']:.3f} seed r1" in text
    assert "kitchen" not in text, "texts are shown to who asks for them"
    assert "kitchen" in backward.as_text(world.why(f"{LOOP}-0", texts=True).values())
    json.dumps([link.facts for link in found.values()], allow_nan=False)


def test_an_embedder_orders_the_rows_that_share_words(world: World) -> None:
    stores, embedder = world.back, HashEmbedder()
    found = backward.why(replace(stores, embedder=lambda loop: embedder), f"{LOOP}-0")[-1]
    vectors = embedder.embed(["turn on the light", "turn on the kitchen light", "turn off the heating"])
    wanted = sorted((float(vectors[n] @ vectors[0]) for n in (1, 2)), reverse=True)
    assert [row["similarity"] for row in found.facts["rows"][:2]] == pytest.approx(wanted, abs=1e-4)
    assert found.facts["measure"] == embedder.id


def test_what_was_forgotten_is_called_erased(world: World) -> None:
    world.log.append([exchange(9, LOOP, user="ben", at=NOW + 9, version=world.new, prompt="add milk")])
    world.log.forget(user="anna")
    gone = world.why(f"{LOOP}-1")
    assert [(link.name, link.state) for link in gone.values()] == [("answer", "erased")]
    rows = world.why(f"{LOOP}-9", texts=True)["rows"].facts["rows"]
    assert (rows[0]["id"], rows[0]["erased"], "text" in rows[0]) == ("r4", True, False)
    assert "(erased)" in backward.as_text(world.why(f"{LOOP}-9").values())


def test_what_is_not_known_is_called_unknown(world: World) -> None:
    foreign = [exchange(n, LOOP, version=version, at=NOW) for n, version in ((20, "gpt-of-old"), (21, "c" * 64), (22, world.new))]
    world.log.append(foreign)
    for name in (20, 21):
        found = world.why(f"{LOOP}-{name}")
        states = {link.name: link.state for link in found.values()}
        assert states == {"answer": "known", "traffic": "unknown", "version": "unknown", "release": "unknown", "dataset": "unknown"}
    found = world.why(f"{LOOP}-22")
    assert (found["release"].state, found["dataset"].state) == ("unknown", "known"), "it was never released"
    (world.home.reports / LOOP / f"eval-{world.report}.json").unlink()
    assert world.why(f"{LOOP}-0")["report"].state == "unknown"
    world.home.datasets.rename(world.home.root / "gone")
    assert world.why(f"{LOOP}-0")["dataset"].state == "unknown"
    with pytest.raises(InvalidInput, match="there is no answer 'nothing'"):
        world.why("nothing")


def test_an_imported_version_whose_name_is_no_key_is_unknown(world: World) -> None:
    world.log.append([exchange(7, LOOP, user="ben", at=NOW + 7, version="ft:gpt-3.5:org", prompt="turn on the light")])
    found = world.why(f"{LOOP}-7")
    assert (found["answer"].state, found["version"].state, found["release"].state) == ("known", "unknown", "unknown")
    assert "'releases/support/ft:gpt-3.5:org" in found["release"].sentence


def test_the_statement_that_counted_then_is_named_and_a_revoked_key_is_said(world: World) -> None:
    signer = FolderSigner(world.home.keys)
    kept = world.home.releases / LOOP / f"{world.old}.dsse.json"
    before = kept.read_bytes()
    attest(world.home, LOOP, world.old, issued_at=int(NOW) + 999, verdict="FAIL")
    (kept.parent / "replaced").mkdir()
    (kept.parent / "replaced" / f"1-{world.old}.dsse.json").write_bytes(before)
    assert world.why(f"{LOOP}-0")["gates"].facts["verdicts"] == {"exact_match_better": "PASS"}
    signer.revoke(signer.key_id, "lost laptop")
    assert "revoked since: lost laptop" in world.why(f"{LOOP}-0")["release"].sentence
    kept.write_bytes(before.replace(b'"payload": "', b'"payload": "A'))
    (kept.parent / "replaced" / f"1-{world.old}.dsse.json").unlink()
    assert world.why(f"{LOOP}-0")["release"].state == "unknown", "an edited statement says nothing"


def test_an_answer_of_a_day_that_left_the_log_is_found(world: World) -> None:
    moved = exchange(30, LOOP, version=world.old, at=NOW)
    DayFiles(world.home.traffic_export).add(LOOP, int(NOW // 86400), [Moved(moved, ())])
    assert world.why(f"{LOOP}-30")["version"].state == "known"


@pytest.mark.parametrize(("subject", "kind", "requests"), [("anna", "user", 2), (f"{LOOP}-1", "request", 1), ("r4", "row", 0)])
def test_a_person_a_request_and_a_row_reach_the_same_version(world: World, subject: str, kind: str, requests: int) -> None:
    found = world.impact(subject)
    assert (found.kind, found.requests, found.unknown) == (kind, requests, [])
    assert [(each["commit"], each["part"], each["rows"]) for each in found.datasets] == [
        (world.commits[1], "train", 1),
        (world.labels, "labels/b1", 1),
    ]
    assert [(each["version"], each["how"]) for each in found.versions] == [(world.new, f"trained on {world.commits[1][:12]}")]
    assert [each["how"] for each in found.reports] == [f"evaluated {world.new[:12]}"]
    assert (found.releases, found.endpoints, found.answers) == ([], [], [])
    assert f"version   {world.new[:12]}" in forward.as_text(found)


def test_a_row_of_the_first_dataset_reaches_what_went_on_from_it_and_the_answers_served(world: World) -> None:
    found = world.impact("r1")
    assert {each["version"] for each in found.versions} == {world.old, world.new}
    assert [(each["version"], each["note"]) for each in found.releases] == [(world.old, "")]
    assert [(each["version"], each["until"]) for each in found.endpoints] == [(world.old, None)]
    assert found.answers == [{"loop": LOOP, "version": world.old, "answers": 3}]
    Journal(control(world.home)).record(LOOP, "rollback", "ben", "bad", EndpointState(production=world.new), NOW + 50)
    spans = world.impact("r1").endpoints
    assert [(each["version"], each["until"]) for each in spans] == [(world.old, NOW + 50), (world.new, None)]
    text = forward.as_text(found)
    assert "answers   3 of support" in text
    assert "had traffic from" in text


def test_answers_that_cannot_be_counted_in_time_are_unknown_until_they_are(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "COUNT_SECONDS", 0.0)
    found = world.impact("r1")
    assert found.answers == []
    assert [each.startswith(f"answers of {LOOP} that came after {utc(NOW)[:13]}") for each in found.unknown] == [True]
    monkeypatch.undo()
    found = world.impact("r1")
    assert (found.answers, found.unknown) == ([{"loop": LOOP, "version": world.old, "answers": 3}], [])


def test_training_that_went_on_learnt_it_too(world: World) -> None:
    child = make_version(world.home, "child", LOOP, dataset_commit="f" * 40, recipe={"start_from": world.new})
    aligned = make_version(world.home, "aligned", LOOP, recipe={"align": {"preferences_commit": world.labels}})
    found = {each["version"]: each["how"] for each in world.impact("r4").versions}
    assert found.keys() == {world.new, child, aligned}
    assert found[child] == f"training continued from {world.new[:12]}"


def test_a_golden_row_reaches_the_reports_alone(world: World) -> None:
    found = world.impact("g1")
    assert [(each["commit"], each["part"]) for each in found.datasets] == [(world.golden, "golden")]
    assert (found.versions, len(found.reports)) == ([], 2)
    assert all(f"on rows of {world.golden[:12]}" in each["how"] for each in found.reports)


def test_commits_and_bases_are_followed(world: World) -> None:
    assert [each["version"] for each in world.impact(world.commits[1]).versions] == [world.new]
    found = world.impact(world.labels)
    assert ([each["part"] for each in found.datasets], found.kind) == (["labels", "made with these labels"], "commit")
    assert [each["version"] for each in found.versions] == [world.new]
    for base in ("tiny", BASE, BASE[:8]):
        assert {each["version"] for each in world.impact(base).versions} == {world.old, world.new}
    assert world.impact(world.new[:12]).versions == [{"version": world.new, "loop": LOOP, "how": "itself"}]


def test_who_was_forgotten_is_followed_by_what_history_keeps(world: World) -> None:
    world.log.forget(user="anna")
    found = world.impact("anna")
    assert (found.kind, found.requests, found.forgotten) == ("user", 0, 2)
    assert [each["version"] for each in found.versions] == [world.new]
    with pytest.raises(InvalidInput, match="nothing here is called 'nobody'"):
        world.impact("nobody")


def test_a_version_that_cannot_be_read_may_be_among_them(world: World) -> None:
    (world.home.versions / world.old / "manifest.json").write_text("{}")
    assert "may be among them" in world.impact("r4").unknown[0]
