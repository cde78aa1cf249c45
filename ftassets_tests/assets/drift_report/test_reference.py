"""The reference of a version whose training data is not known."""

from pathlib import Path

from ftassets.assets.drift_report.reference import made, stored, wanted_answers
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.config.loop import Drift
from ftassets.domain.traffic.exchange import Exchange
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.releases import loop_config, make_version

POLICY = Drift(sample=20, min_sample=10, reference_requests=5, reference_windows=3)


def exchange(number: int, version: str, status: int = 200) -> Exchange:
    text = f"dim lamp {number} in room {number % 7}"
    return Exchange(
        id=f"r{number}-{status}", loop="support", version=version, user="", prompt=text, messages="[]", answer="{}", status=status,
        at=1000.0 + number, latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=100.0,
    )  # fmt: skip


def test_it_waits_for_enough_answers_and_is_made_of_them_alone(tmp_path: Path) -> None:
    home, artifacts, embedder = Home(tmp_path), FolderArtifacts(tmp_path), HashEmbedder()
    store, log = GitDatasetStore(home.datasets), SqliteTrafficLog(home.traffic_db)
    loop = loop_config("support")
    loop = loop.model_copy(update={"retrain_on": loop.retrain_on.model_copy(update={"drift": POLICY})})
    version = make_version(home, "adopted")
    log.append([exchange(n, version) for n in range(29)] + [exchange(n, version, 500) for n in range(40)] + [exchange(99, "f" * 64)])
    assert made("run-1", loop, version, artifacts, log, store, embedder, 0.01) is None, "5 answers widen a reference, they make none"
    log.append([exchange(n, version) for n in range(29, 40)])
    known = made("run-2", loop, version, artifacts, log, store, embedder, 0.01)
    assert known is not None
    assert known.reference.count == 30
    assert 1029.0 < known.until < 1029.1, "later answers are evidence, not reference"
    again = stored(store, "support", version, embedder)
    assert again is not None
    assert (again.reference.count, again.commit) == (30, known.commit)


def test_answers_only_widen_a_reference_of_training_queries() -> None:
    assert (wanted_answers(POLICY, trained=True), wanted_answers(POLICY, trained=False)) == (5, 30)
    assert wanted_answers(POLICY.model_copy(update={"reference_requests": 50}), trained=False) == 50
