"""The settings of explain_model, and which values they may have."""

from dataclasses import dataclass

from penstock.components.step_io.errors import StepError

LEAST_ROWS = 10  # as in a slice: fewer have no interval worth the name
LIMITS = {
    "rows": (LEAST_ROWS, 100_000),
    "background": (2, 10_000),
    "pairs": (1, 1_000),
    "examples": (0, 20),
}


@dataclass(frozen=True)
class Settings:
    """What explain_model is told besides data and model.

    Args:
        rows: Rows that are explained, at most.
        background: Background rows, at most.
        pairs: Permutations from each background row, each walked in both directions.
        examples: Single rows that are shown.
        confidence: Level of the intervals.
        seed: Seed of everything random.
    """

    rows: int
    background: int
    pairs: int
    examples: int
    confidence: float
    seed: int

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise StepError(f"{name} is {getattr(self, name)}, expected {low} to {high:,}")
        if not 0.5 <= self.confidence < 1:
            raise StepError(
                f"confidence is {self.confidence}, expected a share from 0.5 to below 1, such as 0.95"
            )
        if self.seed < 0:
            raise StepError(f"seed is {self.seed}, expected 0 or more")
