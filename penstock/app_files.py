"""Publishes an app's files under the hash of their content.

A published folder never changes, so its URI stands for its content: caches see a change of the app, and only
of the part that changed. Three parts enter a run: the whole app, its schema alone, its code alone.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import UserError
from penstock.pipeline_root import LISTING, Folder, PipelineRoot, hashes_of, listing_text

LARGEST_APP = 50 * 1024 * 1024  # bytes: an app is settings and code; data stays at its source
LEFT_OUT = {"data", "tests", "__pycache__"}  # folders at any depth
LEFT_OUT_ENDINGS = (".pyc", ".pyo", ".partial")

# Arguments that say where things are or how the run goes, not what comes out. `source` is one of them: the
# fingerprint of the data covers it, and a moved checkout is the same app.
VOLATILE_ARGUMENTS = {
    "app_uri",
    "app_version",
    "checkpoint_uri",
    "code_uri",
    "code_version",
    "force",
    "registry_uri",
    "schema_uri",
    "source",
}


@dataclass(frozen=True)
class PublishedApp:
    """The three published folders of an app and their digests (sha256, hex)."""

    app_uri: str
    schema_uri: str
    code_uri: str
    digest: str
    schema_digest: str
    code_digest: str


def publish(app_folder: Path, root: Path, name: str, schema: str = "schema.pbtxt") -> PublishedApp:
    """Copy an app's files to content-addressed folders under `root`, unless they are there already.

    Args:
        app_folder: The app as the team edits it.
        root: Where runs read it from: each part comes to <root>/apps/<name>/<sha256>/.
        name: The app's name.
        schema: The schema's path inside the folder.

    Raises:
        UserError: The schema is missing, a file is a symbolic link, or all files exceed 50 MB.
    """
    parts = app_parts(app_folder, name, schema)
    folders = {part: _publish_part(contents, root / "apps" / name) for part, contents in parts.items()}
    return _published({part: (str(folder), folder.name) for part, folder in folders.items()})


def plan_publication(
    app_folder: Path, root: PipelineRoot, name: str, schema: str = "schema.pbtxt"
) -> tuple[PublishedApp, list[Folder]]:
    """Return what an app will be at a pipeline root, and the folders to upload before a run reads it.

    Args and errors are those of `publish`; nothing is sent.
    """
    parts = app_parts(app_folder, name, schema)
    folders = {part: root.folder(f"apps/{name}", contents) for part, contents in parts.items()}
    app = _published({part: (folder.uri, folder.digest) for part, folder in folders.items()})
    return app, list(folders.values())


def app_parts(app_folder: Path, name: str, schema: str) -> dict[str, dict[str, bytes]]:
    """Return the files of each published part of an app by their path in it; raises as `publish` does."""
    files = app_files(app_folder)
    if schema not in files:
        raise UserError(
            f"{app_folder / schema} is missing: draft it with `penstock schema infer --app {name}`"
        )
    if LISTING in files:
        raise UserError(f"{app_folder / LISTING} has the name of the list that publishing writes: rename it")
    settings = {"app.yaml", schema}
    return {
        "app": files,
        "schema": {"schema.pbtxt": files[schema]},
        "code": {path: content for path, content in files.items() if path not in settings},
    }


def _published(parts: Mapping[str, tuple[str, str]]) -> PublishedApp:
    """Return the published app of the URI and digest of each part."""
    uris = {f"{part}_uri": uri for part, (uri, _) in parts.items()}
    (_, digest), (_, schema_digest), (_, code_digest) = parts["app"], parts["schema"], parts["code"]
    return PublishedApp(**uris, digest=digest, schema_digest=schema_digest, code_digest=code_digest)


def app_version(published: PublishedApp, arguments: Mapping[str, Any]) -> str:
    """Return the hash of the app's files and of every argument that changes what a run produces.

    The same app with the same settings has the same version on every machine.
    """
    lasting = {name: value for name, value in arguments.items() if name not in VOLATILE_ARGUMENTS}
    text = json.dumps({"app": published.digest, "arguments": lasting}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def app_files(app_folder: Path) -> dict[str, bytes]:
    """Return the content of an app's files by their path inside the folder, sorted.

    Left out: data/, tests/, README files, caches and hidden files.

    Raises:
        UserError: A file is a symbolic link, or all files together exceed 50 MB.
    """
    files: dict[str, bytes] = {}
    total = 0
    for folder, folders, names in os.walk(app_folder):
        kept = sorted(name for name in folders if not (name in LEFT_OUT or name.startswith(".")))
        folders[:] = kept
        for name in [*kept, *sorted(names)]:
            path = Path(folder) / name
            if name.startswith((".", "README")) or name.endswith(LEFT_OUT_ENDINGS):
                continue
            if path.is_symlink():
                raise UserError(
                    f"{path} is a symbolic link, which would not arrive at a step: put a copy in its place"
                )
            if name in kept:
                continue
            total += path.stat().st_size
            if total > LARGEST_APP:
                raise UserError(
                    f"{app_folder} holds more than {LARGEST_APP // 1024**2} MB of files (at {path.name!r}): "
                    "move data into its folder data/, which is not published, or name it by URI in data.source"
                )
            files[path.relative_to(app_folder).as_posix()] = path.read_bytes()
    return dict(sorted(files.items()))


def _publish_part(contents: Mapping[str, bytes], parent: Path) -> Path:
    """Write one folder beside its place and rename it; whoever comes second finds it there."""
    hashes = hashes_of(contents)
    listing = listing_text(hashes)
    final = parent / hashlib.sha256(listing.encode()).hexdigest()
    if _is_complete(final, hashes):
        return final
    partial = parent / f".{final.name}.{uuid.uuid4().hex}"
    try:
        for path, content in contents.items():
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            (partial / path).write_bytes(content)
        partial.mkdir(parents=True, exist_ok=True)
        (partial / LISTING).write_text(listing, encoding="utf-8")
        try:
            partial.rename(final)
        except OSError:  # something is there: another run was faster, or the folder was damaged by hand
            if not _is_complete(final, hashes):
                final.rename(partial.with_name(f"{partial.name}.damaged"))
                partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(partial.with_name(f"{partial.name}.damaged"), ignore_errors=True)
    return final


def _is_complete(folder: Path, hashes: Mapping[str, str]) -> bool:
    """Tell whether a published folder holds just these contents."""
    if not (folder / LISTING).is_file():
        return False
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path != folder / LISTING
    }
    return found == dict(hashes)
