"""The Kubernetes API, with its errors as one sentence."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from penstock.errors import UserError


def api_client() -> Any:
    """Return a client for the cluster of KUBECONFIG, or of the pod that this runs in.

    Raises:
        kubernetes.config.ConfigException: Neither is there.
    """
    import kubernetes
    import urllib3

    configuration = kubernetes.client.Configuration()
    try:
        kubernetes.config.load_incluster_config(client_configuration=configuration)
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config(client_configuration=configuration)
    configuration.retries = urllib3.Retry(total=0)  # an address that is wrong stays wrong
    return kubernetes.client.ApiClient(configuration)


def core_api() -> Any:
    """Return the client of the core group (pods, secrets, services)."""
    import kubernetes

    return kubernetes.client.CoreV1Api(api_client())


@contextlib.contextmanager
def kubernetes_errors(subject: str, advice: str) -> Iterator[None]:
    """Turn what the Kubernetes client raises into one sentence about `subject` that ends in `advice`.

    Raises:
        UserError: In place of it.
    """
    import kubernetes
    import urllib3

    try:
        yield
    except kubernetes.config.ConfigException as error:
        raise UserError(f"{subject} cannot be read, there is no access to a cluster: {advice}") from error
    except kubernetes.client.ApiException as error:
        raise UserError(f"{subject} cannot be had ({_reason(error)}): {advice}") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UserError(
            f"{subject} cannot be had, the Kubernetes API does not answer ({type(error).__name__}): {advice}"
        ) from error


def _reason(error: Any) -> str:
    """Return the API's own sentence, else its status."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        message = json.loads(error.body)["message"]
        return f"{error.status}: {message}"
    return f"{error.status} {error.reason}"
