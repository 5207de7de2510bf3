from kfp import dsl


@dsl.container_component
def validate_serving(
    model: dsl.Input[dsl.Model],
    test_data: dsl.Input[dsl.Dataset],
    predictions: dsl.Input[dsl.Dataset],
    model_name: str,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    verdict: dsl.OutputPath(str),
    reasons: dsl.OutputPath(list),
    serving: dict = {},
    trial: dict = {},
):
    """Prove that a model can serve: start the prediction service with it, and try it, before it gets traffic.

    Args:
        model: From train_model.
        test_data: From prepare_data.
        predictions: Of the same rows, from evaluate_model.
        model_name: Name that the model is served under.
        evidence: Folder with checks.json (each check with its numbers) and server.log.
        report: Each check as a sentence, and the latencies.
        verdict: pass or block.
        reasons: A sentence for each check that failed, at most 20.
        serving: The section `serving` of app.yaml: budgets and objectives.
        trial: Where the server runs as a pod: namespace, image by digest, limits and more of the section `serving`
            of the environment file; empty runs it as a process of this step.
    """
    return dsl.ContainerSpec(
        image="penstock/validate_serving:unpinned",
        command=["python", "-m", "penstock.components.validate_serving.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
