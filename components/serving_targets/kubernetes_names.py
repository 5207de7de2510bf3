"""Names and labels of the Kubernetes objects of an endpoint."""

import hashlib
import re

LONGEST = 52  # of 63: room for what Kubernetes appends to the names of pods
APPLICATION = "prediction-service"
MANAGER = "penstock"  # who owns the fields that we set
ANNOTATION = "penstock.io"


def object_name(endpoint: str, version: str = "") -> str:
    """Return the name of the objects of an endpoint, or of one of its versions; a DNS label that starts with a letter.

    What Kubernetes does not allow in names is replaced; then a hash keeps different names different.

    >>> object_name("taxi"), object_name("taxi", "12")
    ('taxi', 'taxi-v12')
    >>> object_name("Taxi_fares", "1.2")
    'taxi-fares-v1-2-988a1a'
    """
    exact = f"{endpoint}-v{version}" if version else endpoint
    name = re.sub(r"[^a-z0-9-]", "-", exact.lower())
    if not name[0].isalpha():
        name = f"m-{name}"
    plain = re.fullmatch(r"[0-9]*", version) and not re.search(r"-v[0-9]+$", endpoint)
    if name == exact and len(name) <= LONGEST and plain:
        return name
    digest = hashlib.sha256(f"{endpoint}/{version}".encode()).hexdigest()[:6]
    return f"{name[: LONGEST - 7].rstrip('-')}-{digest}"


def labels(endpoint: str, version: str = "") -> dict[str, str]:
    """Return the labels of the objects of an endpoint, or of one of its versions."""
    return selector(endpoint, version) | {
        "app.kubernetes.io/component": "model-server",
        "app.kubernetes.io/managed-by": MANAGER,
    }


def selector(endpoint: str, version: str = "") -> dict[str, str]:
    """Return the labels by which the pods of an endpoint, or of one of its versions, are found."""
    found = {"app.kubernetes.io/name": APPLICATION, "app.kubernetes.io/instance": endpoint}
    return found | ({"app.kubernetes.io/version": version} if version else {})


def selector_text(endpoint: str, version: str = "") -> str:
    """Return the selector as the Kubernetes API takes it in a query."""
    return ",".join(f"{key}={value}" for key, value in selector(endpoint, version).items())
