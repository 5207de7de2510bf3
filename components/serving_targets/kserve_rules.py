"""What a call makes of an endpoint's record, and what KServe allows: no request is made here."""

from dataclasses import replace

from penstock.components.serving_targets.kserve_objects import Json, predictor_name
from penstock.components.serving_targets.kserve_record import Record
from penstock.components.serving_targets.kserve_settings import KNATIVE, KserveSettings
from penstock.components.serving_targets.kserve_status import newest_revision
from penstock.components.serving_targets.target import WHOLE, ModelVersion, Shadow
from penstock.components.step_io.errors import StepError


def with_version(
    record: Record, version: ModelVersion, service: Json | None, settings: KserveSettings, endpoint: str
) -> Record:
    """Return the record with a version beside what is there; the first one has all traffic.

    Raises:
        StepError: The version is there with another folder, or there is no room for it.
    """
    if known := record.versions.get(version.version):
        return _scaled(record, known, version, service, settings, endpoint)
    _check_room(record, version, settings, endpoint)
    versions = {**record.versions, version.version: version}
    if not record.versions:
        return replace(record, versions=versions, main=version.version, weights={version.version: WHOLE})
    if settings.mode == KNATIVE:
        return replace(
            record,
            versions=versions,
            main=version.version,
            previous=record.main,
            older_revision=newest_revision(service),
        )
    return replace(record, versions=versions)


def without_version(
    record: Record, version: str, service: Json | None, settings: KserveSettings, endpoint: str
) -> Record:
    """Return the record without a version.

    Raises:
        StepError: It has traffic, or gets a copy of it.
    """
    if weight := record.weights.get(version):
        raise StepError(
            f"version {version} of {endpoint} has {weight} % of the traffic: shift it to another version first"
        )
    if version not in record.versions:
        return record
    if version == record.shadow:
        raise StepError(f"version {version} of {endpoint} gets a copy of the traffic: end the shadow first")
    kept = {name: one for name, one in record.versions.items() if name != version}
    if version != record.main:
        previous = "" if version == record.previous else record.previous
        return replace(record, versions=kept, previous=previous)
    if settings.mode == KNATIVE:
        # Pinned to the revision of the kept version, while a new latest one of it gets ready.
        return replace(record, versions=kept, main=record.previous, older_revision=newest_revision(service))
    return replace(record, versions=kept, main=max(kept, key=lambda name: record.weights.get(name, 0)))


def check_shadow(shadow: Shadow, settings: KserveSettings, endpoint: str) -> None:
    """Refuse a shadow that KServe's payload logger cannot make.

    Raises:
        StepError: It cannot, with the reason.
    """
    reason = ""
    if settings.mode == KNATIVE:
        reason = "in Knative mode a predictor with another logger is another revision: use the mode Standard"
    elif settings.log_url:
        reason = (
            f"its one payload logger is used for log_url ({settings.log_url}): take that out of the settings"
        )
    elif shadow.percent != WHOLE:
        reason = f"its payload logger copies every request, not {shadow.percent!r} % of them: give 100"
    if reason:
        raise StepError(
            f"the endpoint {endpoint} cannot mirror traffic to version {shadow.version}: {reason}"
        )


def _scaled(
    record: Record,
    known: ModelVersion,
    version: ModelVersion,
    service: Json | None,
    settings: KserveSettings,
    endpoint: str,
) -> Record:
    """Return the record with the replicas that a version that is there shall have."""
    if (known.model, known.uri) != (version.model, version.uri):
        raise StepError(
            f"{endpoint} serves {known.model} version {known.version} from {known.uri}, not {version.model} from "
            f"{version.uri}: undeploy it first, or register the model as a new version"
        )
    if known.replicas == version.replicas:
        return record
    versions = {**record.versions, version.version: version}
    if settings.mode != KNATIVE:
        return replace(record, versions=versions)
    if version.version != record.main or record.previous:
        raise StepError(
            f"version {version.version} of {endpoint} has {known.replicas} replicas, not {version.replicas}: in "
            "Knative mode another number is another revision, and there are two already; undeploy the other first"
        )
    return replace(record, versions=versions, older_revision=newest_revision(service))


def _check_room(record: Record, version: ModelVersion, settings: KserveSettings, endpoint: str) -> None:
    if settings.mode == KNATIVE and len(record.versions) >= 2:
        raise StepError(
            f"{endpoint} has the versions {' and '.join(record.versions)}: KServe keeps the latest and the previous "
            f"revision only in Knative mode; undeploy one before version {version.version} is deployed, or use "
            "the mode Standard"
        )
    for other in record.versions:
        if predictor_name(other) == predictor_name(version.version):
            raise StepError(
                f"the versions {other!r} and {version.version!r} would have the same predictor "
                f"{predictor_name(other)!r} of {endpoint}: name one of them otherwise"
            )
