"""The few calls of the Kubernetes API that the target needs, over objects as plain data; errors as one sentence.

Paths are known, so nothing is discovered: fewer requests, and fewer rights. What may be asked again after a
disturbance (all of these calls) is asked again.
"""

import contextlib
import json
import time
from collections.abc import Mapping
from typing import Any

from penstock.components.serving_targets.kubernetes_names import MANAGER
from penstock.components.step_io.errors import StepError

PATHS = {
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
    "Gateway": "/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/gateways",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes",
}
ANSWERS_WITHIN_S = 30
PAUSES_S = (0.5, 2.0, 5.0)  # before each further attempt
CONFLICT, MISSING = 409, 404
DISTURBED = (429, 500, 502, 503, 504)
QUOTA = "exceeded quota"  # Kubernetes' own words, with a 403 as for missing rights

Json = dict[str, Any]


class WriteConflict(Exception):
    """The object was changed since it was read."""


class Cluster:
    """One namespace of a cluster."""

    def __init__(self, namespace: str, kubeconfig: str = "", role: str = "penstock-deployer") -> None:
        """Take the cluster of `kubeconfig`; empty: of the pod that this runs in, else of KUBECONFIG.

        Args:
            namespace: Its name.
            kubeconfig: A file.
            role: The Role that the manifests give to who does what is done here; for the sentence where it is missing.

        Raises:
            StepError: There is none.
        """
        import kubernetes
        import urllib3
        from kubernetes.dynamic import DynamicClient

        configuration = kubernetes.client.Configuration()
        configuration.retries = urllib3.Retry(total=0)  # ours, which know what may be asked again
        try:
            _load(configuration, kubeconfig)
        except kubernetes.config.ConfigException as error:
            raise StepError(f"there is no access to a cluster ({error}): set KUBECONFIG") from error
        self.namespace, self._role = namespace, role
        self._client = DynamicClient(
            kubernetes.client.ApiClient(configuration), discoverer=lambda client, cache: None
        )

    def get(self, kind: str, name: str, namespace: str = "") -> Json | None:
        """Return an object; None if it is not there."""
        return self._call("get", kind, name, namespace=namespace)

    def list(self, kind: str, selector: str = "", fields: str = "") -> list[Json]:
        """Return the objects that a label selector and a field selector choose."""
        found = self._call("get", kind, "", label_selector=selector or None, field_selector=fields or None)
        return list(found["items"]) if found else []

    def apply(self, one: Json, *, dry_run: bool = False) -> Json:
        """Apply an object (server-side): its fields become ours, others stay as they are; return it as it is then.

        With `metadata.resourceVersion` only if that is still its version.

        Raises:
            WriteConflict: It is not.
            StepError: The API refuses it.
        """
        options: Json = {"dry_run": "All", "query_params": [("fieldValidation", "Strict")]} if dry_run else {}
        found = self._call(
            "patch",
            one["kind"],
            one["metadata"]["name"],
            body=one,
            content_type="application/apply-patch+yaml",
            field_manager=MANAGER,
            force_conflicts=True,
            **options,
        )
        if found is None:
            raise StepError(
                f"the namespace {self.namespace} is not there, or knows no {one['kind']}: make it first"
            )
        return found

    def create(self, one: Json) -> Json:
        """Make an object.

        Raises:
            WriteConflict: It is there already.
        """
        found = self._call("post", one["kind"], "", body=one, field_manager=MANAGER)
        if found is None:
            raise StepError(
                f"the namespace {self.namespace} is not there, or knows no {one['kind']}: make it first"
            )
        return found

    def scale(self, deployment: str, replicas: int) -> None:
        """Set the number of replicas of a Deployment, as its autoscaler does."""
        self._call(
            "patch",
            "Deployment",
            f"{deployment}/scale",
            body={"spec": {"replicas": replicas}},
            content_type="application/merge-patch+json",
        )

    def delete(self, kind: str, name: str) -> None:
        """Remove an object, and what it owns after it; nothing happens if it is not there."""
        self._call("delete", kind, name, body={"propagationPolicy": "Background"})

    def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """Return the last lines that a container printed; empty if there are none to be had."""
        path = f"{self._path('Pod')}/{pod}/log"
        query = [
            ("container", container),
            ("tailLines", lines),
            ("previous", "true" if previous else "false"),
        ]
        with contextlib.suppress(StepError):
            return self._ask("get", path, f"the log of {pod}", query_params=query) or ""
        return ""

    def _call(self, verb: str, kind: str, name: str, *, namespace: str = "", **options: Any) -> Json | None:
        path = self._path(kind, namespace) + (f"/{name}" if name else "")
        answer = self._ask(verb, path, f"{kind} {name}".strip(), **options)
        return None if answer is None else json.loads(answer)

    def _path(self, kind: str, namespace: str = "") -> str:
        return PATHS[kind].format(namespace=namespace or self.namespace)

    def _ask(self, verb: str, path: str, subject: str, **options: Any) -> str | None:
        """Return the answer's body; None where there is no such thing."""
        import kubernetes
        import urllib3

        for pause_s in (*PAUSES_S, None):
            try:
                answer = self._client.request(
                    verb, path, serialize=False, _request_timeout=ANSWERS_WITHIN_S, **_fresh(options)
                )
                return str(answer.data.decode())
            except kubernetes.client.ApiException as error:
                if error.status == MISSING:
                    return None
                if error.status == CONFLICT:
                    raise WriteConflict(_reason(error)) from error
                if error.status not in DISTURBED or pause_s is None:
                    raise StepError(self._refused(verb, subject, error)) from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if pause_s is None:
                    raise StepError(
                        f"the Kubernetes API does not answer ({type(error).__name__}): is the cluster up, and does "
                        "KUBECONFIG name it?"
                    ) from error
            time.sleep(pause_s)
        raise AssertionError("unreachable")

    def _refused(self, verb: str, subject: str, error: Any) -> str:
        advice = "correct the settings of the target"
        if error.status == 401:
            advice = "log in to the cluster anew"
        elif error.status == 403 and QUOTA in _reason(error):
            advice = "wait until others have ended, or raise the quota"
        elif error.status == 403:
            advice = f"give this account the rights of the Role {self._role} (`penstock platform apply`)"
        elif error.status in DISTURBED:
            advice = "try again when the cluster is well"
        doing = {"get": "read", "delete": "removed"}.get(verb, "applied")
        return f"{subject} in the namespace {self.namespace} cannot be {doing} ({_reason(error)}): {advice}"


def _load(configuration: Any, kubeconfig: str) -> None:
    import kubernetes

    if not kubeconfig:
        with contextlib.suppress(kubernetes.config.ConfigException):
            kubernetes.config.load_incluster_config(client_configuration=configuration)
            return
    kubernetes.config.load_kube_config(config_file=kubeconfig or None, client_configuration=configuration)


def _fresh(options: Mapping[str, Any]) -> Json:
    """Return options that the client may change: it adds to the list and the mapping that it is given."""
    return {**options, "query_params": list(options.get("query_params", [])), "header_params": {}}


def _reason(error: Any) -> str:
    """Return the API's own sentence, else its status."""
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
        body = error.body.decode() if isinstance(error.body, bytes) else error.body
        return f"{error.status}: {json.loads(body)['message']}"
    return f"{error.status} {error.reason}"
