"""What a challenger begins with."""

from penstock.components.rollout_settings.settings import Rollout

HALF = 50


def first_share(rollout: Rollout) -> dict[str, int] | None:
    """Return the first percents of `champion` and `challenger`; None for a shadow, which takes no share."""
    if rollout.strategy == "shadow":
        return None
    share = {
        "canary": rollout.canary.stages[0],
        "ab_test": rollout.ab_test.split,
        "bandit": HALF,
    }[rollout.strategy]
    return {"champion": 100 - share, "challenger": share}
