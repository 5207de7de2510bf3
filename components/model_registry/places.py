"""Where artifacts lie: on this machine, or where only MLflow can fetch them."""

import re
from pathlib import Path

SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
FETCHED_BY_MLFLOW = frozenset(
    [
        "abfss",
        "dbfs",
        "gs",
        "hdfs",
        "http",
        "https",
        "mlflow-artifacts",
        "models",
        "runs",
        "s3",
        "wasbs",
    ]
)


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI; empty for a path."""
    found = SCHEME.match(uri)
    return found[1].lower() if found else ""


def local_folder(uri: str) -> Path | None:
    """Return the folder behind a path or a file: URI; None when it lies elsewhere."""
    if scheme_of(uri) not in ("", "file"):
        return None
    return Path(re.sub(r"^file:(//)?", "", uri))


def can_be_fetched(uri: str) -> bool:
    """Tell whether a folder exists, if it is a local one, else whether MLflow knows its scheme.

    A cluster's own store (minio://) is reached only by its launcher, not by a step.
    """
    folder = local_folder(uri)
    return folder.is_dir() if folder is not None else scheme_of(uri) in FETCHED_BY_MLFLOW
