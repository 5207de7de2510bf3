"""A tag is the hash of what an image is made of: nothing else changes it."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from penstock.errors import UserError
from penstock.images.archive import tar
from penstock.images.targets import all_targets, origin, stack_context, step_context
from penstock.project import Project, find_project
from penstock.versions import Images

HERE = find_project(Path(__file__).parent)
STEPS = list(Images(HERE).stacks)


@pytest.fixture
def copy(tmp_path: Path) -> Project:
    """A copy of the steps and of what their images are made of."""
    for folder in ("components", "images"):
        shutil.copytree(HERE.root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Project(tmp_path)


def tags(project: Project) -> dict[str, str]:
    return {target.name: target.tag for target in all_targets(project, Images(project))}


def changed(project: Project, path: str, text: str = "\n# changed\n") -> set[str]:
    """Return the images whose tag another line in a file changes."""
    before = tags(project)
    with (project.root / path).open("a", encoding="utf-8") as file:
        file.write(text)
    after = tags(project)
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("step", STEPS)
def test_change_in_the_folder_of_a_step_changes_its_image_only(copy: Project, step: str) -> None:
    assert changed(copy, f"components/{step}/step.py") == {step}


def test_change_of_a_spec_changes_the_image(copy: Project) -> None:
    assert changed(copy, "components/gate/spec.py") == {"gate"}


@pytest.mark.parametrize("name", ["README.md", "component.yaml", "notes.md"])
def test_change_of_what_is_not_in_the_image_changes_none(copy: Project, name: str) -> None:
    assert changed(copy, f"components/gate/{name}") == set()


def test_change_of_step_io_changes_every_step(copy: Project) -> None:
    assert changed(copy, "components/step_io/logs.py") == {*STEPS, "serving"}


def test_image_of_a_service_of_ours_changes_with_its_code_and_its_command(copy: Project) -> None:
    assert "serving" in changed(copy, "components/prediction_service/batching.py")
    assert "serving" in changed(copy, "components/serving_model/rows.py")
    assert changed(copy, "components/prediction_service/README.md") == set()
    before = tags(copy)
    path = copy.images / "images.yaml"
    path.write_text(path.read_text().replace("prediction_service.server]", "prediction_service.server, --x]"))
    assert {name for name, tag in tags(copy).items() if before[name] != tag} == {"serving"}


def test_context_of_a_service_holds_the_code_that_it_names() -> None:
    images = Images(HERE)
    serving, mlflow = all_targets(HERE, images, ["serving", "mlflow"])
    code = {name for name in step_context(HERE, images, serving) if name.startswith("code/")}
    folders = {name.split("/")[3] for name in code if name.count("/") > 3}
    assert folders == {"prediction_service", "serving_model", "explanations", "step_io"}
    assert set(step_context(HERE, images, mlflow)) == {"Dockerfile", "finish.py", "bootstrap.txt"}


@pytest.mark.parametrize("name", ["Dockerfile", "finish.py", "bootstrap.txt"])
def test_change_of_the_recipe_changes_all_images(copy: Project, name: str) -> None:
    assert changed(copy, f"images/{name}") == set(tags(copy))


def test_what_images_yaml_leaves_out_of_a_stack_changes_the_images_on_it(copy: Project) -> None:
    before = tags(copy)
    path = copy.images / "images.yaml"
    path.write_text(path.read_text().replace("without: [libclang,", "without: [absl-py, libclang,"))
    after = tags(copy)
    stacks = {stack for step, stack in Images(copy).stacks.items() if before[step] != after[step]}
    assert stacks == {"tfdv", "tensorflow", "serving"}


def test_another_base_changes_all_images(copy: Project) -> None:
    before = tags(copy)
    path = copy.images / "images.yaml"
    path.write_text(path.read_text().replace("base: python:3.11-", "base: python:3.11.9-"))
    after = tags(copy)
    assert [name for name in before if before[name] == after[name]] == []


def test_resources_and_budgets_change_no_image(copy: Project) -> None:
    before = tags(copy)
    path = copy.images / "images.yaml"
    text = path.read_text().replace("budget_mb: 300", "budget_mb: 299").replace("cpu: 250m", "cpu: 251m")
    assert text != path.read_text()
    path.write_text(text)
    assert tags(copy) == before


def test_context_of_a_step_holds_its_code_and_the_recipe_only() -> None:
    images = Images(HERE)
    (target,) = all_targets(HERE, images, ["gate"])
    modules = {"gate", *images.needed("gate")}
    files = step_context(HERE, images, target)
    code = {name for name in files if name.startswith("code/")}
    assert set(files) - code == {"Dockerfile", "finish.py", "bootstrap.txt"}
    assert "code/penstock/components/gate/step.py" in code
    packages = {"code/penstock/__init__.py", "code/penstock/components/__init__.py"}
    assert {name.split("/")[3] for name in code - packages} == modules
    assert [name for name in code if not name.endswith(".py")] == []


def test_context_of_a_stack_holds_its_lock_and_the_recipe_only() -> None:
    wanted = {"lock/pyproject.toml", "lock/uv.lock", "Dockerfile", "finish.py", "bootstrap.txt"}
    assert set(stack_context(HERE, "core")) == wanted


def test_archive_of_a_context_depends_on_its_content_only() -> None:
    one, other = tar({"a": b"1", "b/c": b"2"}), tar({"b/c": b"2", "a": b"1"})
    assert one == other
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        assert [(entry.name, entry.mtime, entry.uid) for entry in archive] == [("a", 0, 0), ("b/c", 0, 0)]


def test_image_of_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        all_targets(HERE, Images(HERE), ["train_modle"])
    expected = "images/images.yaml lists no image 'train_modle'; did you mean 'train_model'?"
    assert str(caught.value) == expected


def test_images_yaml_with_an_unknown_key_is_refused(copy: Project) -> None:
    path = copy.images / "images.yaml"
    path.write_text(path.read_text().replace("memory_limit: 512Mi", "memory_limt: 512Mi"))
    with pytest.raises(UserError, match=r"steps\.gate\.memory_limt: Extra inputs are not permitted"):
        tags(copy)


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://github.com/them/penstock.git", "https://github.com/them/penstock"),
        ("https://robot:hush@git.example/them/penstock", "https://git.example/them/penstock"),
        ("git@github.com:them/penstock.git", "https://github.com/them/penstock"),
        ("ssh://git@git.example:2222/them/penstock.git", "https://git.example/them/penstock"),
        ("/srv/clones/penstock.git", ""),
        ("file:///srv/clones/penstock.git", ""),
        (None, ""),
    ],
)
def test_source_is_the_home_of_the_code_without_credentials(
    copy: Project, remote: str | None, expected: str
) -> None:
    subprocess.run(["git", "init", "--quiet", str(copy.root)], check=True)
    if remote is not None:
        subprocess.run(["git", "-C", str(copy.root), "remote", "add", "origin", remote], check=True)
    assert origin(copy) == expected


def test_source_that_is_said_goes_before_the_remote(copy: Project) -> None:
    path = copy.images / "images.yaml"
    path.write_text("source: https://git.example/ours\n" + path.read_text())
    assert origin(copy) == "https://git.example/ours"


@pytest.mark.parametrize("stack", sorted({*Images(HERE).stacks.values(), "mlflow"}))
def test_change_of_a_lock_changes_just_the_images_on_its_stack(copy: Project, stack: str) -> None:
    on_it = {target.name for target in all_targets(copy, Images(copy)) if target.stack == stack}
    assert on_it
    assert changed(copy, f"images/{stack}/uv.lock") == on_it
