"""Copies of the checkout, each changed in the one way that a test is about."""

import csv
import gzip
import io
import json
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEFT_OUT = (".git", ".venv", ".penstock", "__pycache__", ".mypy_cache", "delivered")
WIDE = "compute_statistics: {stack: tfdv, cpu: 500m, memory: 1Gi, memory_limit: 4Gi}"
NARROW = "compute_statistics: {stack: tfdv, cpu: 500m, memory: 64Mi, memory_limit: 64Mi}"
NO_DIGEST = f"sha256:{'0' * 64}"


def copy_project(folder: Path) -> Path:
    """Return a copy of the checkout with its lock of images, without its state."""
    shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    return folder


def without_a_column(project: Path, column: str) -> Path:
    """Take a column that the schema requires out of the taxi trips."""
    path = project / "apps" / "taxi" / "data" / "trips.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))[:5000]
    text = io.StringIO()
    writer = csv.DictWriter(text, [name for name in rows[0] if name != column], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    return project


def with_little_memory(project: Path) -> Path:
    """Give the statistics less memory than Python and its libraries need."""
    path = project / "images" / "images.yaml"
    text = path.read_text()
    assert WIDE in text
    path.write_text(text.replace(WIDE, NARROW))
    return project


def with_a_missing_image(project: Path, step: str) -> Path:
    """Lock a digest that the registry does not hold."""
    path = project / "images.lock.json"
    lock = json.loads(path.read_text())
    image = lock["images"][step]
    image["reference"] = image["reference"].replace(image["digest"], NO_DIGEST)
    image["digest"] = NO_DIGEST
    path.write_text(json.dumps(lock))
    return project


def with_changed_code(project: Path, step: str) -> Path:
    """Change one file of a step."""
    path = project / "components" / step / "step.py"
    path.write_text(path.read_text() + "\n# changed by a test\n")
    return project
