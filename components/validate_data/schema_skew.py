"""Schema skew: does the data hold what the schema says? Each check exact, whatever the number of values."""

import difflib
from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.html_report.numbers import share, tick_label
from penstock.components.tfdv_library.summary import Dataset, Feature
from penstock.components.validate_data import offending, schema_rules
from penstock.components.validate_data.findings import Finding, about_rows
from penstock.components.validate_data.offending import Shards

KINDS = {"string": "text", "int64": "whole numbers", "double": "numbers", "bool": "truth values"}
EXPECTED = {schema_pb2.BYTES: "text", schema_pb2.INT: "whole numbers", schema_pb2.FLOAT: "numbers"}


def find_schema_skew(
    data: Dataset, schema: schema_pb2.Schema, shards: Shards, min_rows: int
) -> list[Finding]:
    """Return what breaks the schema, worst first."""
    findings = [*_rows(data, min_rows), *_columns(data, schema)]
    for feature in schema_rules.validated_features(schema):
        found = data.features.get(feature.name)
        if found is not None and data.rows:
            findings += _feature(feature, found, schema, shards)
    return sorted(
        findings, key=lambda one: (one.severity != "block", bool(one.feature), -(one.rows or data.rows))
    )


def _rows(data: Dataset, min_rows: int) -> Iterator[Finding]:
    if data.rows < min_rows:
        count = "no rows" if not data.rows else "1 row" if data.rows == 1 else f"{data.rows:,} rows"
        sentence = f"the data have {count}, at least {min_rows:,} are expected"
        yield Finding("too_few_rows", "", f"at least {min_rows:,} rows", count, sentence, data.rows)


def _columns(data: Dataset, schema: schema_pb2.Schema) -> Iterator[Finding]:
    known = {feature.name for feature in schema.feature}
    new = [name for name in data.features if name not in known]
    for feature in schema_rules.validated_features(schema):
        if feature.name in data.features:
            continue
        near = difflib.get_close_matches(feature.name, new, n=1, cutoff=0.75)
        renamed = f"; was it renamed to {near[0]!r}?" if near else ""
        if schema_rules.is_required(feature):
            sentence = f"column {feature.name!r} is missing, the schema requires it{renamed}"
            yield Finding("missing_column", feature.name, "the column", "no such column", sentence)
        else:
            sentence = f"column {feature.name!r} is missing, the schema allows that{renamed}"
            yield Finding(
                "missing_column", feature.name, "the column", "no such column", sentence, severity="warn"
            )
    for name in new:
        sentence = f"column {name!r} is new, the schema does not know it"
        yield Finding("new_column", name, "no such column", KINDS[data.features[name].column_type], sentence)


def _feature(
    feature: schema_pb2.Feature, found: Feature, schema: schema_pb2.Schema, shards: Shards
) -> Iterator[Finding]:
    yield from _presence(feature, found)
    if not found.present:
        return
    wrong_type = list(_type(feature, found, shards))
    yield from wrong_type
    if wrong_type:
        return
    yield from _texts(feature, found, schema, shards)
    yield from _numbers(feature, found, schema, shards)
    yield from _uniqueness(feature, found, shards)


def _presence(feature: schema_pb2.Feature, found: Feature) -> Iterator[Finding]:
    least, count = feature.presence.min_fraction, feature.presence.min_count
    if found.present < least * found.rows - 1e-9 * found.rows:
        most = "every row must have one" if least >= 1 else f"at most {share(1 - least)} may be missing"
        if not found.present:
            sentence = f"feature {found.name!r}: no row has a value, {most}"
            yield Finding("all_missing", found.name, most, "no value at all", sentence, found.rows)
        else:
            yield about_rows(
                "missing_values", found.name, found.missing, found.rows, most, "have no value", most
            )
    elif found.present < count:
        expected = f"at least {count:,} rows with a value"
        sentence = f"feature {found.name!r}: {found.present:,} rows have a value, at least {count:,} must"
        yield Finding("missing_values", found.name, expected, f"{found.present:,}", sentence, found.missing)
    if feature.value_count.min > 1:
        expected = f"at least {feature.value_count.min} values in each row"
        sentence = f"feature {found.name!r}: each row has one value, the schema expects {expected}"
        yield Finding("shape", found.name, expected, "one value", sentence, found.rows)


