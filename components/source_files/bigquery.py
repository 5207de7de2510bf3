"""Calls of BigQuery: who we are, what a table is (REST v2, tables.get), what is tried again, and errors as a sentence.

BIGQUERY_EMULATOR_HOST (as Google's own client reads it, with http://) and BIGQUERY_STORAGE_EMULATOR_HOST (host:port,
gRPC without TLS) name other servers than Google's; nobody logs in there.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from penstock.components.source_files.tables import Column, Table, TableName, sql_type
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

REST_VARIABLE = "BIGQUERY_EMULATOR_HOST"
STORAGE_VARIABLE = "BIGQUERY_STORAGE_EMULATOR_HOST"
SCOPES = (
    "https://www.googleapis.com/auth/bigquery.readonly",
    "https://www.googleapis.com/auth/cloud-platform",
)
ATTEMPTS = 6
FIRST_WAIT_S = 1.0  # doubled from attempt to attempt: half a minute in all
CALL_TIMEOUT_S = 60.0

Found = TypeVar("Found")


def account(variable: str) -> tuple[Any, str]:
    """Return the credentials for the server that a variable may name, and the account's project or ''.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: There are none.
    """
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    if os.environ.get(variable):
        return AnonymousCredentials(), os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    credentials, project = google.auth.default(scopes=SCOPES)
    return credentials, project or ""


def inspect_table(name: TableName) -> Table:
    """Return what BigQuery tells of a table.

    Raises:
        StepError: There is none, it is a view or lies outside BigQuery, no permission, no credentials, or BigQuery does
            not answer.
    """
    with table_errors(name):
        from google.cloud import bigquery

        credentials, project = account(REST_VARIABLE)
        client = bigquery.Client(project=project or name.project, credentials=credentials)
        reference = bigquery.DatasetReference(name.project, name.dataset).table(name.table)
        try:
            found = attempts(
                f"tables.get of {name}",
                lambda: client.get_table(reference, retry=None, timeout=CALL_TIMEOUT_S),
            )
        finally:
            client.close()
    resource = found.to_api_repr()
    _check_kind(name, resource)
    streaming = bool(resource.get("streamingBuffer"))
    modified_us = int(resource["lastModifiedTime"]) * 1000
    is_past = name.snapshot_us is not None and name.snapshot_us < modified_us
    fields = resource.get("schema", {}).get("fields", [])
    return Table(
        name,
        tuple(Column(field["name"], _type_of(field), sql_type(field)) for field in fields),
        -1 if streaming or is_past else int(resource.get("numRows", -1)),
        int(resource.get("numBytes", 0)),
        int(resource["creationTime"]) * 1000,
        modified_us,
        streaming,
        time.time_ns() // 1000,
    )


def _type_of(field: dict[str, Any]) -> str:
    return f"ARRAY<{field['type']}>" if field.get("mode") == "REPEATED" else str(field["type"])


def _check_kind(name: TableName, resource: dict[str, Any]) -> None:
    """Refuse what the Storage Read API cannot read: https://cloud.google.com/bigquery/docs/reference/storage."""
    kind = resource.get("type", "TABLE")
    if kind in ("VIEW", "MATERIALIZED_VIEW"):
        what = "materialized view" if kind == "MATERIALIZED_VIEW" else "view"
        raise StepError(
            f"the source '{name}' is a {what}, whose rows BigQuery gives to queries only: write them into a table "
            "(CREATE TABLE … AS SELECT, or a scheduled query) and name that, or name the table below it and put its "
            "SELECT into data.query"
        )
    if kind == "EXTERNAL":
        raise StepError(
            f"the source '{name}' is an external table, whose rows lie outside BigQuery: name its files as the source, or "
            "load them into a table"
        )
    if not resource.get("schema", {}).get("fields"):
        raise StepError(f"the table '{name}' has no columns: load data into it")


