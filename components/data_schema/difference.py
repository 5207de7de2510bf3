"""Tells how two schemas differ, feature by feature, in sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from google.protobuf import text_format
from google.protobuf.message import Message
from tensorflow_metadata.proto.v0 import schema_pb2

MOST_VALUES = 8  # named of a domain's new or lost values
TOLD = ("name", "type", "presence", "domain", "string_domain", "int_domain", "float_domain", "bool_domain")


@dataclass(frozen=True)
class Change:
    """One change: `kind` is added, removed or changed."""

    feature: str
    kind: str
    sentence: str

    def as_dict(self) -> dict[str, str]:
        """Return the change for JSON."""
        return asdict(self)


def diff_schemas(old: schema_pb2.Schema, new: schema_pb2.Schema) -> list[Change]:
    """Return what changed, in the order of the new schema, then what is gone."""
    before = {feature.name: feature for feature in old.feature}
    after = {feature.name: feature for feature in new.feature}
    domains = {domain.name: list(domain.value) for domain in old.string_domain}
    new_domains = {domain.name: list(domain.value) for domain in new.string_domain}
    changes = []
    for name, feature in after.items():
        if name not in before:
            changes.append(Change(name, "added", f"is new: {_what(feature)}"))
            continue
        changes += [
            Change(name, "changed", sentence)
            for sentence in _changes(before[name], feature, domains, new_domains)
        ]
    for name, feature in before.items():
        if name not in after:
            changes.append(Change(name, "removed", f"is gone: it was {_what(feature)}"))
    return changes


def _changes(
    old: schema_pb2.Feature,
    new: schema_pb2.Feature,
    old_domains: dict[str, list[str]],
    new_domains: dict[str, list[str]],
) -> Iterator[str]:
    if old.type != new.type:
        yield f"type: {_type(old)} is now {_type(new)}"
    if old.presence != new.presence:
        yield f"presence: {_presence(old)} is now {_presence(new)}"
    yield from _domain(_texts(old, old_domains), _texts(new, new_domains))
    old_mass, new_mass = _mass(old), _mass(new)
    if old_mass != new_mass and (_texts(old, old_domains) or _texts(new, new_domains)):
        yield f"share of values that must be in the domain: {old_mass:g} is now {new_mass:g}"
    for kind in ("int_domain", "float_domain", "bool_domain"):
        yield from _fields(
            kind, getattr(old, kind), getattr(new, kind), old.HasField(kind), new.HasField(kind)
        )
    known = {*TOLD, "distribution_constraints"}
    names = {field.name for field in schema_pb2.Feature.DESCRIPTOR.fields} - known
    for name in sorted(names):
        if _plain(old, name) != _plain(new, name):
            yield f"{name}: {_plain(old, name) or 'nothing'} is now {_plain(new, name) or 'nothing'}"


def _domain(old: Sequence[str] | None, new: Sequence[str] | None) -> Iterator[str]:
    if old is None and new is not None:
        yield f"domain: any text was allowed, now {len(new)} values"
    elif old is not None and new is None:
        yield f"domain: {len(old)} values were allowed, now any text"
    elif old is not None and new is not None:
        added = [value for value in new if value not in set(old)]
        lost = [value for value in old if value not in set(new)]
        if added:
            yield f"domain: {len(added)} more allowed: {_some(added)}"
        if lost:
            yield f"domain: {len(lost)} no longer allowed: {_some(lost)}"


def _fields(kind: str, old: Message, new: Message, had: bool, has: bool) -> Iterator[str]:
    if not had and not has:
        return
    if had != has and not old.ByteSize() and not new.ByteSize():
        yield f"{kind}: {'set' if has else 'not set any more'}"
    for field in old.DESCRIPTOR.fields:
        before = getattr(old, field.name) if old.HasField(field.name) else None
        after = getattr(new, field.name) if new.HasField(field.name) else None
        if before != after:
            yield f"{kind}.{field.name}: {_or_none(before)} is now {_or_none(after)}"


def _texts(feature: schema_pb2.Feature, domains: dict[str, list[str]]) -> list[str] | None:
    kind = feature.WhichOneof("domain_info")
    if kind == "string_domain":
        return list(feature.string_domain.value)
    return domains.get(feature.domain) if kind == "domain" else None


def _mass(feature: schema_pb2.Feature) -> float:
    constraints = feature.distribution_constraints
    return constraints.min_domain_mass if constraints.HasField("min_domain_mass") else 1.0


def _what(feature: schema_pb2.Feature) -> str:
    return f"{_type(feature)}, {_presence(feature)}"


def _type(feature: schema_pb2.Feature) -> str:
    return schema_pb2.FeatureType.Name(feature.type)


def _presence(feature: schema_pb2.Feature) -> str:
    least = feature.presence.min_fraction
    if least >= 1:
        return "in every row"
    if least > 0:
        return f"in at least {100 * least:g} % of the rows"
    return "optional" if not feature.presence.min_count else f"in at least {feature.presence.min_count} rows"


def _plain(feature: schema_pb2.Feature, name: str) -> str:
    """Return a field as short text."""
    part = schema_pb2.Feature()
    part.CopyFrom(feature)
    for other in part.DESCRIPTOR.fields:
        if other.name != name:
            part.ClearField(other.name)
    text = text_format.MessageToString(part, as_one_line=True, as_utf8=True)
    return text.removeprefix(f"{name}:").removeprefix(f"{name} ").strip()


def _some(values: Sequence[str]) -> str:
    named = ", ".join(repr(value) for value in values[:MOST_VALUES])
    return named if len(values) <= MOST_VALUES else f"{named} and {len(values) - MOST_VALUES} more"


def _or_none(value: object) -> str:
    if value is None:
        return "not set"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
