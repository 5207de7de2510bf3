"""Value skew: how far the distributions moved from a baseline's, feature by feature.

Categorical features (text, truth values, codes) by the L-infinity distance: the largest change of a
value's share of the rows. Numbers by the Jensen-Shannon divergence (base 2: 0 equal, 1 disjoint) over the
baseline's deciles. In both, having no value counts as one more value. A feature has drifted when

    distance > threshold + noise

where `noise` is how large a distance chance alone explains at a level of 1 in 1,000 for the whole run
(Bonferroni over features and values), so that small samples do not fire:

    L-infinity      z sqrt(p (1 - p) (1/n + 1/m))              two-sample binomial, p pooled
    Jensen-Shannon  chi2(bins - 1) (1/n + 1/m) / (8 ln 2) + s  its asymptotic law (Menendez et al. 1997)

and s = 0.002 is what the quantiles of the statistics, exact to 1 % of the rows, add: 11 bins whose shares
are 1 % off, of about 10 % each, make 11 * 0.01^2 / (8 ln 2 * 0.1).

TFDV's own comparators know no sample size, and measure numbers over ten bins of equal width, which one
outlier makes blind.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist

from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.html_report.numbers import number, share
from penstock.components.tfdv_library.summary import Dataset, Distribution, Feature
from penstock.components.validate_data import schema_rules

CATEGORICAL, NUMERIC = "categorical", "numeric"
# A value's share moved by a tenth of the rows; a normal distribution's mean by half a standard deviation.
DEFAULTS = {CATEGORICAL: 0.1, NUMERIC: 0.05}
SKETCH_NOISE = 0.002
LEVEL = 0.001  # chance that a run without any change fires
MOST_VALUES = 1_000  # text of more different values is not compared, unless it has a domain
RARE = 4.5  # values of fewer than five rows are compared, but not drawn
MISSING = "(missing)"
OTHER = "(other)"


@dataclass(frozen=True)
class Drift:
    """How far one feature moved, and from which distance on that counts."""

    feature: str
    kind: str
    distance: float
    threshold: float
    noise: float
    sentence: str
    labels: tuple[str, ...]  # values or bins, with their shares now and in the baseline
    now: tuple[float, ...]
    before: tuple[float, ...]

    @property
    def limit(self) -> float:
        """The distance above which the feature has drifted."""
        return self.threshold + self.noise

    @property
    def drifted(self) -> bool:
        return self.distance > self.limit

    @property
    def ratio(self) -> float:
        """Distance as a multiple of the limit."""
        return self.distance / self.limit if self.limit else math.inf if self.distance else 0.0

    def as_dict(self) -> dict[str, object]:
        """Return the comparison for JSON."""
        return asdict(self) | {"limit": self.limit, "drifted": self.drifted}


@dataclass(frozen=True)
class Comparison:
    """The features that were compared, the most drifted first, and why others were not."""

    drifts: list[Drift]
    skipped: dict[str, str]

    @property
    def drifted(self) -> list[Drift]:
        """The features that have drifted."""
        return [drift for drift in self.drifts if drift.drifted]


def compare(
    data: Dataset, baseline: Dataset, schema: schema_pb2.Schema, thresholds: Mapping[str, float]
) -> Comparison:
    """Compare each feature with the baseline.

    Args:
        data: Statistics of the data.
        baseline: Statistics to compare with.
        schema: What is a category, and what is not to be compared (`no_drift`).
        thresholds: Threshold by feature, and the defaults under CATEGORICAL and NUMERIC.
    """
    pairs, skipped = [], {}
    for feature in schema_rules.validated_features(schema):
        now, before = data.features.get(feature.name), baseline.features.get(feature.name)
        reason = _why_not(feature, now, before)
        if reason:
            skipped[feature.name] = reason
        elif now is not None and before is not None:
            pairs.append((feature, now, before))
    level = LEVEL / max(len(pairs), 1)
    drifts = []
    for feature, now, before in pairs:
        if _is_categorical(feature, now, before):
            threshold = thresholds.get(feature.name, thresholds[CATEGORICAL])
            drifts.append(_categorical(feature, now, before, schema, threshold, level))
        else:
            threshold = thresholds.get(feature.name, thresholds[NUMERIC])
            drifts.append(_numeric(now, before, threshold, level))
    return Comparison(sorted(drifts, key=lambda drift: (-drift.ratio, drift.feature)), skipped)


def _why_not(feature: schema_pb2.Feature, now: Feature | None, before: Feature | None) -> str:
    """Return why a feature is not compared, or an empty text."""
    if schema_rules.NO_DRIFT in feature.annotation.tag:
        return f"the schema says {schema_rules.NO_DRIFT}"
    if now is None or before is None:
        return "not in the data" if now is None else "not in the baseline"
    if now.is_text != before.is_text:
        return "text in one, numbers in the other"
    if not now.rows or not before.rows:
        return "no rows"
    if not now.present and not before.present:
        return "no values in either"
    if _is_identifier(now) and _is_identifier(before):
        return "different in nearly every row"
    if now.is_text and not (_is_listed(now) and _is_listed(before)) and not _has_domain(feature):
        return f"more than {MOST_VALUES:,} different texts"
    return ""


def _is_identifier(found: Feature) -> bool:
    """Tell whether a text or whole number is different in nearly every row."""
    return found.column_type != "double" and found.present >= 100 and found.unique >= 0.95 * found.present


def _is_listed(found: Feature) -> bool:
    return bool(found.counts) or not found.present


def _has_domain(feature: schema_pb2.Feature) -> bool:
    return feature.WhichOneof("domain_info") in ("string_domain", "domain", "bool_domain")


def _is_categorical(feature: schema_pb2.Feature, now: Feature, before: Feature) -> bool:
    if now.is_text or now.is_bool:
        return True
    return schema_rules.is_categorical(feature) and _is_listed(now) and _is_listed(before)


def _categorical(
    feature: schema_pb2.Feature,
    now: Feature,
    before: Feature,
    schema: schema_pb2.Schema,
    threshold: float,
    level: float,
) -> Drift:
    """Measure the L-infinity distance of two sets of shares."""
    known = None
    if not (_is_listed(now) and _is_listed(before)):
        known = schema_rules.texts_of(feature, schema)
    shares_now, shares_before = _shares(now, known), _shares(before, known)
    values = sorted(
        set(shares_now) | set(shares_before),
        key=lambda value: (-max(shares_now.get(value, 0.0), shares_before.get(value, 0.0)), value),
    )
    moves = {value: shares_now.get(value, 0.0) - shares_before.get(value, 0.0) for value in values}
    top = max(values, key=lambda value: abs(moves[value]))
    pooled = (shares_now.get(top, 0.0) * now.rows + shares_before.get(top, 0.0) * before.rows) / (
        now.rows + before.rows
    )
    z = NormalDist().inv_cdf(1 - level / (2 * len(values)))
    noise = z * math.sqrt(pooled * (1 - pooled) * (1 / now.rows + 1 / before.rows))
    what = {MISSING: "no value", OTHER: "other values"}.get(top, repr(top))
    sentence = (
        f"feature {feature.name!r}: {what} in {share(shares_now.get(top, 0.0))} of the rows, "
        f"was {share(shares_before.get(top, 0.0))}"
    )
    shown = [value for value in values if _rows(value, shares_now, now, shares_before, before) >= RARE][:12]
    return Drift(
        feature.name,
        CATEGORICAL,
        abs(moves[top]),
        threshold,
        noise,
        sentence,
        tuple(shown),
        tuple(shares_now.get(value, 0.0) for value in shown),
        tuple(shares_before.get(value, 0.0) for value in shown),
    )


def _rows(
    value: str, now: Mapping[str, float], data: Feature, before: Mapping[str, float], baseline: Feature
) -> float:
    """Return in how many rows a value is, now or before, whichever is more."""
    return max(now.get(value, 0.0) * data.rows, before.get(value, 0.0) * baseline.rows)


def _shares(found: Feature, known: Sequence[str] | None) -> dict[str, float]:
    """Return each value's share of the rows, the missing ones' among them."""
    counts: dict[str, int] = dict(found.top)
    if known is not None:
        counts = {value: counts.get(value, 0) for value in known}
    counts = {_plain(value): count for value, count in counts.items()}
    rest = found.present - sum(counts.values())
    if rest > 0:
        counts[OTHER] = rest
    if found.missing:
        counts[MISSING] = found.missing
    return {value: count / found.rows for value, count in counts.items()}


def _plain(value: str) -> str:
    """Write 8.0 as 8: whole numbers may come as either, from one file to the next."""
    return value.removesuffix(".0")


def _numeric(now: Feature, before: Feature, threshold: float, level: float) -> Drift:
    """Measure the Jensen-Shannon divergence over the baseline's deciles."""
    edges = _deciles(before.distribution or now.distribution)
    shares_now, shares_before = _bin_shares(now, edges), _bin_shares(before, edges)
    distance = jensen_shannon(shares_now, shares_before)
    used = sum(1 for a, b in zip(shares_now, shares_before, strict=True) if a or b)
    noise = chi_square_quantile(1 - level, max(used - 1, 1))
    noise = noise * (1 / now.rows + 1 / before.rows) / (8 * math.log(2)) + SKETCH_NOISE
    parts = [_divergence(a, b) for a, b in zip(shares_now, shares_before, strict=True)]
    if parts[-1] >= sum(parts[:-1]):
        what = f"no value in {share(shares_now[-1])} of the rows, was {share(shares_before[-1])}"
    else:
        what = f"median {number(now.median)}, was {number(before.median)}"
        what += f"; mean {number(now.mean)}, was {number(before.mean)}"
    return Drift(
        now.name,
        NUMERIC,
        distance,
        threshold,
        noise,
        f"feature {now.name!r}: {what}",
        _bin_labels(edges),
        tuple(shares_now),
        tuple(shares_before),
    )


