"""Checks that a schema makes sense by itself, before any data are held against it."""

from collections.abc import Iterator
from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.data_schema.schema_text import lines_of_features, read_schema
from penstock.components.step_io.errors import StepError

TYPE_OF_DOMAIN = {
    "int_domain": ("INT",),
    "float_domain": ("FLOAT",),
    "string_domain": ("BYTES",),
    "bool_domain": ("INT", "BYTES", "FLOAT"),
    "natural_language_domain": ("BYTES",),
}


def load_schema(path: Path, name: str = "") -> schema_pb2.Schema:
    """Return a schema that makes sense.

    Raises:
        StepError: It cannot be read, or it contradicts itself: all faults, each with its line.
    """
    schema = read_schema(path, name)
    faults = faults_of(schema)
    if faults:
        lines = lines_of_features(path)
        name = name or str(path)
        raise StepError("; ".join(located(name, lines, feature, fault) for feature, fault in faults))
    return schema


def located(name: str, lines: dict[str, int], feature: str, fault: str) -> str:
    """Return a fault with the file and the line of its feature."""
    where = f"{name}:{lines[feature]}" if feature in lines else name
    return f"{where}: {fault}"


def faults_of(schema: schema_pb2.Schema) -> list[tuple[str, str]]:
    """Return what is wrong, as (feature, sentence)."""
    faults: list[tuple[str, str]] = []
    seen: set[str] = set()
    domains = {domain.name for domain in (*schema.string_domain, *schema.int_domain, *schema.float_domain)}
    for feature in schema.feature:
        if feature.name in seen:
            faults.append((feature.name, f"feature {feature.name!r} is there twice"))
        seen.add(feature.name)
        faults += [
            (feature.name, f"feature {feature.name!r}: {fault}") for fault in _feature(feature, domains)
        ]
    return faults


def _feature(feature: schema_pb2.Feature, domains: set[str]) -> Iterator[str]:
    if not feature.name:
        yield "it has no name"
    kind = schema_pb2.FeatureType.Name(feature.type)
    if kind not in ("BYTES", "INT", "FLOAT"):
        yield f"its type is {kind}, allowed are BYTES (text), INT and FLOAT"
    info = feature.WhichOneof("domain_info")
    if info == "domain" and feature.domain not in domains:
        yield f"its domain {feature.domain!r} is not in the schema"
    elif info in TYPE_OF_DOMAIN and kind not in TYPE_OF_DOMAIN[info]:
        yield f"a {info} does not go with the type {kind}"
    if info in ("int_domain", "float_domain"):
        yield from _range(info, getattr(feature, info))
    if info == "string_domain":
        yield from _values(feature.string_domain)
    if info == "bool_domain" and feature.bool_domain.true_value == feature.bool_domain.false_value != "":
        yield f"bool_domain: true and false are both {feature.bool_domain.true_value!r}"
    presence, mass = feature.presence, feature.distribution_constraints.min_domain_mass
    if not 0 <= presence.min_fraction <= 1:
        yield f"presence.min_fraction is {presence.min_fraction:g}, allowed is 0 to 1"
    if not 0 <= mass <= 1:
        yield f"distribution_constraints.min_domain_mass is {mass:g}, allowed is 0 to 1"
    for name in ("value_count", "unique_constraints"):
        if not feature.HasField(name):
            continue
        limits = getattr(feature, name)
        if limits.HasField("max") and limits.min > limits.max:
            yield f"{name}: the smallest allowed number, {limits.min}, is above the largest, {limits.max}"


def _range(info: str, domain: schema_pb2.IntDomain | schema_pb2.FloatDomain) -> Iterator[str]:
    if domain.HasField("min") and domain.HasField("max") and domain.min > domain.max:
        yield f"{info}: min {domain.min:g} is above max {domain.max:g}"


def _values(domain: schema_pb2.StringDomain) -> Iterator[str]:
    if not domain.value:
        yield "string_domain: it lists no value, so that no text would be allowed"
    twice = sorted({value for value in domain.value if list(domain.value).count(value) > 1})
    if twice:
        yield f"string_domain: {', '.join(map(repr, twice[:5]))} listed twice"
