"""TFDV's own validation, as a second opinion, and the Anomalies proto that other tools read.

TFDV judges by its summaries: it misses out-of-domain values beyond the most frequent 1,000, and tells
neither rows nor examples. So what schema_skew.py checks exactly is judged there; what only TFDV checks
(sparse and weighted features, comparators of the number of examples, domains that do not fit) is taken
from here.
"""

from collections.abc import Iterable, Iterator, Sequence

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from penstock.components.tfdv_library.light_import import tfdv_module
from penstock.components.validate_data.findings import Finding
from penstock.components.validate_data.schema_rules import environment_of
from penstock.components.validate_data.value_skew import CATEGORICAL, Drift

Info = anomalies_pb2.AnomalyInfo

# What schema_skew.py finds, in TFDV's terms.
TYPES = {
    "too_few_rows": Info.DATASET_LOW_NUM_EXAMPLES,
    "missing_column": Info.SCHEMA_MISSING_COLUMN,
    "new_column": Info.SCHEMA_NEW_COLUMN,
    "all_missing": Info.FEATURE_TYPE_NOT_PRESENT,
    "missing_values": Info.FEATURE_TYPE_LOW_FRACTION_PRESENT,
    "shape": Info.FEATURE_TYPE_LOW_NUMBER_VALUES,
    "wrong_type": Info.UNEXPECTED_DATA_TYPE,
    "out_of_domain": Info.ENUM_TYPE_UNEXPECTED_STRING_VALUES,
    "nan": Info.FLOAT_TYPE_HAS_NAN,
    "infinite": Info.FLOAT_TYPE_HAS_INF,
    "too_small": Info.FLOAT_TYPE_SMALL_FLOAT,
    "too_large": Info.FLOAT_TYPE_BIG_FLOAT,
    "not_unique": Info.FEATURE_TYPE_LOW_UNIQUE,
    "unique_values": Info.FEATURE_TYPE_LOW_UNIQUE,
}
OTHER = "tfdv"
FEATURES_AT_ONCE = 500
OURS = (
    "BOOL_TYPE_",
    "ENUM_TYPE_",
    "FLOAT_TYPE_",
    "INT_TYPE_",
    "STRING_TYPE_",
    "FEATURE_TYPE_",
    "COMPARATOR_",
)
OURS_TOO = frozenset(
    {"SCHEMA_MISSING_COLUMN", "SCHEMA_NEW_COLUMN", "UNEXPECTED_DATA_TYPE", "MULTIPLE_REASONS"}
)


def find_what_only_tfdv_checks(
    statistics: statistics_pb2.DatasetFeatureStatistics, schema: schema_pb2.Schema
) -> list[Finding]:
    """Return a finding for each anomaly of a kind that schema_skew.py does not check."""
    reasons: dict[tuple[str, int, str], anomalies_pb2.AnomalyInfo.Reason] = {}
    for anomalies in _validate_in_pieces(statistics, schema):
        infos = [*anomalies.anomaly_info.items(), ("", anomalies.dataset_anomaly_info)]
        reasons |= {
            (name, reason.type, reason.description): reason for name, info in infos for reason in info.reason
        }
    findings = []
    for (name, _, _), reason in sorted(reasons.items(), key=lambda one: one[0]):
        kind = Info.Type.Name(reason.type)
        if kind.startswith(OURS) or kind in OURS_TOO:
            continue
        where = f"feature {name!r}" if name else "the data"
        said = " ".join(reason.description.split()) or reason.short_description
        expected = reason.short_description or kind.lower()
        findings.append(Finding(OTHER, name, expected, said, f"{where}: {said}"))
    return findings


def _validate_in_pieces(
    statistics: statistics_pb2.DatasetFeatureStatistics, schema: schema_pb2.Schema
) -> Iterator[anomalies_pb2.Anomalies]:
    """Validate some features at a time: TFDV's time grows with the square of their number.

    Sparse and weighted features are made of several: with them, all go together.
    """
    if len(schema.feature) <= FEATURES_AT_ONCE or schema.sparse_feature or schema.weighted_feature:
        yield validate(statistics, schema)
        return
    known = {feature.path.step[0]: feature for feature in statistics.features}
    for start in range(0, len(schema.feature), FEATURES_AT_ONCE):
        piece = schema.feature[start : start + FEATURES_AT_ONCE]
        part, expected = statistics_pb2.DatasetFeatureStatistics(), schema_pb2.Schema()
        part.name, part.num_examples = statistics.name, statistics.num_examples
        part.features.extend(known[feature.name] for feature in piece if feature.name in known)
        for name in ("string_domain", "int_domain", "float_domain", "default_environment"):
            getattr(expected, name).extend(getattr(schema, name))
        if schema.HasField("dataset_constraints"):
            expected.dataset_constraints.CopyFrom(schema.dataset_constraints)
        expected.feature.extend(piece)
        yield validate(part, expected)


def validate(
    statistics: statistics_pb2.DatasetFeatureStatistics, schema: schema_pb2.Schema
) -> anomalies_pb2.Anomalies:
    """Return what `tfdv.validate_statistics` returns: the call that it makes, without its imports."""
    extension = tfdv_module("pywrap.tensorflow_data_validation_extension").validation
    empty = b""
    known = schema_pb2.Schema()
    known.CopyFrom(schema)
    for feature in known.feature:
        if feature.WhichOneof("domain_info") not in ("string_domain", "domain"):
            feature.ClearField("distribution_constraints")  # schema_skew.py knows them for numbers as well
    found = extension.ValidateFeatureStatistics(
        statistics.SerializeToString(),
        known.SerializeToString(),
        environment_of(schema).encode(),
        empty,  # previous span
        empty,  # serving
        empty,  # previous version
        empty,  # features needed
        empty,  # validation config
        False,  # no regions of a fixed schema
    )
    return anomalies_pb2.Anomalies.FromString(found)


def make_anomalies(
    schema: schema_pb2.Schema, findings: Sequence[Finding], drifts: Iterable[Drift]
) -> anomalies_pb2.Anomalies:
    """Return findings and drift as TFDV's proto: what blocks is an ERROR, what warns a WARNING."""
    result = anomalies_pb2.Anomalies(
        baseline=schema, anomaly_name_format=anomalies_pb2.Anomalies.SERIALIZED_PATH
    )
    for finding in findings:
        info = result.anomaly_info[finding.feature] if finding.feature else result.dataset_anomaly_info
        if finding.feature:
            info.path.step[:] = [finding.feature]
        info.severity = max(info.severity, Info.ERROR if finding.severity == "block" else Info.WARNING)
        info.reason.add(
            type=TYPES.get(finding.check, Info.UNKNOWN_TYPE),
            short_description=finding.check.replace("_", " "),
            description=finding.sentence,
        )
    for info in (*result.anomaly_info.values(), result.dataset_anomaly_info):
        if info.reason:
            several = len(info.reason) > 1
            info.short_description = "Multiple errors" if several else info.reason[0].short_description
            info.description = " ".join(reason.description for reason in info.reason)
    for drift in drifts:
        measured = result.drift_skew_info.add()
        measured.path.step.append(drift.feature)
        kind = "L_INFTY" if drift.kind == CATEGORICAL else "JENSEN_SHANNON_DIVERGENCE"
        measurement = measured.drift_measurements.add(value=drift.distance, threshold=drift.limit)
        measurement.type = type(measurement).Type.Value(kind)
    return result
