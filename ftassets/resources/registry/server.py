"""Runs and versions on an MLflow server, which also keeps the artefacts.

For a server that asks who is there, MLflow's client reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.
"""

from pathlib import Path

import requests

from ftassets.resources.registry.embedded import MlflowRegistry
from ftassets.resources.server_url import server_url

CHECK_SECONDS = 5.0


class MlflowServerRegistry(MlflowRegistry):
    """As on one machine, but for the place of the artefacts; `locks` is a local folder where this machine's processes take turns."""

    def __init__(self, tracking_uri: str, locks: Path) -> None:
        super().__init__(server_url("MLFLOW_TRACKING_URI", tracking_uri), locks)

    def check(self) -> str:
        """What answers, in words. Raises ConnectionError."""
        try:
            answer = requests.get(f"{self.tracking_uri}/health", timeout=CHECK_SECONDS)
        except requests.RequestException as error:
            raise ConnectionError(
                f"no answer from MLflow at {self.tracking_uri}: see that it runs and MLFLOW_TRACKING_URI is right"
            ) from error
        if answer.text != "OK":
            raise ConnectionError(f"{self.tracking_uri}/health answers {answer.status_code}: is MLFLOW_TRACKING_URI an MLflow server?")
        return f"MLflow at {self.tracking_uri}"

    def experiment(self, loop: str) -> str:
        """Id of the loop's experiment, created where the server keeps artefacts when it is new."""
        client = self._client()
        known = client.get_experiment_by_name(loop)
        return known.experiment_id if known is not None else client.create_experiment(loop)
