"""`docs/environment.md`: every environment variable that the package reads or sets."""
# ruff: noqa: E501 - a table

from dataclasses import dataclass

from ftassets.reporting.tables import markdown_table


@dataclass(frozen=True)
class Variable:
    """One environment variable: who reads it, what it means, and what applies when it is not set."""

    name: str
    meaning: str
    default: str
    readers: str


VARIABLES: dict[str, tuple[Variable, ...]] = {
    "Where state is": (
        Variable(
            "FTASSETS_HOME",
            "Folder of all state of a machine.",
            "`.ftassets` in the working directory; `.ftassets/demo` for the demo",
            "every process",
        ),
        Variable(
            "FTASSETS_CACHE",
            "Folder of what can be made again from a package, shared by the homes of a user.",
            "`~/.cache/ftassets`",
            "runs, gateway",
        ),
        Variable("FTASSETS_PROFILE", "Which backends are used: `embedded`, `production` or `kubernetes`.", "`embedded`", "every process"),
        Variable("DAGSTER_HOME", "Folder of `dagster.yaml`.", "the folder above the package", "command line, Dagster"),
        Variable(
            "FTASSETS_DAGSTER_STORAGE",
            "Folder of Dagster's storage, which `dagster.yaml` names.",
            "set to `dagster` in the home",
            "Dagster",
        ),
    ),
    "Servers of the profiles production and kubernetes": (
        Variable("LAKEFS_ENDPOINT", "URL of lakeFS.", "required", "runs, command line"),
        Variable("LAKEFS_ACCESS_KEY", "Access key of lakeFS.", "required", "runs, command line"),
        Variable("LAKEFS_SECRET_KEY", "Secret key of lakeFS.", "required", "runs, command line"),
        Variable("LAKEFS_REPOSITORY", "Name of the repository. It is made at first use.", "required", "runs, command line"),
        Variable(
            "LAKEFS_STORAGE_NAMESPACE",
            "Where lakeFS keeps a repository that is made, such as `s3://bucket/path`.",
            "needed only to make one",
            "runs, command line",
        ),
        Variable("QDRANT_URL", "URL of Qdrant; without a port 6333.", "required", "runs, command line"),
        Variable("QDRANT_API_KEY", "API key of Qdrant.", "none", "runs, command line"),
        Variable("MLFLOW_TRACKING_URI", "URL of the MLflow server.", "required", "runs, command line"),
        Variable(
            "FTASSETS_TRAFFIC_URL", "`postgresql://` URL of the traffic log.", "SQLite file in the home", "gateway, runs, command line"
        ),
        Variable("FTASSETS_TRAINER_POD", "Manifest of the pod a training runs in, for the profile kubernetes.", "required there", "runs"),
        Variable("KUBECONFIG", "Kubernetes configuration, outside of a cluster.", "`~/.kube/config`", "runs"),
    ),
    "Keys": (
        Variable(
            "FTASSETS_SIGNING_KEY", "Ed25519 private key that signs releases, as PEM.", "none: nothing is released", "runs, command line"
        ),
        Variable("FTASSETS_SIGNING_KEY_FILE", "File with that key, where FTASSETS_SIGNING_KEY is not set.", "none", "runs, command line"),
        Variable("FTASSETS_GATE_KEY", "Key that clients of the gate service send; 16 characters or more.", "required", "gate service"),
    ),
    "Libraries": (
        Variable(
            "HF_HUB_OFFLINE",
            "`0` lets training, evaluation and adoption download from the Hugging Face hub.",
            "`1`",
            "workers, ftassets adopt",
        ),
        Variable(
            "XDG_RUNTIME_DIR",
            "Where supervisord's socket is put when the home's path is too long for one.",
            "the system's temporary folder",
            "ftassets up",
        ),
        Variable("MLFLOW_DISABLE_TELEMETRY", "MLflow's own.", "set to `true`", "MLflow"),
        Variable("TQDM_DISABLE", "Progress bars of libraries.", "set to `1` by ftassets curate", "tqdm"),
        Variable("GLOO_SOCKET_IFNAME", "Network interface of the replicas of a training.", "set to `lo`", "torch"),
    ),
    "Set for child processes, not by you": (
        Variable("FTASSETS_SUPERVISED", "Home of the ftassets up a process belongs to, so that strays can be found.", "", "ftassets up"),
        Variable("FTASSETS_RUN_ID", "Dagster run a process works for, so that what it left can be ended.", "", "reconcile sensor"),
    ),
    "Tests and benchmarks": (
        Variable("FTASSETS_TESTS_MADE", "Folder that the processes of a test run share.", "set by pytest", "tests"),
        Variable("FTASSETS_BENCH_DATA", "Folder with the data of the benchmarks.", "see `bench/README.md`", "bench"),
        Variable("LAKEFS_TEST_ENDPOINT", "Runs the contract suite of the dataset store on this lakeFS.", "a double", "tests"),
        Variable("LAKEFS_TEST_ACCESS_KEY", "Its access key.", "", "tests"),
        Variable("LAKEFS_TEST_SECRET_KEY", "Its secret key.", "", "tests"),
        Variable("LAKEFS_TEST_NAMESPACE", "Where it keeps the repositories of the tests.", "", "tests"),
        Variable("QDRANT_TEST_URL", "Runs the contract suite of the vector store on this Qdrant.", "the local client", "tests"),
        Variable("QDRANT_TEST_API_KEY", "Its API key.", "none", "tests"),
    ),
}
_INTRO = """\
`make docs` writes this page: do not edit it. A loop file may name further variables: for keys and URLs that are secrets
(fields that end in `_env`), and with `{{ env.NAME }}` for any value. Whichever process uses the value needs the variable:
the gateway for the key of an adopted endpoint, Dagster's processes for teachers, judges and alerts. MLflow's own variables,
such as `MLFLOW_TRACKING_USERNAME`, apply as its documentation says.
"""


def page() -> str:
    """The page."""
    parts = ["# Environment variables\n", _INTRO]
    for title, variables in VARIABLES.items():
        rows = [(f"`{each.name}`", each.meaning, each.default or "none", each.readers) for each in variables]
        parts += [f"## {title}\n", markdown_table(["variable", "meaning", "when it is not set", "read by"], rows), ""]
    return "\n".join(parts).rstrip() + "\n"
