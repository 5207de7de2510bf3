from kfp import dsl


@dsl.container_component
def analyze_rollout(
    logs: str,
    champion: str,
    challenger: str,
    current_weights: dict,
    record: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    decision: dsl.OutputPath(str),
    weights: dsl.OutputPath(dict),
    reasons: dsl.OutputPath(list),
    verdict: dsl.OutputPath(str),
    rollout: dict = {},
    outcomes: str = "",
    model_name: str = "",
    started: str = "",
    since: str = "",
    now: str = "",
    state_uri: str = "",
):
    """Judge a rollout by the serving logs so far: wait, advance, promote or roll back. Never cached.

    Args:
        logs: URI of the request logs: a file, glob or folder, several separated by commas.
        champion: Version of the champion.
        challenger: Version of the challenger; several for a bandit, separated by commas.
        current_weights: Percent by version that holds now.
        record: Folder with decision.json: the decision with all numbers.
        report: Rates, latency and outcomes with confidence sequences over time, scores,
            segments, decisions so far.
        decision: continue, advance, promote, rollback or stop.
        weights: Percent by version that should hold from now on.
        reasons: Sentences, the decisive one first, at most 20.
        verdict: pass, warn (something of the logs cannot be used, or there are none) or block
            (roll back).
        rollout: The section `rollout` of app.yaml.
        outcomes: URI of the outcomes, as `logs`; empty when there are none.
        model_name: Whose requests count; empty takes all.
        started: When the rollout began, ISO 8601; empty takes all requests.
        since: Since when the current weights hold, ISO 8601; empty takes `started`.
        now: Time of the look, ISO 8601; empty takes the clock.
        state_uri: File that keeps what has been read between calls; empty reads all anew.
    """
    return dsl.ContainerSpec(
        image="penstock/analyze_rollout:unpinned",
        command=["python", "-m", "penstock.components.analyze_rollout.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
