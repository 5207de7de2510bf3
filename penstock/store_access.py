"""How this machine reaches the store of the pipeline root: an endpoint and keys, never written anywhere.

The environment file names variables for them. Where these are not set and it names a Kubernetes service and
secret, both are asked for through KUBECONFIG, so that whoever may read the cluster needs no second key.
"""

import base64
import os
from dataclasses import dataclass, field
from typing import Any

from penstock.environment_models import Environment
from penstock.errors import UserError

SECONDS = 5  # for one question to the Kubernetes API


@dataclass(frozen=True)
class StoreAccess:
    """What an S3 client needs; empty values leave it to the client's own sources (AWS_*, profiles)."""

    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)

    @property
    def s3_options(self) -> dict[str, Any]:
        """The options of fsspec's s3 file system."""
        client = {"region_name": self.region} if self.region else {}
        options: dict[str, Any] = {"client_kwargs": client}
        if self.endpoint:
            options["endpoint_url"] = self.endpoint
        if self.access_key:
            options |= {"key": self.access_key, "secret": self.secret_key}
        return options


def store_access(environment: Environment) -> StoreAccess:
    """Return how to reach the environment's store.

    Raises:
        UserError: Neither variables nor the cluster tell.
    """
    store = environment.store
    keys = [os.environ.get(name, "") if name else "" for name in _variables(environment)]
    endpoint = store.endpoint
    if not all(keys) and store.secret:
        secret = _read(environment, "secret", store.secret).data or {}
        names = (store.secret_access_key, store.secret_secret_key)
        if missing := [name for name in names if name not in secret]:
            raise UserError(
                f"the secret {store.secret} in the namespace {environment.namespace} has no key {missing[0]!r}: "
                f"correct `store` in manifests/environments/{environment.name}.yaml"
            )
        keys = [base64.b64decode(secret[name]).decode() for name in names]
    if not all(keys) and any(_variables(environment)):
        unset = [name for name, key in zip(_variables(environment), keys, strict=True) if not key]
        raise UserError(
            f"the environment variable {unset[0]} is not set: {environment.name} takes a key of its store from it "
            f"(manifests/environments/{environment.name}.yaml, `store`)"
        )
    if not endpoint and store.service:
        endpoint = _address(_read(environment, "service", store.service))
    return StoreAccess(endpoint, store.region, *keys)


def _variables(environment: Environment) -> tuple[str, str]:
    return environment.store.access_key_variable, environment.store.secret_key_variable


def service_host(environment: Environment, name: str) -> str:
    """Return where nodes and pods reach a service of the environment's namespace: a name or an IP address.

    Raises:
        UserError: The cluster does not tell.
    """
    return _host(_read(environment, "service", name, "the registry", "MLFLOW_TRACKING_URI"))


def _host(service: Any) -> str:
    """Return a load balancer's address where it has one."""
    ingress = (service.status.load_balancer.ingress or []) if service.status.load_balancer else []
    return str((ingress[0].ip or ingress[0].hostname) if ingress else service.spec.cluster_ip)


def _address(service: Any) -> str:
    """Return the URL of a service, as nodes and pods reach it."""
    return f"http://{_host(service)}:{service.spec.ports[0].port}"


def _read(environment: Environment, kind: str, name: str, what: str = "the store", instead: str = "") -> Any:
    """Return a Kubernetes object of the environment's namespace."""
    from penstock.kubernetes_access import core_api, kubernetes_errors

    where = f"the {kind} {name} in the namespace {environment.namespace}"
    advice = "set KUBECONFIG, or "
    advice += instead or f"{', '.join(filter(None, _variables(environment)))} and the store's endpoint"
    with kubernetes_errors(f"{where}, which tells how to reach {what},", advice):
        api = core_api()
        reader = api.read_namespaced_secret if kind == "secret" else api.read_namespaced_service
        return reader(name, environment.namespace, _request_timeout=SECONDS)
