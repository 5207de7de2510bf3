"""The settings of an evaluation, and which values they may have."""

from dataclasses import dataclass

from penstock.components.step_io.errors import StepError

RESAMPLES = (100, 100_000)  # fewer leave a percentile to chance; more change no digit that is shown


@dataclass(frozen=True)
class Settings:
    """What an evaluation is told besides data and models.

    Args:
        label: Column with the label.
        champion_version: Version of the champion; "" when there is none.
        weight: Column with the weights; "" when all rows weigh alike.
        resamples: Bootstrap resamples.
        confidence: Level of the intervals.
        seed: Seed of the resamples.
    """

    label: str
    champion_version: str
    weight: str
    resamples: int
    confidence: float
    seed: int

    def __post_init__(self) -> None:
        low, high = RESAMPLES
        if not low <= self.resamples <= high:
            raise StepError(f"resamples is {self.resamples}, expected {low} to {high:,}")
        if not 0.5 <= self.confidence < 1:
            raise StepError(
                f"confidence is {self.confidence}, expected a share from 0.5 to below 1, such as 0.95"
            )
        if self.seed < 0:
            raise StepError(f"seed is {self.seed}, expected 0 or more")
