"""Drafts a schema from statistics: what held for all rows seen, with slack where more data will differ.

What is decided here, a person reviews: each guess is told as a comment in the file.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.data_schema.names import is_code, is_quantity, is_time
from penstock.components.tfdv_library.summary import LARGE_TEXT, Dataset, Feature

NO_DRIFT = "no_drift"  # annotation: the column changes by its nature and is not compared with a baseline
MOST_IN_DOMAIN = 100  # texts of more different values get no domain
CLOSED_DOMAIN = 10  # up to so many texts, each seen twice or more: no other is allowed
FEW_CODES = 20  # integers of so few different values are categories, unless their name counts something
MANY_CODES = 100  # integers of so many are, when their name says code, area, zone, hour, ...
ENOUGH_ROWS = 100  # with fewer, nothing is said about identifiers
UNIQUE_SHARE = 0.95
UNIX_SECONDS = (500_000_000, 5_000_000_000)  # 1985 to 2128

HEAD = [
    "What the data must look like: a TFDV schema, reviewed like code.",
    "Drafted by `penstock schema infer`; comments say what was guessed. To review:",
    "- presence: min_fraction is the smallest share of rows that must have a value (1: every row)",
    "- string_domain: the texts allowed; distribution_constraints.min_domain_mass: the share of the",
    "  values that must be among them (0.99: one in a hundred may be new)",
    "- int_domain, float_domain: add min and max where you know them",
    "- int_domain { is_categorical: true }: the number is a name; the model learns it as such",
    f'- annotation {{ tag: "{NO_DRIFT}" }}: changes by its nature; not compared with earlier data',
    "Check it with `penstock schema check`.",
]


@dataclass
class Draft:
    """A schema and, by feature, what its reader should know."""

    schema: schema_pb2.Schema
    comments: dict[str, list[str]] = field(default_factory=dict)


def draft_schema(dataset: Dataset, event_time: str = "") -> Draft:
    """Return a schema that the data pass, and that more data of their kind should pass.

    Args:
        dataset: Statistics of all rows.
        event_time: Column with the time of the event; empty when there is none.
    """
    draft = Draft(schema_pb2.Schema())
    for found in dataset.features.values():
        feature = draft.schema.feature.add(name=found.name)
        notes = list(_describe(feature, found, event_time))
        if notes:
            draft.comments[found.name] = notes
    return draft


def _describe(feature: schema_pb2.Feature, found: Feature, event_time: str) -> Iterable[str]:
    """Fill in a feature and yield the comments."""
    feature.type = {
        "string": schema_pb2.BYTES,
        "double": schema_pb2.FLOAT,
    }.get(found.column_type, schema_pb2.INT)
    _presence(feature, found)
    if not found.present:
        yield "no row has a value: the type is a guess, and so is whether the column is needed"
        return
    if found.name == event_time:
        feature.annotation.tag.append(NO_DRIFT)
        yield "the event time: always moves on"
    if found.is_text:
        yield from _text(feature, found)
    elif found.is_bool:
        feature.bool_domain.SetInParent()
    elif feature.type == schema_pb2.INT:
        yield from _integer(feature, found)
    else:
        yield from _float(feature, found)
    if found.unique == 1 and found.present > 1:
        yield "one and the same value in all rows that have one"


def _presence(feature: schema_pb2.Feature, found: Feature) -> None:
    """Require a value in every row when all rows have one, else in a share of them, with slack.

    The slack is the largest of 2 % of the rows, a quarter of the missing share, and three standard
    errors of the share, sqrt(f (1 - f) / n).
    """
    if found.rows and not found.missing:
        feature.presence.min_fraction = 1.0
        feature.presence.min_count = 1
        feature.shape.dim.add(size=1)
        return
    feature.value_count.min = 1
    feature.value_count.max = 1
    if not found.present:
        return
    share = 1 - found.missing_share
    slack = max(0.02, 0.25 * (1 - share), 3 * math.sqrt(share * (1 - share) / found.rows))
    least = math.floor((share - slack) * 100) / 100
    if least >= 0.05:
        feature.presence.min_fraction = least
        feature.presence.min_count = 1


def _text(feature: schema_pb2.Feature, found: Feature) -> Iterable[str]:
    counts = found.counts
    if counts and len(counts) <= MOST_IN_DOMAIN and len(counts) <= found.present / 2:
        feature.string_domain.value.extend(sorted(counts))
        once = sum(1 for count in counts.values() if count == 1)
        if len(counts) > CLOSED_DOMAIN or once:
            # Good and Turing: the share of unseen values is about that of values seen once.
            new = min(max(0.01, 3 * once / found.present), 0.1)
            feature.distribution_constraints.min_domain_mass = math.floor((1 - new) * 100) / 100
        return
    if found.present >= ENOUGH_ROWS and found.unique >= UNIQUE_SHARE * found.present:
        feature.annotation.tag.append(NO_DRIFT)
        if found.average_length >= 30 and _are_sentences(found):
            feature.natural_language_domain.SetInParent()
            yield "different in nearly every row, several words: taken for free text"
        else:
            yield "different in nearly every row, like an identifier: leave it out of the model's features"
    elif found.average_length >= 30 and found.unique > MOST_IN_DOMAIN and _are_sentences(found):
        feature.natural_language_domain.SetInParent()
        yield "several words in most values: taken for free text"
    else:
        yield f"{found.unique:,} different texts: no domain, any text is allowed"


def _are_sentences(found: Feature) -> bool:
    texts = [value for value, _ in found.top[:50]]
    long = sum(1 for text in texts if text == LARGE_TEXT or len(text.split()) >= 4)
    return bool(texts) and long >= 0.8 * len(texts)


def _integer(feature: schema_pb2.Feature, found: Feature) -> Iterable[str]:
    if feature.annotation.tag:
        return
    if set(found.counts) == {"0", "1"}:
        feature.bool_domain.SetInParent()
        yield "only 0 and 1: taken for no and yes"
        return
    looks_like_time = is_time(found.name) and UNIX_SECONDS[0] <= found.median <= UNIX_SECONDS[1]
    if looks_like_time and found.unique > MANY_CODES:
        feature.annotation.tag.append(NO_DRIFT)
        yield "looks like a time in seconds: always moves on"
    elif found.present >= ENOUGH_ROWS and found.unique >= UNIQUE_SHARE * found.present:
        feature.annotation.tag.append(NO_DRIFT)
        yield "different in nearly every row, like an identifier: leave it out of the model's features"
    elif 1 < found.unique <= FEW_CODES and found.present >= 5 * found.unique and not is_quantity(found.name):
        feature.int_domain.is_categorical = True
        yield f"{found.unique} different numbers: taken for categories"
    elif is_code(found.name) and found.unique <= MANY_CODES and found.present >= 5 * found.unique:
        feature.int_domain.is_categorical = True
        yield f"{found.unique} different numbers that look like codes: taken for categories"
    elif is_code(found.name):
        yield f"{found.unique:,} different numbers, maybe codes: int_domain {{ is_categorical: true }} says so"


def _float(feature: schema_pb2.Feature, found: Feature) -> Iterable[str]:
    if not found.nan:
        feature.float_domain.disallow_nan = True
    if not found.infinite:
        feature.float_domain.disallow_inf = True
    if found.nan:
        yield f"{found.nan:,} values are NaN: better missing than NaN"
    if found.infinite:
        yield f"{found.infinite:,} values are infinite"
