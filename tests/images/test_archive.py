"""An image's archive gets another configuration; the layers pass through, in each layout that engines write."""

import io
import json
import tarfile
from collections.abc import Callable
from hashlib import sha256

import pytest

from penstock.images.archive import configuration_only, tar, with_configuration

REFERENCE = "penstock/gate:0123"
LAYERS = [b"the base's layer", b"the stack's layer"]
CONFIGURATION = json.dumps({"rootfs": {"diff_ids": ["sha256:a", "sha256:b"]}}).encode()
NAME = f"{sha256(CONFIGURATION).hexdigest()}.json"


def digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def blob(content: bytes) -> str:
    return f"blobs/sha256/{sha256(content).hexdigest()}"


def docker_layout() -> bytes:
    """What Docker's own image store writes up to version 24."""
    manifest = [{"Config": "old.json", "RepoTags": [REFERENCE], "Layers": ["1/layer.tar", "2/layer.tar"]}]
    return tar(
        {
            "1/layer.tar": LAYERS[0],
            "1/VERSION": b"1.0",
            "2/layer.tar": LAYERS[1],
            "old.json": b"{}",
            "repositories": b"{}",
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def oci_files() -> dict[str, bytes]:
    """An image beside an attestation, under two indices: what containerd's store holds after a build."""
    manifest = json.dumps(
        {"config": {"digest": digest(b"{}")}, "layers": [{"digest": digest(layer)} for layer in LAYERS]}
    ).encode()
    attestation = json.dumps({"layers": [{"digest": digest(b"provenance")}]}).encode()
    notes = {"vnd.docker.reference.type": "attestation-manifest"}
    inner = json.dumps(
        {
            "manifests": [
                {"digest": digest(attestation), "annotations": notes},
                {"digest": digest(b"of another platform")},
                {"digest": digest(manifest)},
            ]
        }
    ).encode()
    index = json.dumps({"manifests": [{"digest": digest(inner)}]}).encode()
    blobs = [*LAYERS, b"{}", manifest, attestation, inner, b"provenance"]
    return {
        **{blob(b): b for b in blobs},
        "index.json": index,
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
    }


def oci_layout() -> bytes:
    return tar(oci_files())


def both_layouts() -> bytes:
    """What Docker writes from version 25 on."""
    manifest = [{"Config": blob(b"{}"), "RepoTags": [REFERENCE], "Layers": [blob(b) for b in LAYERS]}]
    return tar({**oci_files(), "manifest.json": json.dumps(manifest).encode()})


def files_in(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        found = {entry.name: opened.extractfile(entry) for entry in opened}
        return {name: content.read() for name, content in found.items() if content is not None}


def converted(saved: bytes, configuration: bytes = CONFIGURATION) -> dict[str, bytes]:
    output = io.BytesIO()
    with_configuration(io.BytesIO(saved), output, configuration, REFERENCE)
    return files_in(output.getvalue())


@pytest.mark.parametrize("layout", [docker_layout, oci_layout, both_layouts])
def test_layers_pass_and_the_configuration_is_ours(layout: Callable[[], bytes]) -> None:
    files = converted(layout())

    (image,) = json.loads(files["manifest.json"])
    assert image["RepoTags"] == [REFERENCE]
    assert [files[name] for name in image["Layers"]] == LAYERS
    assert image["Config"] == NAME
    assert files[NAME] == CONFIGURATION


@pytest.mark.parametrize("layout", [docker_layout, oci_layout, both_layouts])
def test_nothing_names_the_old_configuration(layout: Callable[[], bytes]) -> None:
    assert not {"index.json", "oci-layout", "repositories"} & converted(layout()).keys()


def test_image_is_found_by_its_name_among_others() -> None:
    saved = files_in(docker_layout())
    (ours,) = json.loads(saved["manifest.json"])
    other = {"Config": "other.json", "RepoTags": ["other:1"], "Layers": ["9/layer.tar"]}
    saved["manifest.json"] = json.dumps([other, ours]).encode()
    assert json.loads(converted(tar(saved))["manifest.json"])[0]["Layers"] == ours["Layers"]


def test_layer_that_links_to_an_equal_one_stays_a_link() -> None:
    link = tarfile.TarInfo("./2/layer.tar")
    link.type, link.linkname = tarfile.SYMTYPE, "../1/layer.tar"
    manifest = json.dumps([{"Config": "o", "RepoTags": None, "Layers": ["1/layer.tar", "2/layer.tar"]}])
    buffer = io.BytesIO(tar({"1/layer.tar": LAYERS[0], "manifest.json": manifest.encode()}))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        archive.addfile(link)
    output = io.BytesIO()

    with_configuration(io.BytesIO(buffer.getvalue()), output, CONFIGURATION, REFERENCE)

    with tarfile.open(fileobj=io.BytesIO(output.getvalue())) as archive:
        assert archive.getmember("2/layer.tar").linkname == "../1/layer.tar"


def test_archive_with_fewer_layers_than_the_configuration_is_refused() -> None:
    three = json.dumps({"rootfs": {"diff_ids": ["sha256:a", "sha256:b", "sha256:c"]}}).encode()
    with pytest.raises(ValueError, match="2 layers are named in it, expected 3"):
        converted(docker_layout(), three)


def test_archive_that_names_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"it has neither manifest\.json nor index\.json"):
        converted(tar({"1/layer.tar": b"layer"}))


def test_archive_that_ends_too_early_is_refused() -> None:
    with pytest.raises(tarfile.TarError):
        converted(docker_layout()[:700])


def test_configuration_alone_has_no_layer() -> None:
    files = files_in(configuration_only(CONFIGURATION, REFERENCE, 2))
    assert set(files) == {NAME, "manifest.json"}
    assert len(json.loads(files["manifest.json"])[0]["Layers"]) == 2
