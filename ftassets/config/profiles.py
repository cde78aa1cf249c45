"""Which backend serves which capability. The only place that picks one."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.control.base import Control
from ftassets.backends.embedder.base import Embedder
from ftassets.backends.llm_judge.base import LlmJudge, PairwiseLlmJudge
from ftassets.backends.postgres.base import DatabaseTables
from ftassets.backends.run_mirror.base import RunMirror
from ftassets.backends.serving.base import Serving
from ftassets.backends.signer.base import Signer
from ftassets.backends.teacher.base import Teacher
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.trainer.base import Trainer
from ftassets.config.home import Home
from ftassets.config.loop import EmbedderSettings, LlmJudgeSettings, PairwiseJudgeSettings, TeacherSettings, Tracking
from ftassets.domain.personal_data.spans import Span
from ftassets.errors import ConfigurationError

TRAFFIC_URL = "FTASSETS_TRAFFIC_URL"
CONTROL_URL = "FTASSETS_CONTROL_URL"


def profile() -> str:
    """What FTASSETS_PROFILE names, `embedded` without it."""
    return os.environ.get("FTASSETS_PROFILE", "embedded")


def has_servers(profile: str) -> bool:
    """Whether state is also on servers that machines share: with every profile but `embedded`."""
    return profile != "embedded"


def dataset_kind() -> str:
    """What keeps the datasets, as Dagster names it on an asset."""
    return "lakefs" if has_servers(profile()) else "git"


def traffic_log(home: Home, patience: float | None = None) -> TrafficLog:
    """PostgreSQL in a profile with servers and FTASSETS_TRAFFIC_URL, else the home's file. Nothing is opened yet.

    `patience`: seconds that a write to the file waits for other processes, if not the usual ones.
    Raises ConfigurationError for an invalid URL, or one that this profile ignores.
    """
    if not (url := _database(TRAFFIC_URL, os.environ.get(TRAFFIC_URL))):
        from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog

        return SqliteTrafficLog(home.traffic_db, patience)
    from ftassets.backends.traffic_log.postgres import PostgresTrafficLog

    return PostgresTrafficLog(url)


def has_own_log() -> bool:
    """Whether the traffic log is a file of the home, which gateways of other homes do not see."""
    return not _database(TRAFFIC_URL, os.environ.get(TRAFFIC_URL))


def artifacts(home: Home) -> Artifacts:
    """The home's folder, with every profile."""
    from ftassets.backends.artifacts.folder import FolderArtifacts

    return FolderArtifacts(home.root)


def control(home: Home) -> Control:
    """PostgreSQL in a profile with servers and FTASSETS_CONTROL_URL, else the home's files. Nothing is opened yet.

    Raises ConfigurationError for an invalid URL, or one that this profile ignores.
    """
    if not (url := _database(CONTROL_URL, os.environ.get(CONTROL_URL))):
        return home_control(home)
    from ftassets.backends.control.postgres import PostgresControl

    return PostgresControl(url)


def home_control(home: Home) -> Control:
    """The files of a home, with every profile: those of a copy of one, of which no server knows."""
    from ftassets.backends.control.files import FilesControl

    return FilesControl(home.root)


def databases() -> list[DatabaseTables]:
    """What this profile has in PostgreSQL and not in the home; control first, for it names what others have.

    Raises ConfigurationError for an invalid URL, or one that this profile ignores.
    """
    found = []
    if url := _database(CONTROL_URL, os.environ.get(CONTROL_URL)):
        from ftassets.backends.control import postgres as of_control

        found.append(of_control.tables(url))
    if url := _database(TRAFFIC_URL, os.environ.get(TRAFFIC_URL)):
        from ftassets.backends.traffic_log import postgres as of_traffic

        found.append(of_traffic.tables(url))
    return found


def _database(variable: str, url: str | None) -> str | None:
    """The URL in a variable, if there is one. Raises ConfigurationError if this profile ignores it."""
    if url and not has_servers(profile()):
        raise ConfigurationError(f"{variable} is set, which FTASSETS_PROFILE=embedded does not use: set the profile, or unset the URL")
    return url


