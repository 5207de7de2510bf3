"""The cluster's MLflow server over REST, as this machine reaches it."""

import json
import urllib.request
from typing import Any


class MlflowServer:
    """Calls of one server; what it refuses is an HTTPError."""

    def __init__(self, kube: Any, namespace: str) -> None:
        import kubernetes

        found = kubernetes.client.CoreV1Api(kube).read_namespaced_service("mlflow", namespace)
        self.url = f"http://{found.spec.cluster_ip}:{found.spec.ports[0].port}"

    def __call__(self, path: str, **body: Any) -> dict[str, Any]:
        """Call the API of MLflow: with values a POST, else a GET."""
        answer: dict[str, Any] = json.loads(self._read(f"mlflow/{path}", body))
        return answer

    def champion(self, model: str) -> dict[str, Any]:
        """Return the version that the alias champion means."""
        found: dict[str, Any] = self(f"registered-models/alias?name={model}&alias=champion")
        version: dict[str, Any] = found["model_version"]
        return version

    def artifact(self, source: str, name: str) -> Any:
        """Return a JSON file of a registered version's folder (`mlflow-artifacts:/…`)."""
        folder = source.removeprefix("mlflow-artifacts:/")
        return json.loads(self._read(f"mlflow-artifacts/artifacts/{folder}/{name}", {}))

    def _read(self, path: str, body: dict[str, Any]) -> bytes:
        data = json.dumps(body).encode() if body else None
        asked = urllib.request.Request(
            f"{self.url}/api/2.0/{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return bytes(answer.read())