def _type(feature: schema_pb2.Feature, found: Feature, shards: Shards) -> Iterator[Finding]:
    """Whole numbers and truth values are numbers; numbers without a fraction are whole numbers."""
    wanted, came = EXPECTED[feature.type], KINDS[found.column_type]
    if found.is_text == (feature.type == schema_pb2.BYTES):
        if feature.type == schema_pb2.INT and found.column_type == "double":
            broken = shards.find(found.name, offending.not_whole)
            if broken.rows:
                yield about_rows(
                    "wrong_type",
                    found.name,
                    broken.rows,
                    found.rows,
                    wanted,
                    "hold numbers that are not whole, the schema expects whole numbers",
                    examples=broken.examples,
                )
        return
    if not found.is_text:
        sentence = f"feature {found.name!r}: the column holds {came}, the schema expects {wanted}"
        yield Finding("wrong_type", found.name, wanted, came, sentence, found.present)
        return
    broken = shards.find(found.name, offending.no_number)
    if broken.rows:
        yield about_rows(
            "wrong_type",
            found.name,
            broken.rows,
            found.rows,
            wanted,
            f"hold text, the schema expects {wanted}",
            examples=broken.examples,
        )
    else:
        sentence = f"feature {found.name!r}: its numbers came as text, the schema expects {wanted}"
        yield Finding("wrong_type", found.name, wanted, "numbers as text", sentence, found.present)


def _texts(
    feature: schema_pb2.Feature, found: Feature, schema: schema_pb2.Schema, shards: Shards
) -> Iterator[Finding]:
    allowed = schema_rules.texts_of(feature, schema) if found.is_text else None
    if allowed is None:
        return
    if found.counts:  # the statistics list every value
        known = set(allowed)
        strange = [(value, count) for value, count in found.counts.items() if value not in known]
        strange.sort(key=lambda one: (-one[1], one[0]))
        broken = offending.Offending(sum(count for _, count in strange), [value for value, _ in strange])
    else:
        broken = shards.find(found.name, offending.outside(allowed))
    expected = f"one of {len(allowed)} values" if len(allowed) > 4 else " or ".join(map(repr, allowed))
    yield from _beyond("out_of_domain", feature, found, broken, expected, "hold values outside the domain")


def _numbers(
    feature: schema_pb2.Feature, found: Feature, schema: schema_pb2.Schema, shards: Shards
) -> Iterator[Finding]:
    if found.is_text:
        return
    if found.nan and feature.float_domain.disallow_nan:
        yield about_rows("nan", found.name, found.nan, found.rows, "no NaN", "hold NaN")
    if found.infinite and feature.float_domain.disallow_inf:
        yield about_rows(
            "infinite", found.name, found.infinite, found.rows, "no infinite values", "hold infinite values"
        )
    if found.present == found.nan:
        return
    if feature.WhichOneof("domain_info") == "bool_domain":
        if not set(found.counts) <= {"0", "1", "0.0", "1.0"} or not found.counts:
            broken = shards.find(found.name, offending.neither_zero_nor_one)
            yield from _beyond(
                "out_of_domain", feature, found, broken, "0 or 1", "hold values other than 0 and 1"
            )
        return
    least, most = schema_rules.range_of(feature, schema)
    if least is not None and found.minimum < least:
        broken = shards.find(found.name, offending.below(least))
        text = tick_label(least)
        yield from _beyond("too_small", feature, found, broken, f"at least {text}", f"are below {text}")
    if most is not None and found.maximum > most:
        broken = shards.find(found.name, offending.above(most))
        text = tick_label(most)
        yield from _beyond("too_large", feature, found, broken, f"at most {text}", f"are above {text}")


def _beyond(
    check: str,
    feature: schema_pb2.Feature,
    found: Feature,
    broken: offending.Offending,
    expected: str,
    came: str,
) -> Iterator[Finding]:
    """Yield a finding when more values than allowed are outside the domain."""
    may = schema_rules.allowed_outside(feature)
    if not broken.rows or broken.rows <= may * found.present + 1e-9 * found.present:
        return
    allowed = f"at most {share(may)} may" if may else ""
    if may:
        expected += f", for at least {share(1 - may)} of the values"
    yield about_rows(check, found.name, broken.rows, found.rows, expected, came, allowed, broken.examples)


def _uniqueness(feature: schema_pb2.Feature, found: Feature, shards: Shards) -> Iterator[Finding]:
    if schema_rules.UNIQUE in feature.annotation.tag:
        broken = shards.repeated(found.name)
        if broken.rows:
            yield about_rows(
                "not_unique",
                found.name,
                broken.rows,
                found.rows,
                "each value once",
                "repeat a value that may come once only",
                examples=broken.examples,
            )
    limits = feature.unique_constraints
    if not feature.HasField("unique_constraints"):
        return
    if found.unique < limits.min or (limits.HasField("max") and found.unique > limits.max):
        expected = f"{limits.min:,} to {limits.max:,} different values"
        if not limits.HasField("max"):
            expected = f"at least {limits.min:,} different values"
        sentence = f"feature {found.name!r}: {found.unique:,} different values, the schema expects {expected}"
        yield Finding("unique_values", found.name, expected, f"{found.unique:,}", sentence)