def _by_loop(usual: Trainer) -> Trainer:
    """A loop may name a Ray cluster, with every profile."""
    from ftassets.backends.trainer.by_loop import TrainerByLoop
    from ftassets.backends.trainer.ray import RayTrainer

    return TrainerByLoop(usual, RayTrainer())


def embedded(home: Home) -> dict[str, Callable[[], Any]]:
    """Everything on one machine, state below one folder; nothing is opened before it is used."""

    def dataset_store() -> Any:
        from ftassets.backends.dataset_store.git import GitDatasetStore

        return GitDatasetStore(home.datasets)

    def vector_store() -> Any:
        from ftassets.backends.vector_store.qdrant import QdrantVectorStore

        return QdrantVectorStore(home.vectors)

    def registry() -> Any:
        from ftassets.backends.registry.mlflow import MlflowRegistry

        return MlflowRegistry(home.mlflow_uri, home.mlflow_artifacts)

    def signer() -> Any:
        from ftassets.backends.signer.folder import FolderSigner

        return FolderSigner(home.keys)

    def trainer() -> Any:
        from ftassets.backends.trainer.subprocess import SubprocessTrainer

        return _by_loop(SubprocessTrainer())

    def evaluator() -> Any:
        from ftassets.backends.evaluator.subprocess import SubprocessEvaluator

        return SubprocessEvaluator()

    def notifier() -> Any:
        from ftassets.backends.notifier.console import ConsoleNotifier

        return ConsoleNotifier()

    return {
        "artifacts": lambda: artifacts(home),
        "control": lambda: control(home),
        "dataset_store": dataset_store,
        "vector_store": vector_store,
        "embedder_of": lambda: embedder,
        "traffic_log": lambda: traffic_log(home),
        "registry": registry,
        "signer": signer,
        "trainer": trainer,
        "evaluator": evaluator,
        "serving": lambda: serving(home),
        "notifier": notifier,
    }


# capability on a server -> environment variables without which it cannot be reached, in the order in which `production` takes them
_SERVERS: dict[str, tuple[str, ...]] = {
    "dataset_store": ("LAKEFS_ENDPOINT", "LAKEFS_ACCESS_KEY", "LAKEFS_SECRET_KEY", "LAKEFS_REPOSITORY"),
    "vector_store": ("QDRANT_URL",),
    "registry": ("MLFLOW_TRACKING_URI",),
}


def _values(capability: str) -> list[str]:
    return [os.environ[name] for name in _SERVERS[capability]]


def production(home: Home) -> dict[str, Callable[[], Any]]:
    """Datasets in lakeFS, vectors in a Qdrant server, runs and versions on an MLflow server, for machines that share them.

    The signing key comes from a secret manager by way of the environment. Traffic log and control are in PostgreSQL when their URLs
    are set. The rest is as in `embedded` and stays on this machine: there is no server yet for serving, the trainer's is in
    `kubernetes`.
    """

    def dataset_store() -> Any:
        from ftassets.backends.dataset_store.lakefs import LakeFsDatasetStore

        endpoint, access_key, secret_key, repository = _values("dataset_store")
        return LakeFsDatasetStore(endpoint, access_key, secret_key, repository, os.environ.get("LAKEFS_STORAGE_NAMESPACE") or None)

    def vector_store() -> Any:
        from ftassets.backends.vector_store.qdrant import QdrantServerVectorStore

        [url] = _values("vector_store")
        return QdrantServerVectorStore(url, os.environ.get("QDRANT_API_KEY") or None)

    def signer() -> Any:
        from ftassets.backends.signer.environment import EnvironmentSigner

        return EnvironmentSigner(home.keys)

    def registry() -> Any:
        from ftassets.backends.registry.mlflow import MlflowServerRegistry

        [uri] = _values("registry")
        return MlflowServerRegistry(uri, home.mlflow_artifacts)

    return {**embedded(home), "dataset_store": dataset_store, "vector_store": vector_store, "registry": registry, "signer": signer}


def kubernetes(home: Home) -> dict[str, Callable[[], Any]]:
    """`production`, with each training in a pod of its own; home and cache are on a volume the pod mounts at the same paths."""

    def trainer() -> Any:
        from ftassets.backends.trainer.kubernetes import KubernetesTrainer

        return _by_loop(KubernetesTrainer(Path(os.environ["FTASSETS_TRAINER_POD"]), home.root, home.cache))

    return {**production(home), "trainer": trainer}


