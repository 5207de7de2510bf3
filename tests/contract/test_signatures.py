"""spec.py declares what step.py's `run` takes and returns."""

from pathlib import Path

import pytest

from penstock.generate.steps import ARTIFACT, FILLED_BY_THE_BACKEND, OUTPUT_PARAMETER, step_names
from penstock.project import find_project
from penstock.signature import Parameter, read_fields, read_signature

PROJECT = find_project(Path(__file__).parent)
STEPS = step_names(PROJECT)
COMPONENTS = PROJECT.root / "components"


def expected_of_run(step: str) -> tuple[dict[str, Parameter], dict[str, str]]:
    """Return the parameters of `run` and the fields of `Outputs` that a spec asks for."""
    parameters, outputs = {}, {}
    for parameter in read_signature(COMPONENTS / step / "spec.py", step).parameters.values():
        if found := ARTIFACT.fullmatch(parameter.type):
            parameters[parameter.name] = Parameter(parameter.name, f"{found[1]}Artifact", True)
        elif found := OUTPUT_PARAMETER.fullmatch(parameter.type):
            outputs[parameter.name] = found[1]
        elif parameter.type != FILLED_BY_THE_BACKEND:
            parameters[parameter.name] = parameter
    return parameters, outputs


@pytest.mark.parametrize("step", STEPS)
def test_run_takes_what_the_spec_declares(step: str) -> None:
    expected, _ = expected_of_run(step)
    actual = dict(read_signature(COMPONENTS / step / "step.py", "run").parameters)
    actual.pop("status", None)  # what the backend fills in need not be taken
    differing = {
        name: {"spec": expected.get(name), "run": actual.get(name)}
        for name in expected.keys() | actual.keys()
        if expected.get(name) != actual.get(name)
    }
    assert differing == {}


@pytest.mark.parametrize("step", STEPS)
def test_outputs_of_run_are_those_of_the_spec(step: str) -> None:
    _, expected = expected_of_run(step)
    actual = read_fields(COMPONENTS / step / "step.py", "Outputs")
    assert {"only one of both": expected.items() ^ actual.items()} == {"only one of both": set()}


@pytest.mark.parametrize("step", STEPS)
def test_run_returns_outputs_exactly_when_there_are_output_parameters(step: str) -> None:
    _, outputs = expected_of_run(step)
    returns = read_signature(COMPONENTS / step / "step.py", "run").returns
    assert returns == ("Outputs" if outputs else "None")


@pytest.mark.parametrize("step", STEPS)
def test_step_ends_with_its_entry_point(step: str) -> None:
    text = (COMPONENTS / step / "step.py").read_text()
    assert text.endswith('\n\n\nif __name__ == "__main__":\n    main(run)\n')


@pytest.mark.parametrize("step", STEPS)
def test_spec_names_its_step_in_image_and_command(step: str) -> None:
    text = " ".join((COMPONENTS / step / "spec.py").read_text().split())
    assert (
        f'return dsl.ContainerSpec( image="penstock/{step}:unpinned", '
        f'command=["python", "-m", "penstock.components.{step}.step"], '
        'args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER], )'
    ) in text


@pytest.mark.parametrize("step", STEPS)
def test_spec_describes_each_parameter(step: str) -> None:
    from penstock.generate.steps import split_docstring

    signature = read_signature(COMPONENTS / step / "spec.py", step)
    _, docs = split_docstring(signature.docstring)
    assert signature.parameters.keys() ^ docs.keys() == set()
