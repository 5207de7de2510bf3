"""What a schema says about one feature, in the terms of the checks."""

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2

TRAINING = "TRAINING"  # the schema environment that training data are in, where a schema has environments
NOT_VALIDATED = (
    schema_pb2.PLANNED,
    schema_pb2.ALPHA,
    schema_pb2.DEPRECATED,
    schema_pb2.DEBUG_ONLY,
    schema_pb2.DISABLED,
    schema_pb2.VALIDATION_DERIVED,
)
NO_DRIFT = "no_drift"  # annotation: changes by its nature, never compared with a baseline
UNIQUE = "unique"  # annotation: no value may come twice


def validated_features(schema: schema_pb2.Schema) -> Iterator[schema_pb2.Feature]:
    """Yield the features that hold for training data: not those of a stage before or after production."""
    environment = environment_of(schema)
    for feature in schema.feature:
        if feature.deprecated or feature.lifecycle_stage in NOT_VALIDATED:
            continue
        listed = environment in feature.in_environment
        if (
            environment
            and not listed
            and (feature.in_environment or environment in feature.not_in_environment)
        ):
            continue
        yield feature


def environment_of(schema: schema_pb2.Schema) -> str:
    """Return the environment of training data, or an empty text when the schema has none."""
    return TRAINING if TRAINING in schema.default_environment else ""


def is_required(feature: schema_pb2.Feature) -> bool:
    """Tell whether the column must be there."""
    return feature.presence.min_fraction > 0 or feature.presence.min_count > 0


def texts_of(feature: schema_pb2.Feature, schema: schema_pb2.Schema) -> list[str] | None:
    """Return the texts that a feature may hold; None: any."""
    kind = feature.WhichOneof("domain_info")
    if kind == "string_domain":
        return list(feature.string_domain.value)
    if kind == "domain":
        return next((list(one.value) for one in schema.string_domain if one.name == feature.domain), None)
    if kind == "bool_domain" and feature.type == schema_pb2.BYTES:
        domain = feature.bool_domain
        return [domain.true_value or "true", domain.false_value or "false"]
    return None


def range_of(feature: schema_pb2.Feature, schema: schema_pb2.Schema) -> tuple[float | None, float | None]:
    """Return the smallest and the largest number allowed; None: no bound."""
    kind = feature.WhichOneof("domain_info")
    domain: schema_pb2.IntDomain | schema_pb2.FloatDomain | None = None
    if kind in ("int_domain", "float_domain"):
        domain = getattr(feature, kind)
    elif kind == "domain":
        shared = [*schema.int_domain, *schema.float_domain]
        domain = next((one for one in shared if one.name == feature.domain), None)
    if kind == "bool_domain" and feature.type != schema_pb2.BYTES:
        return 0, 1
    if domain is None:
        return None, None
    return (
        domain.min if domain.HasField("min") else None,
        domain.max if domain.HasField("max") else None,
    )


def allowed_outside(feature: schema_pb2.Feature) -> float:
    """Return the share of values that may be outside the domain."""
    constraints = feature.distribution_constraints
    return 1 - constraints.min_domain_mass if constraints.HasField("min_domain_mass") else 0.0


def is_categorical(feature: schema_pb2.Feature) -> bool:
    """Tell whether the schema says that a number is a name."""
    return feature.WhichOneof("domain_info") == "bool_domain" or feature.int_domain.is_categorical
