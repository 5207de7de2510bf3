"""What the tests of submitting share: an API on this machine, a pipeline root in a folder, a lock of images."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.delivery import Delivery, deliver
from penstock.environment_models import Environment
from penstock.project import Project, find_project
from penstock.versions import Images
from tests.submit.kfp_server import KfpState, serving

Deliver = Callable[..., Delivery]
REGISTRY = "registry.example.com/penstock"


@pytest.fixture
def state() -> KfpState:
    """What the API holds."""
    return KfpState()


@pytest.fixture
def host(state: KfpState) -> Iterator[str]:
    """The address of the API."""
    with serving(state) as address:
        yield address


@pytest.fixture
def environment(host: str, tmp_path: Path) -> Environment:
    """An environment whose pipeline root is a folder."""
    return Environment(
        name="stage",
        backend="kfp",
        host=host,
        pipeline_root=f"file://{tmp_path}/root",
        images=REGISTRY,
        registry_uri="http://mlflow.example.com",
    )


@pytest.fixture(scope="session")
def project() -> Project:
    """This checkout."""
    return find_project(Path(__file__))


@pytest.fixture(scope="session")
def lock(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lock with a digest for each step's image, as it would be after `make images`."""
    images = Images(project)
    entries: dict[str, Any] = {}
    for number, step in enumerate(sorted(images.stacks)):
        digest = f"sha256:{number:064x}"
        reference = f"{REGISTRY}/{step}@{digest}"
        entries[step] = {"tag": images.image(step).tag, "digest": digest, "reference": reference}
    path = tmp_path_factory.mktemp("lock") / "images.lock.json"
    path.write_text(json.dumps({"registry": REGISTRY, "images": entries}))
    return path


@pytest.fixture
def deliver_taxi(project: Project, environment: Environment, lock: Path) -> Deliver:
    """Deliver the training of the sample app; keywords change the environment or the delivery."""

    def make(*overrides: str, of: Environment | None = None, **options: Any) -> Delivery:
        options = {"lock_path": lock, "publish": False, **options}
        return deliver(project, of or environment, "training", "taxi", overrides, **options)

    return make