def attempts(
    what: str,
    call: Callable[[], Found],
    is_over: threading.Event | None = None,
    progress: Callable[[], int] = lambda: 0,
) -> Found:
    """Return what a call gives, which is made again after errors that pass.

    Args:
        what: For the log.
        call: The call.
        is_over: Set when nobody waits any more: the next error ends it.
        progress: How far the call has got; attempts are counted from the last one that got on.
    """
    is_over = is_over or threading.Event()
    failed, reached = 0, progress()
    while True:
        try:
            return call()
        except Exception as error:
            if progress() != reached:
                failed, reached = 0, progress()
            failed += 1
            if not passes(error) or failed >= ATTEMPTS or is_over.is_set():
                raise
            wait_s = FIRST_WAIT_S * 2 ** (failed - 1)
            log.warning("%s: %s; attempt %d of %d follows", what, first_line(error), failed + 1, ATTEMPTS)
            is_over.wait(wait_s)


def passes(error: Exception) -> bool:
    """Return whether an error may be gone a moment later."""
    import requests.exceptions
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError

    passing = (
        exceptions.ServerError,  # 500, 502, 503, 504 and what gRPC has of the like
        exceptions.TooManyRequests,
        exceptions.Aborted,
        exceptions.Cancelled,  # by the server: a stream that was moved
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        TransportError,
    )
    if isinstance(error, exceptions.MethodNotImplemented | exceptions.DataLoss):
        return False
    return isinstance(error, passing) or _reason(error) in ("rateLimitExceeded", "backendError")


@contextmanager
def table_errors(name: TableName, project: str = "") -> Iterator[None]:
    """Turn what Google's clients raise into a StepError; `project` is the one that read sessions are made in."""
    try:
        yield
    except StepError:
        raise
    except Exception as error:
        if sentence := _sentence(name, project, error):
            raise StepError(sentence) from error
        raise


def _sentence(name: TableName, project: str, error: Exception) -> str:
    import requests.exceptions
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError, TransportError

    text = first_line(error)
    if isinstance(error, TransportError | requests.exceptions.ConnectionError | requests.exceptions.Timeout):
        return f"BigQuery cannot be reached for '{name}' ({text}): check the network, then run again"
    if isinstance(error, GoogleAuthError | exceptions.Unauthenticated | exceptions.Unauthorized):
        return (
            f"no credentials for '{name}' ({text}): run `gcloud auth application-default login` on a laptop, or give "
            "the step's service account one of Google Cloud (Workload Identity)"
        )
    if isinstance(error, exceptions.NotFound):
        return f"there is no table '{name}' ({text}): check project, dataset and table"
    if isinstance(error, exceptions.Forbidden):
        if _reason(error) == "accessNotConfigured" or "has not been used in project" in text:
            return (
                f"an API of BigQuery is off for '{name}' ({text}): enable bigquery.googleapis.com and "
                "bigquerystorage.googleapis.com"
            )
        if _reason(error) in ("quotaExceeded", "rateLimitExceeded"):
            return f"a quota of BigQuery is used up for '{name}' ({text}): run again later, or raise it"
        where = f" on the project {project!r}" if project else " on the project of the account"
        return (
            f"no permission to read '{name}' ({text}): give the account roles/bigquery.dataViewer on the table and "
            f"roles/bigquery.readSessionUser{where}"
        )
    if isinstance(error, exceptions.TooManyRequests):
        return f"a quota of BigQuery is used up for '{name}' ({text}): run again later, or raise it"
    if passes(error):
        return f"BigQuery does not answer for '{name}', {ATTEMPTS} times ({text}): run again later"
    if isinstance(error, exceptions.GoogleAPICallError):
        if "without a filter" in text:
            return (
                f"the table '{name}' asks for a filter on its partitions ({text}): set data.event_time to that column, "
                "since or until, and leave data.query empty"
            )
        return f"BigQuery refuses to read '{name}': {text}"
    return ""


def first_line(error: Exception) -> str:
    """Return the message of an error, in one line without a full stop and without the URL that was called."""
    text = str(getattr(error, "message", "") or error or type(error).__name__).strip()
    return re.sub(r"^[A-Z]+ https?://\S+: ", "", text).partition("\n")[0].rstrip(".")[:300]


def _reason(error: Exception) -> str:
    """Return the reason that the REST API gives beside the status, or ''."""
    details = getattr(error, "errors", None)
    first = details[0] if isinstance(details, list | tuple) and details else None
    return str(first.get("reason", "")) if isinstance(first, dict) else ""
