"""Where the state of a machine lives: one folder, named by FTASSETS_HOME."""

import os
from dataclasses import dataclass
from pathlib import Path

from ftassets.durable import secret
from ftassets.errors import ConfigurationError

USER_SALT = "user.salt"


@dataclass(frozen=True)
class Home:
    """Paths of every piece of state below one folder.

    Versions, reports, answers, releases and pauses are read and written through the capabilities `artifacts` and `control` alone.
    """

    root: Path

    @classmethod
    def from_env(cls) -> "Home":
        """The folder FTASSETS_HOME names, else `.ftassets` in the working directory. Raises ConfigurationError for a file."""
        root = Path(os.environ.get("FTASSETS_HOME", ".ftassets")).resolve()
        if os.path.exists(root) and not os.path.isdir(root):
            raise ConfigurationError(f"the home {root} is not a folder: set FTASSETS_HOME to a folder")
        return cls(root)

    @property
    def datasets(self) -> Path:
        return self.root / "datasets.git"

    @property
    def vectors(self) -> Path:
        return self.root / "vectors"

    @property
    def mlflow_uri(self) -> str:
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlartifacts"

    @property
    def tracking(self) -> Path:
        """Files of what shows trainings besides MLflow."""
        return self.root / "tracking"

    @property
    def traffic_db(self) -> Path:
        return self.root / "traffic.db"

    @property
    def traffic_export(self) -> Path:
        """Days of traffic that left the log, unless the loop file names another folder."""
        return self.root / "traffic_export"

    @property
    def versions(self) -> Path:
        return self.root / "versions"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def answers(self) -> Path:
        return self.root / "answers"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    def user_secret(self) -> str:
        """Secret of the hashes by which the traffic log knows users; made at the first call."""
        return secret(self.keys / USER_SALT)

    def has_user_secret(self) -> bool:
        """Whether that secret was made already: without it no store has a hash of a user."""
        return (self.keys / USER_SALT).exists()

    @property
    def gateway(self) -> Path:
        return self.root / "gateway"

    @property
    def pauses(self) -> Path:
        return self.root / "pauses"

    @property
    def work(self) -> Path:
        """Scratch folders of runs and commands."""
        return self.root / "work"

    @property
    def checkpoints(self) -> Path:
        """A folder a loop, of the training it has not finished on this machine."""
        return self.root / "training"

    @property
    def sweeps(self) -> Path:
        """A folder a loop, of the recipes that were tried on its newest dataset."""
        return self.root / "sweeps"

    @property
    def processes(self) -> Path:
        return self.root / "processes"

    @property
    def loops_file(self) -> Path:
        return self.root / "loops.json"

    @property
    def dagster_storage(self) -> Path:
        return self.root / "dagster"

    @property
    def cache(self) -> Path:
        """What can be made again from a package, shared by all homes of this user: FTASSETS_CACHE or ~/.cache/ftassets."""
        return Path(os.environ.get("FTASSETS_CACHE", "~/.cache/ftassets")).expanduser()