def _deciles(found: Distribution | None) -> list[float]:
    """Return the different deciles of a distribution, without the largest value."""
    if found is None:
        return []
    return sorted({found.quantile(i / 10) for i in range(10)})


def _bin_shares(found: Feature, edges: Sequence[float]) -> list[float]:
    """Return the shares of the rows up to each edge, above the last one, and without a finite value."""
    finite = found.finite / found.rows
    if found.distribution is None:
        return [0.0] * (len(edges) + 1) + [1.0]
    upto = [found.distribution.at(edge) for edge in edges] + [1.0]
    shares = [upto[0], *(max(high - low, 0.0) for low, high in itertools.pairwise(upto))]
    return [share * finite for share in shares] + [1 - finite]


def _bin_labels(edges: Sequence[float]) -> tuple[str, ...]:
    if not edges:
        return ("any", MISSING)
    inner = [f"{number(low)} to {number(high)}" for low, high in itertools.pairwise(edges)]
    return (f"up to {number(edges[0])}", *inner, f"above {number(edges[-1])}", MISSING)


def jensen_shannon(p: Sequence[float], q: Sequence[float]) -> float:
    """Return the Jensen-Shannon divergence of two distributions in bits, 0 to 1."""
    return max(sum(_divergence(a, b) for a, b in zip(p, q, strict=True)), 0.0)


def _divergence(a: float, b: float) -> float:
    """Return one value's part of the Jensen-Shannon divergence."""
    middle = (a + b) / 2
    return sum(share * math.log2(share / middle) for share in (a, b) if share > 0) / 2


def chi_square_quantile(probability: float, freedom: int) -> float:
    """Return a quantile of the chi-square distribution (Wilson and Hilferty 1931; 1 % off at most here)."""
    z = NormalDist().inv_cdf(probability)
    part = 2 / (9 * freedom)
    return freedom * (1 - part + z * math.sqrt(part)) ** 3