PROFILES = {"embedded": embedded, "production": production, "kubernetes": kubernetes}

# profile -> capability on a server -> environment variables without which it cannot be reached
VARIABLES: dict[str, dict[str, tuple[str, ...]]] = {
    "embedded": {},
    "production": _SERVERS,
    "kubernetes": {**_SERVERS, "trainer": ("FTASSETS_TRAINER_POD",)},
}


def backends(home: Home) -> dict[str, Callable[[], Any]]:
    """Backend of each capability for the profile FTASSETS_PROFILE names. Raises ConfigurationError for an unknown one, or what it lacks."""
    return _chosen(home, VARIABLES.get(profile(), {}))


def backend(home: Home, capability: str) -> Any:
    """One backend of the profile, whatever the others lack. Raises ConfigurationError for an unknown profile, or what this one lacks."""
    return _chosen(home, [capability])[capability]()


def _chosen(home: Home, capabilities: Iterable[str]) -> dict[str, Callable[[], Any]]:
    chosen = profile()
    if chosen not in PROFILES:
        raise ConfigurationError(f"FTASSETS_PROFILE is {chosen!r}; there is: {', '.join(PROFILES)}")
    wanted = [name for capability in capabilities for name in VARIABLES[chosen].get(capability, ())]
    if missing := [name for name in wanted if not os.environ.get(name)]:
        raise ConfigurationError(
            f"FTASSETS_PROFILE={chosen} needs {', '.join(missing)} in the environment; deploy/README.md says what they are"
        )
    return PROFILES[chosen](home)


def verifier(home: Home) -> Signer:
    """Whoever only checks signatures: the public keys in the home are enough, in every profile."""
    from ftassets.backends.signer.folder import FolderSigner

    return FolderSigner(home.keys)


def embedder(settings: EmbedderSettings) -> Embedder:
    """The model a loop names to embed requests, the same in every profile. Nothing is loaded or asked yet."""
    if settings.type == "openai":
        from ftassets.backends.embedder.openai import OpenAIEmbedder

        return OpenAIEmbedder(settings)
    if settings.type == "sentence_transformers":
        from ftassets.backends.embedder.sentence_transformers import SentenceTransformersEmbedder

        return SentenceTransformersEmbedder(settings.model or "", settings.revision, settings.prefix)
    from ftassets.backends.embedder.minilm import MiniLmEmbedder

    return MiniLmEmbedder()


def serving(home: Home) -> Serving:
    """The gateway of the home, in every profile; nothing else has to be configured to reach it."""
    from ftassets.backends.serving.gateway import GatewayServing

    return GatewayServing(home)


def llm_judge(settings: LlmJudgeSettings) -> LlmJudge:
    """The model a loop names to score answers. Raises JudgeUnreachable if its key is missing or its URL is invalid."""
    from ftassets.backends.llm_judge.openai import OpenAIJudge

    return OpenAIJudge(settings)


def pairwise_llm_judge(settings: PairwiseJudgeSettings) -> PairwiseLlmJudge:
    """The model a loop names to compare two answers. Raises JudgeUnreachable if its key is missing or its URL is invalid."""
    from ftassets.backends.llm_judge.openai import OpenAIPairwiseJudge

    return OpenAIPairwiseJudge(settings)


def teacher(settings: TeacherSettings) -> Teacher:
    """The model a loop names to write examples. Raises TeacherError if its key is missing or its URL is invalid."""
    from ftassets.backends.teacher.openai import OpenAITeacher

    return OpenAITeacher(settings)


def run_mirror(settings: Tracking, home: Home) -> RunMirror | None:
    """A second place that shows a loop's trainings, None if it names none. Nothing is opened yet."""
    if settings.wandb is None:
        return None
    from ftassets.backends.run_mirror.wandb import WandbMirror

    return WandbMirror(settings.wandb, home.tracking)


def name_finder() -> Callable[[str], list[Span]]:
    """Finds people's names in a text. Raises PackageMissing if the extra `pii` is not installed."""
    from ftassets.backends.name_finder.presidio import name_finder as find_with_presidio

    return find_with_presidio()
