"""How versions are served on Kubernetes: where, behind which gateway, with which image and resources.

Sticky assignment: a Gateway has no hash of a request's key, so x-routing-key chooses nothing here. Where the gateway
implements session persistence (GEP-1619, an experimental field of HTTPRoute; Contour and GKE's gateways do not),
`session_cookie` keeps a client at one version.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.components.step_io.errors import StepError

IMAGE_BY_DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")
HOST_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|[kMGT]i?)?")


@dataclass(frozen=True)
class SecretVariables:
    """A Kubernetes secret of the namespace, by name; its values stay in the cluster."""

    name: str
    variables: Mapping[str, str]  # environment variable → key of the secret


@dataclass(frozen=True)
class KubernetesSettings:
    """What does not change from one version to the next."""

    namespace: str
    image: str  # the serving image, by digest
    gateway: str = "gateway"
    gateway_namespace: str = ""  # empty: as `namespace`
    hostname: str = ""  # empty: <endpoint>.<namespace>.internal
    service_account: str = "penstock-serving"
    secrets: tuple[SecretVariables, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(
        default_factory=dict
    )  # how URIs of the registry begin → what pods read
    options: tuple[str, ...] = ()  # more arguments of the prediction service
    cpu: str = "500m"
    memory: str = "1Gi"
    memory_limit: str = "2Gi"
    scratch: str = "4Gi"  # for the model while it is loaded, and for logs that wait
    most_replicas: int = 4
    cpu_target_percent: int = 70  # of the requested CPU, above which replicas are added
    drain_s: int = 10  # until no gateway sends a stopping pod new requests
    request_timeout_s: int = 60
    start_limit_s: int = 300  # a server that is not ready by then is started anew
    session_cookie: str = ""  # name of the cookie; empty: each request is assigned anew

    def __post_init__(self) -> None:
        if not IMAGE_BY_DIGEST.fullmatch(self.image):
            raise StepError(
                f"the serving image is {self.image!r}: name it by digest (<registry>/<name>@sha256:…), which "
                "`penstock images lock` writes into images.lock.json"
            )
        if self.hostname and not HOST_NAME.fullmatch(self.hostname):
            raise StepError(f"the host name {self.hostname!r} is none: give one such as taxi.example.com")
        for name in ("cpu", "memory", "memory_limit", "scratch"):
            if not QUANTITY.fullmatch(getattr(self, name)):
                raise StepError(
                    f"{name} is {getattr(self, name)!r}: give a Kubernetes quantity, such as 500m or 2Gi"
                )
        if not 1 <= self.cpu_target_percent <= 100:
            raise StepError(f"cpu_target_percent is {self.cpu_target_percent}: give 1 to 100")

    def readable(self, uri: str) -> str:
        """Return where pods read a model folder: a registry's own scheme stands for a place in a store.

        >>> settings = KubernetesSettings("x", "y@sha256:" + 64 * "0", sources={"mlflow-artifacts:/": "s3://b/mlflow/"})
        >>> settings.readable("mlflow-artifacts:/17/60c2/artifacts/model")
        's3://b/mlflow/17/60c2/artifacts/model'
        """
        for begin, place in self.sources.items():
            if uri.startswith(begin):
                return place + uri.removeprefix(begin)
        return uri
