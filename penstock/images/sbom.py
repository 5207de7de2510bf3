"""A bill of materials of an image, CycloneDX 1.6 as JSON: what is installed in it, asked of itself.

Python packages from the metadata that installers leave (dist-info), Debian's from dpkg's status. The same
image gives the same bytes.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.errors import UserError
from penstock.images.engine import CREATED, Engine
from penstock.images.targets import Target

# Runs in the image, with its own Python; prints one JSON object.
INVENTORY = """
import json, pathlib
from importlib.metadata import distributions
python = [{"name": d.metadata["Name"], "version": d.version,
           "license": d.metadata.get("License-Expression") or "",
           "classifiers": [c.split(" :: ")[-1] for c in d.metadata.get_all("Classifier") or []
                           if c.startswith("License :: OSI Approved :: ")]} for d in distributions()]
places = [pathlib.Path("/var/lib/dpkg/status"), *sorted(pathlib.Path("/var/lib/dpkg/status.d").glob("*"))]
print(json.dumps({
    "python": python,
    "dpkg": "\\n".join(p.read_text() for p in places if p.is_file() and p.suffix != ".md5sums"),
    "system": pathlib.Path("/etc/os-release").read_text(),
}))
"""
AT_ONCE = 2

Tell = Callable[[str], None]


def write_sboms(targets: Sequence[Target], engine: Engine, folder: Path, tell: Tell) -> list[Path]:
    """Write <folder>/<name>.cdx.json for each image.

    Raises:
        UserError: The engine does not answer, or an image is not built.
    """
    engine.check()
    folder.mkdir(parents=True, exist_ok=True)

    def write(target: Target) -> Path:
        image = engine.inspect(target.reference)
        if image is None:
            raise UserError(f"{target.reference} is not built: run `penstock images build`")
        inventory = json.loads(engine.output(target.reference, ["python", "-c", INVENTORY]))
        path = folder / f"{target.name}.cdx.json"
        document = sbom(target, str(image["Id"]), inventory)
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        tell(f"wrote {path} ({len(document['components'])} packages)")
        return path

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(write, targets))


def sbom(target: Target, image_id: str, inventory: dict[str, Any]) -> dict[str, Any]:
    """Return the document for what INVENTORY printed in an image."""
    system = dict(
        line.replace('"', "").split("=", 1) for line in inventory["system"].splitlines() if "=" in line
    )
    distribution = f"{system.get('ID', 'linux')}-{system.get('VERSION_ID', '')}".rstrip("-")
    packages = [python_component(found) for found in inventory["python"]]
    packages += debian_components(inventory["dpkg"], system.get("ID", "debian"), distribution)
    unique = {package["bom-ref"]: package for package in packages}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{target.reference}@{image_id}')}",
        "version": 1,
        "metadata": {
            "timestamp": CREATED,
            "tools": {"components": [{"type": "application", "name": "penstock images sbom"}]},
            "component": {
                "type": "container",
                "bom-ref": target.reference,
                "name": f"penstock/{target.name}",
                "version": target.tag,
                "properties": [
                    {"name": "penstock:stack", "value": target.stack},
                    {"name": "penstock:image-id", "value": image_id},
                ],
            },
        },
        "components": [unique[reference] for reference in sorted(unique)],
        "dependencies": [{"ref": target.reference, "dependsOn": sorted(unique)}],
    }


def python_component(found: dict[str, Any]) -> dict[str, Any]:
    """Return the component of an installed Python distribution."""
    name = found["name"].lower().replace("_", "-").replace(".", "-")
    url = f"pkg:pypi/{quote(name)}@{quote(found['version'])}"
    component = {
        "type": "library",
        "bom-ref": url,
        "name": found["name"],
        "version": found["version"],
        "purl": url,
    }
    if found["license"]:
        component["licenses"] = [{"expression": found["license"]}]
    elif found["classifiers"]:
        component["licenses"] = [{"license": {"name": name}} for name in sorted(set(found["classifiers"]))]
    return component


def debian_components(status: str, vendor: str, distribution: str) -> Iterable[dict[str, Any]]:
    """Yield the components of installed Debian packages, from the text of dpkg's status."""
    for paragraph in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if ": " in line and not line.startswith((" ", "\t"))
        )
        if "Package" not in fields or not fields.get("Status", "install ok installed").endswith(" installed"):
            continue
        url = (
            f"pkg:deb/{vendor}/{quote(fields['Package'])}@{quote(fields['Version'])}"
            f"?arch={quote(fields.get('Architecture', 'all'))}&distro={quote(distribution)}"
        )
        yield {
            "type": "library",
            "bom-ref": url,
            "name": fields["Package"],
            "version": fields["Version"],
            "purl": url,
        }
