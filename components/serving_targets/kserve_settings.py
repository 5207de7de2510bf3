"""How versions are served through KServe: in which mode, with which image and resources."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.components.step_io.errors import StepError

STANDARD, KNATIVE = "Standard", "Knative"
MODES = (STANDARD, KNATIVE)  # KServe's names since 0.16; before: RawDeployment and Serverless
IMAGE_BY_DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")
LOG_MODES = ("all", "request", "response")


@dataclass(frozen=True)
class KserveSettings:
    """What does not change from one version to the next."""

    namespace: str
    image: str  # the serving image, by digest
    mode: str = STANDARD
    service_account: str = ""  # its secrets let KServe's storage initializer read the model
    variables: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(
        default_factory=dict
    )  # how URIs of the registry begin → what KServe's storage initializer reads
    options: tuple[str, ...] = ()  # more arguments of the prediction service
    cpu: str = "500m"
    memory: str = "1Gi"
    memory_limit: str = "2Gi"
    most_replicas: int = 0  # 0: as many as a version asks for, no autoscaling
    log_url: str = ""  # where KServe's payload logger sends CloudEvents; empty: no logger
    log_mode: str = "all"  # all, request or response
    service_port: int = 80  # of KServe's Services; 8080 where they are headless (serviceClusterIPNone)
    request_timeout_s: int = 60

    def __post_init__(self) -> None:
        faults = []
        if self.mode not in MODES:
            faults.append(f"mode is {self.mode!r}, expected {' or '.join(MODES)}")
        if not IMAGE_BY_DIGEST.fullmatch(self.image):
            faults.append(
                f"the serving image is {self.image!r}: name it by digest (<registry>/<name>@sha256:…), which "
                "`penstock images lock` writes into images.lock.json"
            )
        if self.log_url and not self.log_url.startswith(("http://", "https://")):
            faults.append(f"log_url is {self.log_url!r}, expected the URL of a receiver of CloudEvents")
        if self.log_mode not in LOG_MODES:
            faults.append(f"log_mode is {self.log_mode!r}, expected {', '.join(LOG_MODES)}")
        if faults:
            raise StepError(f"serving target kserve: {'; '.join(faults)}")

    def readable(self, uri: str) -> str:
        """Return what KServe's storage initializer reads for a URI of the registry."""
        for begin, place in self.sources.items():
            if uri.startswith(begin):
                return place + uri.removeprefix(begin)
        return uri
