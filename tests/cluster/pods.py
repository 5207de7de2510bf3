"""Pods of runs, as a node that fails sees them."""

import time
from collections.abc import Iterator
from typing import Any

from tests.cluster.conftest import NAMESPACE

PATIENCE_S = 25 * 60  # a busy machine takes long to get so far


class Pods:
    """The pods of one step of one run."""

    def __init__(self, kube: Any, run: str, step: str) -> None:
        import kubernetes

        self.core, self.run, self.step = kubernetes.client.CoreV1Api(kube), run, step

    def end_when(self, said: str, *, crash: bool) -> None:
        """Delete the step's running pod once its log holds `said`.

        Args:
            said: What the log must hold.
            crash: As when a node dies: the pod is gone at once. Else as when it is drained: with a signal.
        """
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for pod in self._running():
                if said in self._log(pod):
                    self.core.delete_namespaced_pod(pod, NAMESPACE, grace_period_seconds=0 if crash else 5)
                    return
            time.sleep(1)
        raise AssertionError(f"no pod of {self.step} in run {self.run} said {said!r} in {PATIENCE_S} s")

    def say(self, text: str) -> bool:
        """Tell whether a pod of the step that runs has said this."""
        return any(text in self._log(pod) for pod in self._running())

    def _running(self) -> Iterator[str]:
        found: Any = self.core.list_namespaced_pod(NAMESPACE, label_selector=f"pipeline/runid={self.run}")
        for pod in found.items:
            images = [container.image for container in pod.spec.containers]
            if pod.status.phase == "Running" and any(f"/{self.step}@" in image for image in images):
                yield pod.metadata.name

    def _log(self, pod: str) -> str:
        import kubernetes

        try:
            return str(self.core.read_namespaced_pod_log(pod, NAMESPACE, container="main"))
        except kubernetes.client.ApiException:
            return ""  # it begins, or it has just gone
