"""The errors that a step raises on purpose; everything else that escapes from a step is a bug."""


class StepError(Exception):
    """Input that cannot be read or a setting that is wrong.

    The message is one sentence for the person who reads it at night: what, where, what to do.
    """

    exit_code = 2


class GateBlocked(StepError):
    """A verdict `block` reached its gate: the data or the model is wrong, the code is not."""

    exit_code = 3

    def __init__(self, message: str, reasons: list[str]) -> None:
        super().__init__(message)
        self.reasons = reasons
