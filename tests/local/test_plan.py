import pytest

from penstock.compile_pipeline import compile_pipeline
from penstock.local.conditions import evaluate
from penstock.local.layers import layout, reduced
from penstock.local.plan import order, plan
from penstock.local.text_table import table
from penstock.project import find_project
from penstock.versions import Images, pin, shared_modules


def test_plan_lists_the_training_steps_in_a_possible_order() -> None:
    project = find_project()
    ir, images = pin(compile_pipeline("training", project), Images(project))

    tasks = plan(ir, images)

    names = [task.name for task in tasks]
    assert all(names.index(name) < names.index(task.name) for task in tasks for name in task.upstream)
    by_name = {task.name: task for task in tasks}
    assert by_name["extract-data"].upstream == ["inspect-source", "resolve-champion"]
    assert "resolve-champion" in by_name["fetch-champion"].upstream
    assert "gate" in by_name["prepare-data"].upstream
    assert by_name["gate-3"].title == "gate: model"
    assert by_name["train-model"].image is not None
    assert by_name["train-model"].image.stack == "tensorflow"
    assert [task.name for task in tasks if task.is_exit] == ["notify"]
    assert not by_name["inspect-source"].cacheable
    assert by_name["extract-data"].cacheable


def test_images_are_pinned_by_content() -> None:
    project = find_project()
    ir, images = pin(compile_pipeline("training", project), Images(project))

    names = [
        executor["container"]["image"]
        for executor in ir["deploymentSpec"]["executors"].values()
        if "container" in executor
    ]
    assert not [name for name in names if name.endswith(":unpinned")]
    assert len({image.name for image in images.values()}) == 16


def test_shared_modules_are_found_in_what_a_step_imports() -> None:
    assert shared_modules(find_project(), "gate") == {"step_io"}
    assert "html_report" in shared_modules(find_project(), "train_model")


def test_order_goes_breadth_first_and_ignores_names_outside() -> None:
    assert order({"b": ["a", "outside"], "a": [], "d": ["c"], "c": [], "e": ["b", "d"]}) == [
        "a",
        "c",
        "b",
        "d",
        "e",
    ]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("inputs.parameter_values['a'] == 'it'", True),
        ("inputs.parameter_values['a'] != 'it'", False),
        ("!(inputs.parameter_values['a'] == 'other') && int(inputs.parameter_values['n']) > 2", True),
        ("inputs.parameter_values['quote'] == 'x' || inputs.parameter_values['flag'] == true", True),
    ],
)
def test_condition_is_evaluated_with_values_of_any_kind(condition: str, expected: bool) -> None:
    values = {"a": "it", "n": 3.0, "quote": "don't", "flag": True}

    assert evaluate(condition, values.__getitem__) is expected


def test_condition_on_an_unknown_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        evaluate("inputs.parameter_values['a'] == 'x'", {}.__getitem__)


def test_layout_leaves_out_edges_that_a_longer_way_implies() -> None:
    graph = {"a": [], "b": ["a"], "c": ["a", "b"]}

    assert reduced(graph) == {"a": [], "b": ["a"], "c": ["b"]}
    assert layout(graph).rows == [["a"], ["b"], ["c"]]


def test_layout_moves_a_source_down_to_its_use_and_marks_passing_edges() -> None:
    placed = layout({"late": [], "a": [], "b": ["a"], "c": ["b"], "side": ["a"], "d": ["c", "late", "side"]})

    rows = [[node for node in row if not placed.is_dummy(node)] for row in placed.rows]
    assert [sorted(row) for row in rows] == [["a"], ["b", "side"], ["c", "late"], ["d"]]
    assert len(placed.paths["side", "d"]) == 3


def test_table_wraps_long_cells() -> None:
    assert table(["a", "b"], [["one", "two three"]], widest=5) == "a    b\n---  -----\none  two\n     three"
