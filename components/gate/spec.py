from kfp import dsl


@dsl.container_component
def gate(
    verdict: str,
    reasons: list,
    evidence: dsl.Input[dsl.Artifact],
    subject: str,
):
    """End the run, with the reasons, when the verdict is `block`.

    Args:
        verdict: pass, warn or block.
        reasons: A sentence for each finding, worst first.
        evidence: The report that shows why; its URI is told with the reasons.
        subject: What was judged, for people (`data`, `model`).
    """
    return dsl.ContainerSpec(
        image="penstock/gate:unpinned",
        command=["python", "-m", "penstock.components.gate.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
