"""MLflow's limits on names and values, and how texts are made to fit them."""

import re
from collections.abc import Mapping

LONGEST_PARAMETER = 6_000  # characters: mlflow.utils.validation.MAX_PARAM_VAL_LENGTH
LONGEST_RUN_TAG = 8_000  # MAX_TAG_VAL_LENGTH
LONGEST_VERSION_TAG_OF_OLD_SERVERS = 5_000  # before MLflow 3
LONGEST_DESCRIPTION = 5_000
LONGEST_NAME = 250  # MAX_ENTITY_KEY_LENGTH
PER_BATCH = 100  # MAX_PARAMS_TAGS_PER_BATCH

FORBIDDEN = re.compile(r"[^\w./ -]", re.ASCII)


def shorten(text: str, longest: int) -> str:
    """Return the text, cut with an ellipsis if it is too long."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def name(text: str) -> str:
    """Return a name that MLflow takes for a metric, a parameter or a tag."""
    return shorten(FORBIDDEN.sub("_", text), LONGEST_NAME).replace("…", "_")


def names(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values by names that MLflow takes."""
    return {name(key): value for key, value in values.items()}
