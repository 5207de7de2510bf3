"""What is delivered names each image by the digest that the registry gave it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.errors import UserError
from penstock.images.delivered import delivered_text
from penstock.images.lock import Lock, LockedImage, apply_lock, read_lock, write_lock
from penstock.images.targets import all_targets
from penstock.project import find_project
from penstock.versions import Images

PROJECT = find_project(Path(__file__).parent)
IMAGES = Images(PROJECT)
PREFIX = "registry.example/penstock"


def digest_of(name: str) -> str:
    return "sha256:" + name.encode().hex().ljust(64, "0")[:64]


def lock_of(**tags: str) -> Lock:
    images = {
        name: LockedImage(tag=tag, digest=digest_of(name), reference=f"{PREFIX}/{name}@{digest_of(name)}")
        for name, tag in tags.items()
    }
    return Lock(registry=PREFIX, images=images)


def whole_lock() -> Lock:
    return lock_of(**{target.name: target.tag for target in all_targets(PROJECT, IMAGES)})


def ir_of(*images: str) -> dict[str, Any]:
    executors = {f"exec-{number}": {"container": {"image": image}} for number, image in enumerate(images)}
    return {"deploymentSpec": {"executors": {**executors, "exec-importer": {"importer": {}}}}}


def test_digests_replace_unpinned_images() -> None:
    lock = lock_of(gate=IMAGES.image("gate").tag)
    pinned = apply_lock(ir_of("penstock/gate:unpinned"), lock, IMAGES)
    container = pinned["deploymentSpec"]["executors"]["exec-0"]["container"]
    assert container["image"] == f"registry.example/penstock/gate@{digest_of('gate')}"


def test_ir_that_was_given_stays_as_it_is() -> None:
    ir = ir_of("penstock/gate:unpinned")
    apply_lock(ir, lock_of(gate=IMAGES.image("gate").tag), IMAGES)
    assert ir == ir_of("penstock/gate:unpinned")


def test_image_of_others_by_digest_stays() -> None:
    image = f"registry.example/theirs@{digest_of('theirs')}"
    assert apply_lock(ir_of(image), lock_of(), IMAGES) == ir_of(image)


def test_image_of_others_by_tag_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"exec-0 runs in 'busybox:1', which is neither .* nor given by digest"
    ):
        apply_lock(ir_of("busybox:1"), lock_of(), IMAGES)


def test_missing_and_stale_images_are_told_together() -> None:
    ir = ir_of("penstock/gate:unpinned", "penstock/notify:unpinned")
    with pytest.raises(UserError) as caught:
        apply_lock(ir, lock_of(gate="0" * 16), IMAGES)
    assert str(caught.value) == (
        "images.lock.json has no image of notify and holds an earlier image of gate, whose code changed "
        "since: run `make images`"
    )


def test_delivered_training_holds_digests_only_and_what_steps_ask_for() -> None:
    ir = yaml.safe_load(delivered_text("training", PROJECT, whole_lock(), IMAGES))
    containers = [executor.get("container") for executor in ir["deploymentSpec"]["executors"].values()]
    found = [container for container in containers if container]
    assert len(found) >= 14
    assert [container["image"] for container in found if "@sha256:" not in container["image"]] == []
    assert [container["image"] for container in found if not container.get("resources")] == []


def test_delivered_text_is_the_same_each_time() -> None:
    one, other = (delivered_text("training", PROJECT, whole_lock(), IMAGES) for _ in range(2))
    assert one == other


def test_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "images.lock.json"
    lock = lock_of(gate="0123456789abcdef")
    assert write_lock(path, lock) is True
    assert read_lock(path) == lock
    assert [child.name for child in tmp_path.iterdir()] == ["images.lock.json"]


def test_lock_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "images.lock.json"
    write_lock(path, lock_of(gate="0123456789abcdef"))
    before = path.stat().st_mtime_ns
    assert write_lock(path, lock_of(gate="0123456789abcdef")) is False
    assert path.stat().st_mtime_ns == before


def test_missing_lock_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"images.lock.json is missing: run `make images`"):
        read_lock(tmp_path / "images.lock.json")


@pytest.mark.parametrize("text", ["", "[]", '{"registry": "x"}', '{"registry": "x", "images": {"gate": {}}}'])
def test_file_that_is_no_lock_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "images.lock.json").write_text(text)
    with pytest.raises(UserError, match="is no lock of images"):
        read_lock(tmp_path / "images.lock.json")


def test_digest_that_is_none_is_refused(tmp_path: Path) -> None:
    image = {"tag": "0" * 16, "digest": "sha256:abc", "reference": "r"}
    (tmp_path / "l.json").write_text(json.dumps({"registry": "x", "images": {"gate": image}}))
    with pytest.raises(UserError, match="is no lock of images"):
        read_lock(tmp_path / "l.json")
