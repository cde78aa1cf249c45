"""Every environment variable this package reads or sets, as data: for `ftassets doctor` and for the documentation."""

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["setting", "server", "secret", "library", "internal", "test"]


@dataclass(frozen=True)
class Variable:
    """One environment variable.

    `kind`: a `setting` and a `server`'s address or name are yours to set, a `secret` comes from a secret manager, a `library` reads the
    variable itself (we only give it a default), an `internal` one is set by ftassets for the processes it starts, a `test` one is for
    tests and measurements. `default` is empty for a variable without one. `read_by` names the modules or libraries.
    """

    name: str
    kind: Kind
    meaning: str
    default: str
    read_by: str


TABLE = (
    Variable(
        "FTASSETS_HOME", "setting", "Folder with all state of this machine.",
        ".ftassets in the working directory; .ftassets/demo for `ftassets demo`", "every process",
    ),
    Variable(
        "FTASSETS_LOOPS", "setting", "Folder of the loop files; the same as --loops.",
        "the Dagster project of the working directory, else the loops `ftassets up` last ran with",
        "ftassets.config.loops_folder, ftassets.definitions",
    ),
    Variable(
        "FTASSETS_PROFILE", "setting", "Which backends are used: embedded, production or kubernetes.", "embedded",
        "ftassets.config.profiles",
    ),
    Variable(
        "FTASSETS_CACHE", "setting", "Folder for base models unpacked from packages, shared by all homes of a user.", "~/.cache/ftassets",
        "ftassets.config.home",
    ),
    Variable(
        "FTASSETS_DEBUG", "setting", "Set to 1, every error of the command line is shown with its traceback.", "", "ftassets.exits"
    ),
    Variable(
        "FTASSETS_REPLICA", "setting", "Name of this gateway among several that share FTASSETS_CONTROL_URL; each needs its own.",
        "host name and port", "ftassets.gateway.server",
    ),
    Variable(
        "FTASSETS_HOSTS", "setting", "Names, with commas between, under which clients may ask a gateway that listens on loopback.",
        "addresses and localhost only", "ftassets.gateway.entrance",
    ),
    Variable(
        "FTASSETS_TLS_CERT", "setting", "Path of the gateway's certificate chain (PEM): its public listener then speaks https only.",
        "http", "ftassets.gateway",
    ),
    Variable("FTASSETS_TLS_KEY", "secret", "Path of that certificate's private key (PEM, without a password).", "", "ftassets.gateway"),
    Variable(
        "FTASSETS_LOG_FORMAT", "setting", "text, or json: one object a line, with a line for each request and no text of it.", "text",
        "ftassets.gateway.json_log",
    ),
    Variable(
        "FTASSETS_VLLM", "setting", "Path of vLLM's command, in an environment of its own, for loops with `serving.engine: vllm`.",
        "vllm on the PATH", "ftassets.gateway.model_hosts.vllm_serve",
    ),
    Variable(
        "FTASSETS_VLLM_LOOPS", "setting", "Names of loops, with commas between, whose released adapters vLLM may load by their digest.",
        "vLLM loads adapters without a check of ours", "ftassets.gateway.model_hosts.vllm_plugin",
    ),
    Variable(
        "FTASSETS_TRAINER_POD", "setting", "Path of the Pod manifest in which a training runs; needed by the profile kubernetes.", "",
        "ftassets.config.profiles",
    ),
    Variable(
        "FTASSETS_TRAFFIC_URL", "secret",
        "The traffic log's PostgreSQL database, postgresql://user:password@host:5432/db?sslmode=require; not with the profile embedded.",
        "the SQLite file traffic.db in the home", "ftassets.config.profiles",
    ),
    Variable(
        "FTASSETS_CONTROL_URL", "secret",
        "PostgreSQL database of what changes, for machines that share it: endpoints and their journal, releases, pauses, budgets, health; "
        "a URL as in FTASSETS_TRAFFIC_URL, which may be the same.", "files in the home", "ftassets.config.profiles",
    ),
    Variable(
        "FTASSETS_GATE_KEY", "secret", "Key that clients of `ftassets gate-service` send; 16 or more ASCII characters.", "",
        "ftassets.cli.commands.gate_service",
    ),
    Variable(
        "FTASSETS_SIGNING_KEY", "secret",
        "Private key that signs releases, P-256 or Ed25519, as PEM; with the profiles production and kubernetes.", "",
        "ftassets.backends.signer.environment",
    ),
    Variable(
        "FTASSETS_SIGNING_KEY_FILE", "secret", "Path of the file with that key, instead of the key itself.", "",
        "ftassets.backends.signer.environment",
    ),
    Variable("LAKEFS_ENDPOINT", "server", "URL of the lakeFS server; needed by production and kubernetes.", "", "ftassets.config.profiles"),
    Variable("LAKEFS_ACCESS_KEY", "secret", "Access key id for lakeFS.", "", "ftassets.config.profiles"),
    Variable("LAKEFS_SECRET_KEY", "secret", "Secret access key for lakeFS.", "", "ftassets.config.profiles"),
    Variable("LAKEFS_REPOSITORY", "server", "Repository with the datasets of all loops.", "", "ftassets.config.profiles"),
    Variable(
        "LAKEFS_STORAGE_NAMESPACE", "server", "Where a repository that does not exist yet keeps its objects, for example s3://bucket/path.",
        "the repository must exist", "ftassets.config.profiles",
    ),
    Variable("QDRANT_URL", "server", "URL of the Qdrant server; needed by production and kubernetes.", "", "ftassets.config.profiles"),
    Variable("QDRANT_API_KEY", "secret", "Key for Qdrant, if it asks for one.", "", "ftassets.config.profiles"),
    Variable(
        "MLFLOW_TRACKING_URI", "server", "URL of the MLflow server; needed by production and kubernetes.", "", "ftassets.config.profiles"
    ),
    Variable("MLFLOW_TRACKING_USERNAME", "secret", "User name for MLflow, if it asks for one.", "", "mlflow"),
    Variable("MLFLOW_TRACKING_PASSWORD", "secret", "Password for MLflow, if it asks for one.", "", "mlflow"),
    Variable("WANDB_API_KEY", "secret", "Key for Weights & Biases, if a loop names a project of it.", "", "wandb"),
    Variable("WANDB_BASE_URL", "server", "URL of a Weights & Biases server of your own.", "https://api.wandb.ai", "wandb"),
    Variable("WANDB_MODE", "library", "Set to offline, W&B's files stay in the home until `wandb sync`.", "online", "wandb"),
    Variable(
        "FTASSETS_DAGSTER_URL", "setting", "URL of Dagster's pages as people open them, for links to runs.",
        "the page that `ftassets up` serves on this machine", "ftassets.assets._shared.tracking",
    ),
    Variable(
        "DAGSTER_HOME", "setting", "Folder with your dagster.yaml.", "dagster in the home, with the dagster.yaml of the package",
        "ftassets.processes.dagster_home, Dagster",
    ),
    Variable(
        "KUBECONFIG", "setting", "File that names the cluster for trainings in pods, outside of a cluster.", "~/.kube/config",
        "ftassets.backends.trainer.kubernetes",
    ),
    Variable(
        "XDG_RUNTIME_DIR", "setting", "Folder for the supervisor's socket.", "the system's folder for temporary files",
        "ftassets.processes.supervisord_conf",
    ),
    Variable(
        "HF_HUB_OFFLINE", "library", "Set to 0, base models may be downloaded from the Hugging Face hub.", "1",
        "ftassets.workers.process, huggingface_hub",
    ),
    Variable("HF_HUB_DISABLE_TELEMETRY", "library", "No telemetry of the Hugging Face libraries.", "1", "huggingface_hub"),
    Variable("HF_HUB_DISABLE_PROGRESS_BARS", "library", "No progress bars between the lines of a log.", "1", "transformers and others"),
    Variable("HF_DATASETS_DISABLE_PROGRESS_BARS", "library", "No progress bars between the lines of a log.", "1", "datasets"),
    Variable("TOKENIZERS_PARALLELISM", "library", "No threads in the tokenizer, which a fork would break.", "false", "tokenizers"),
    Variable("TORCHDYNAMO_DISABLE", "library", "Nothing is compiled just in time in worker processes.", "1", "torch"),
    Variable("TQDM_DISABLE", "library", "No progress bars of libraries during `ftassets curate`.", "1", "tqdm"),
    Variable("MLFLOW_DISABLE_TELEMETRY", "library", "No telemetry of MLflow.", "true", "mlflow"),
    Variable("GLOO_SOCKET_IFNAME", "library", "Network interface over which training replicas talk to each other.", "lo", "torch"),
    Variable("RAY_USAGE_STATS_ENABLED", "library", "Ray sends no statistics to its makers.", "0", "ray"),
    Variable("OMP_NUM_THREADS", "library", "Threads of one worker process; processes share the work instead.", "1", "torch, numpy"),
    Variable("OMP_WAIT_POLICY", "library", "Threads that wait give their core back.", "PASSIVE", "torch"),
    Variable("FTASSETS_DAGSTER_STORAGE", "internal", "Folder with Dagster's storage below the home.", "", "dagster.yaml"),
    Variable("FTASSETS_PYTHON", "internal", "Interpreter of our processes.", "", "ftassets.processes.supervisord_conf"),
    Variable("FTASSETS_CODE_SERVER", "internal", "Command of the code server.", "", "ftassets.processes.supervisord_conf"),
    Variable(
        "FTASSETS_DIRECTORY", "internal", "Working directory of the code server and of runs.", "", "ftassets.processes.supervisord_conf"
    ),
    Variable("PYTHONSAFEPATH", "internal", "No module of the working directory takes the place of a library.", "1", "Python"),
    Variable("PYTHONPATH", "library", "Folders of modules for every process, without the working directory.", "", "Python"),
    Variable("FTASSETS_SUPERVISED", "internal", "Marks every process of `ftassets up` with its home.", "", "ftassets.processes.up"),
    Variable("FTASSETS_RUN_ID", "internal", "Marks every process of a Dagster run with the run's id.", "", "ftassets.automation.ownership"),
    Variable("HF_HOME", "internal", "Folder of the Hugging Face libraries of one evaluation.", "", "ftassets.workers.evaluation"),
    Variable("HF_HUB_CACHE", "internal", "Empty folder: a model server takes nothing from a hub cache.", "", "transformers serve"),
    Variable("HF_HUB_DISABLE_UPDATE_CHECK", "internal", "A model server asks for no newer release.", "1", "transformers serve"),
    Variable("MPLCONFIGDIR", "internal", "Folder of matplotlib of one evaluation.", "", "ftassets.workers.evaluation"),
    Variable("FTASSETS_TESTS_MADE", "internal", "Folder that the processes of one test run share.", "", "ftassets.testing.made_once"),
    Variable(
        "FTASSETS_BENCH_DATA", "test", "Folder with the public data sets of the measurements in bench/.", "../shared/data", "bench/"
    ),
    Variable(
        "LAKEFS_TEST_ENDPOINT", "test", "URL of a real lakeFS server on which the contract tests run too.", "", "ftassets.testing.doubles"
    ),
    Variable("LAKEFS_TEST_ACCESS_KEY", "test", "Access key id for that server.", "", "ftassets.testing.doubles"),
    Variable("LAKEFS_TEST_SECRET_KEY", "test", "Secret access key for that server.", "", "ftassets.testing.doubles"),
    Variable(
        "LAKEFS_TEST_NAMESPACE", "test", "Storage below which the tests make repositories, for example local://ftassets-tests.", "",
        "ftassets.testing.doubles",
    ),
    Variable("QDRANT_TEST_URL", "test", "URL of a real Qdrant server on which the contract tests run too.", "", "ftassets_tests/contract"),
    Variable("QDRANT_TEST_API_KEY", "test", "Key for that server, if it asks for one.", "", "ftassets_tests/contract"),
)  # fmt: skip

MEANINGS = {variable.name: variable.meaning for variable in TABLE}


def unread(names: Iterable[str] = os.environ) -> dict[str, str | None]:
    """Variables that begin with FTASSETS_ and that no part of the package reads, each with the name that was probably meant."""
    known = [variable.name for variable in TABLE if variable.name.startswith("FTASSETS_")]
    others = sorted(name for name in names if name.startswith("FTASSETS_") and name not in known)
    return {name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), None) for name in others}
