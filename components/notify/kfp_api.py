"""The few calls of the KFP API that tell how a run went, with limits on time; standard library only."""

import base64
import binascii
import json
import logging
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

HOST_VARIABLE = "KFP_HOST"
IN_CLUSTER = "http://ml-pipeline.kubeflow:8888"
TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
TOKEN = "/var/run/secrets/kubeflow/pipelines/token"
REQUEST_S = 5.0
ALL_REQUESTS_S = 30.0


class KfpApi:
    """A KFP API as a step in a pod reaches it; who reaches it another way overrides `get`."""

    def __init__(self, host: str = "", token_file: str = "") -> None:
        self.host = (host or os.environ.get(HOST_VARIABLE) or IN_CLUSTER).rstrip("/")
        if "://" not in self.host:
            self.host = f"http://{self.host}"
        self._token = Path(token_file or os.environ.get(TOKEN_VARIABLE) or TOKEN)
        self._until = time.monotonic() + ALL_REQUESTS_S

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run of API v2.

        Raises:
            StepError: It cannot be had.
        """
        return self.get(f"/apis/v2beta1/runs/{quote(run_id, safe='')}")

    def workflow(self, run_id: str) -> dict[str, Any]:
        """Return the Argo workflow that KFP made of the run; empty when it cannot be had."""
        try:
            found = self.get(f"/apis/v1beta1/runs/{quote(run_id, safe='')}")
            workflow = json.loads(found["pipeline_runtime"]["workflow_manifest"])
        except (StepError, ValueError, KeyError, TypeError) as error:
            log.warning("the workflow of the run cannot be had: %s", error)
            return {}
        return workflow if isinstance(workflow, dict) else {}

    def pipeline_version(self, pipeline_id: str, version_id: str) -> dict[str, Any]:
        """Return a version of a pipeline, its name and its specification; empty when it cannot be had."""
        try:
            return self.get(
                f"/apis/v2beta1/pipelines/{quote(pipeline_id, safe='')}/versions/{quote(version_id, safe='')}"
            )
        except StepError as error:
            log.debug("no version %s of pipeline %s: %s", version_id, pipeline_id, error)
            return {}

    def log_of(self, run_id: str, node: str) -> str:
        """Return the log of a node that has ended, also when its pod is gone; empty when there is none."""
        path = f"/apis/v2beta1/runs/{quote(run_id, safe='')}/nodes/{quote(node, safe='')}/artifacts/main-logs:read"
        try:
            return base64.b64decode(self.get(path).get("data") or "").decode("utf-8", errors="replace")
        except (StepError, binascii.Error) as error:
            log.debug("no log of node %s: %s", node, error)
            return ""

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object that the API answers to a GET.

        Raises:
            StepError: There is none.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise StepError(f"the KFP API at {self.host} was too slow: {ALL_REQUESTS_S:.0f} s are over")
        request = urllib.request.Request(self.host + path, headers={"Accept": "application/json"})
        if self._token.is_file():
            request.add_header("Authorization", f"Bearer {self._token.read_text().strip()}")
        try:
            with urllib.request.urlopen(request, timeout=min(REQUEST_S, left)) as answer:
                content = json.load(answer)
        except urllib.error.HTTPError as error:
            raise StepError(f"the KFP API at {self.host} answers {error.code} to {path}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise StepError(
                f"the KFP API at {self.host} cannot be read ({reason}): set {HOST_VARIABLE}"
            ) from error
        if not isinstance(content, dict):
            raise StepError(f"the KFP API at {self.host} answers no object to {path}")
        return content
