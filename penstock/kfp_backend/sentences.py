"""What went wrong with a request to the KFP API, as one sentence with what to do."""

import json
import re
import ssl
from urllib.parse import urlsplit

from penstock.environment_models import Environment

LONGEST = 400  # characters of the API's own words
# What the API's layers prepend to the one thing that matters.
NOISE = re.compile(r"^(Failed to [^:]{0,120}|\w*Error|Internal error|rpc error|code = \w+ desc =?)[:.]\s*")


def status_sentence(status: int, text: str, environment: Environment, doing: str) -> str:
    """Return the sentence for an answer with an HTTP status of 300 or more; `text` is its body."""
    host, said = environment.host, api_words(text)
    if 300 <= status < 400:
        return (
            f"{host} sends us to a login page ({status}): it wants to know who we are, "
            f"set `auth` in the environment {environment.name}"
        )
    if status == 401:
        return f"the KFP API at {host} refuses us (401) to {doing}: {_renew(environment)}"
    if status == 403:
        return (
            f"we are not allowed (403) to {doing} at the KFP API {host}{_in_brackets(said)}: "
            f"ask for the rights in namespace {environment.namespace}, or {_renew(environment)}"
        )
    if status == 404 and said in ("", "404 page not found"):
        return f"there is no KFP API at {host} to {doing} (404): correct `host` of {environment.name}"
    if status >= 500 and not said:
        return f"the KFP API at {host} cannot {doing} now (status {status}): look at its log, then try again"
    return f"the KFP API at {host} refuses to {doing} ({status}): {said or 'it does not say why'}"


def network_sentence(error: BaseException, environment: Environment, doing: str) -> str:
    """Return the sentence for a host that could not be spoken with."""
    host, words = environment.host, str(error)
    name = urlsplit(host).netloc
    if _has(error, ssl.SSLError, "SSLError") or "CERTIFICATE" in words or "SSLError" in words:
        if "WRONG_VERSION_NUMBER" in words or "RECORD_LAYER_FAILURE" in words:
            return f"{name} does not speak TLS, so we cannot {doing}: write `host` with http://"
        reason = re.search(r"certificate verify failed: ([^(\[]+?)\s*[(\[]", words)
        why = reason.group(1) if reason else "the connection is not safe"
        return (
            f"the certificate of {name} is not to be trusted ({why}), so we cannot {doing}: "
            "set `tls_ca` to the file of the authority that signed it, or correct `host`"
        )
    if "NameResolutionError" in words or "Name or service not known" in words or "getaddrinfo" in words:
        return f"there is no host {urlsplit(host).hostname!r}, so we cannot {doing}: correct `host` of {environment.name}"
    if _has(error, TimeoutError, "TimeoutError") or "timed out" in words:
        return f"the KFP API at {host} does not answer in time, so we cannot {doing}: is it up, and the way to it open?"
    reason_words = "the connection is refused" if "refused" in words else "the connection breaks"
    return f"the KFP API at {host} cannot be reached ({reason_words}) to {doing}: is it up, and `host` right?"


def api_words(text: str) -> str:
    """Return what the API says in the body of a refusal, without its layers' prefixes; empty for a page."""
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    if isinstance(body, dict):
        words = str(body.get("message") or body.get("error") or body.get("error_message") or "")
    else:
        words = "" if "<" in str(body)[:100] else str(body)
    words = " ".join(words.split())
    while (shorter := NOISE.sub("", words)) != words:
        words = shorter
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}…"


def _renew(environment: Environment) -> str:
    auth = environment.auth
    if auth.kind == "token":
        where = f"the variable {auth.variable}" if auth.variable else f"the file {auth.file}"
        return f"renew the token in {where}"
    if auth.kind == "none":
        return f"the environment {environment.name} gives no token, set its `auth`"
    return f"check who `auth` ({auth.kind}) of the environment {environment.name} says we are"


def _in_brackets(words: str) -> str:
    return f" ({words})" if words else ""


def _has(error: BaseException | None, kind: type[BaseException], name: str) -> bool:
    """Tell whether an error, its reason or what it came from is of a kind."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, kind) or type(one).__name__.endswith(name):
            return True
        waiting += [getattr(one, "reason", None), one.__cause__, one.__context__]
    return False
