"""An image's archive, as `docker save` writes and `docker load` reads it, with another configuration.

Two layouts are in use, and both are read: Docker's own (`<id>/layer.tar`, named by manifest.json), and OCI's
(`blobs/sha256/<digest>`, named by index.json, in most engines by manifest.json too).
"""

import io
import json
import posixpath
import tarfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import IO, Any

MANIFEST, INDEX = "manifest.json", "index.json"
OF_THE_ARCHIVE = (MANIFEST, INDEX, "oci-layout", "repositories")  # they name the old configuration
LARGEST_DOCUMENT = 4 * 2**20  # bytes of a manifest or configuration, as registries limit them
ATTESTATION = "vnd.docker.reference.type"  # a manifest that describes another one


def configuration_only(configuration: bytes, reference: str, n_layers: int) -> bytes:
    """Return an archive without layers, for engines that look first which they have."""
    layers = [f"{number}/layer.tar" for number in range(n_layers)]
    return tar(_head(configuration, reference, layers))


def with_configuration(saved: IO[bytes], output: IO[bytes], configuration: bytes, reference: str) -> None:
    """Copy a saved image as it comes, its layers as they are, with another configuration and one name.

    Raises:
        ValueError: The archive names no layers, or not as many as the configuration.
        tarfile.TarError: It is no archive, or ends too early.
    """
    documents: dict[str, bytes] = {}
    with (
        tarfile.open(fileobj=saved, mode="r|*") as source,
        tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as target,
    ):
        for entry in source:
            entry.name = posixpath.normpath(entry.name)
            if entry.isdir():
                continue  # both layouts name files only
            content = source.extractfile(entry) if entry.isreg() else None
            if content is not None and entry.size <= LARGEST_DOCUMENT:
                documents[entry.name] = content.read()
                content = io.BytesIO(documents[entry.name])
            if entry.name not in OF_THE_ARCHIVE:
                target.addfile(entry, content)
        layers = _layers(documents, reference)
        expected = len(json.loads(configuration)["rootfs"]["diff_ids"])
        if len(layers) != expected:
            raise ValueError(f"{len(layers)} layers are named in it, expected {expected}")
        for name, text in _head(configuration, reference, layers).items():
            target.addfile(_entry(name, text), io.BytesIO(text))


def tar(files: Mapping[str, bytes]) -> bytes:
    """Return a tar file of `files`, the same bytes for the same content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(files):
            archive.addfile(_entry(name, files[name]), io.BytesIO(files[name]))
    return buffer.getvalue()


def _entry(name: str, content: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    return entry


def _head(configuration: bytes, reference: str, layers: Sequence[str]) -> dict[str, bytes]:
    """Return the files that make layers an image: its configuration, and the manifest that names all."""
    name = f"{sha256(configuration).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": list(layers)}]
    return {name: configuration, MANIFEST: json.dumps(manifest).encode()}


def _layers(documents: Mapping[str, bytes], reference: str) -> list[str]:
    """Return the names of the layers' files, lowest first."""
    if MANIFEST in documents:
        images: list[dict[str, Any]] = json.loads(documents[MANIFEST])
        named = [image for image in images if reference in (image.get("RepoTags") or ())]
        return [posixpath.normpath(layer) for layer in (named or images)[0]["Layers"]]
    if INDEX in documents:
        manifest = _image_manifest(json.loads(documents[INDEX]), documents)
        return [_blob(layer) for layer in manifest["layers"]]
    raise ValueError(f"it has neither {MANIFEST} nor {INDEX}")


def _image_manifest(index: dict[str, Any], documents: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the first manifest of an image behind an index, through further indices."""
    for descriptor in index["manifests"]:
        if ATTESTATION in (descriptor.get("annotations") or {}):
            continue
        text = documents.get(_blob(descriptor))
        if text is None:
            continue  # of another platform, which the engine does not hold
        found: dict[str, Any] = json.loads(text)
        return found if "layers" in found else _image_manifest(found, documents)
    raise ValueError(f"its {INDEX} names no image that is in it")


def _blob(descriptor: Mapping[str, Any]) -> str:
    return "blobs/" + str(descriptor["digest"]).replace(":", "/")
