"""Times as app.yaml writes them."""

import datetime


def to_utc(text: str) -> datetime.datetime:
    """Return a date or time in ISO 8601; without an offset it is UTC.

    Raises:
        ValueError: The text is no ISO 8601.
    """
    moment = datetime.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
