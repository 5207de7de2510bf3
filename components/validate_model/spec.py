from kfp import dsl


@dsl.container_component
def validate_model(
    evaluation: dsl.Input[dsl.Artifact],
    rules: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.Markdown],
    verdict: dsl.OutputPath(str),
    reasons: dsl.OutputPath(list),
    thresholds: dict = {},
):
    """Hold an evaluation against absolute thresholds, the champion and its slices.

    Args:
        evaluation: From evaluate_model.
        rules: Folder with rules.json: each rule with its numbers and verdict.
        report: Each rule as a sentence with its numbers.
        verdict: pass, warn or block.
        reasons: A sentence for each rule that does not pass, worst first, at most 20.
        thresholds: The section `thresholds` of app.yaml.
    """
    return dsl.ContainerSpec(
        image="penstock/validate_model:unpinned",
        command=["python", "-m", "penstock.components.validate_model.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
