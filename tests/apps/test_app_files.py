"""Publishing an app: by content, whole, once."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock.app_files import LARGEST_APP, PublishedApp, app_files, app_version, publish
from penstock.errors import UserError


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return an app's folder with everything that may lie in one."""
    folder = tmp_path / "churn"
    for path, text in {
        "app.yaml": "seed: 1\n",
        "schema.pbtxt": 'feature { name: "y" }\n',
        "features.py": "def features(inputs): ...\n",
        "words/stop.txt": "the\n",
        "README.md": "# churn\n",
        "data/customers.csv": "y\n1\n",
        "tests/test_features.py": "",
        "__pycache__/features.pyc": "",
        ".DS_Store": "",
        ".idea/x.xml": "",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def files_in(folder: str) -> set[str]:
    """Return the paths of all files in a folder."""
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}


def republished(app: Path, root: Path) -> PublishedApp:
    """Publish again, as the next run does."""
    return publish(app, root, "churn")


def test_parts_hold_what_belongs_to_them(app: Path, tmp_path: Path) -> None:
    published = republished(app, tmp_path / "root")
    code = {"features.py", "words/stop.txt", "files.json"}
    assert files_in(published.app_uri) == code | {"app.yaml", "schema.pbtxt"}
    assert files_in(published.schema_uri) == {"schema.pbtxt", "files.json"}
    assert files_in(published.code_uri) == code


def test_listing_names_each_file_with_its_hash(app: Path, tmp_path: Path) -> None:
    published = republished(app, tmp_path / "root")
    assert json.loads((Path(published.schema_uri) / "files.json").read_text()) == {
        "schema.pbtxt": "684da3bbc0b13ca2d84523a8241d0de81325a202e7358661fc4863586d99ec84"
    }


def test_app_without_code_has_a_code_folder_that_is_not_empty(app: Path, tmp_path: Path) -> None:
    (app / "features.py").unlink()
    (app / "words/stop.txt").unlink()
    assert files_in(republished(app, tmp_path / "root").code_uri) == {"files.json"}


def test_same_content_keeps_its_place_and_its_files(app: Path, tmp_path: Path) -> None:
    first = republished(app, tmp_path / "root")
    stamp = (Path(first.app_uri) / "app.yaml").stat().st_mtime_ns
    (app / "data/customers.csv").write_text("y\n2\n")
    (app / "README.md").write_text("# changed\n")
    assert republished(app, tmp_path / "root") == first
    assert (Path(first.app_uri) / "app.yaml").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("app.yaml", {"digest"}),
        ("schema.pbtxt", {"digest", "schema_digest"}),
        ("features.py", {"digest", "code_digest"}),
    ],
)
def test_change_shows_in_the_parts_that_hold_the_file(
    app: Path, tmp_path: Path, file: str, changed: set[str]
) -> None:
    before = republished(app, tmp_path / "root")
    (app / file).write_text("changed\n")
    after = republished(app, tmp_path / "root")
    names = ("digest", "schema_digest", "code_digest")
    assert {name for name in names if getattr(before, name) != getattr(after, name)} == changed


def test_schema_of_another_name_is_published_under_the_name_that_steps_read(
    app: Path, tmp_path: Path
) -> None:
    (app / "schema.pbtxt").rename(app / "customers.pbtxt")
    published = publish(app, tmp_path / "root", "churn", "customers.pbtxt")
    assert files_in(published.schema_uri) == {"schema.pbtxt", "files.json"}
    assert "customers.pbtxt" not in files_in(published.code_uri)


def test_damaged_copy_is_made_whole(app: Path, tmp_path: Path) -> None:
    first = republished(app, tmp_path / "root")
    (Path(first.code_uri) / "features.py").write_text("half")
    assert republished(app, tmp_path / "root") == first
    assert (Path(first.code_uri) / "features.py").read_text() == "def features(inputs): ...\n"


def test_publishing_at_once_leaves_one_whole_copy(app: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(lambda _: republished(app, tmp_path / "root"), range(16)))
    assert len(set(published)) == 1
    folders = {path.name for path in (tmp_path / "root/apps/churn").iterdir()}
    assert folders == {published[0].digest, published[0].schema_digest, published[0].code_digest}


def test_symbolic_link_is_refused(app: Path, tmp_path: Path) -> None:
    (app / "model.py").symlink_to(app / "features.py")
    with pytest.raises(UserError) as caught:
        republished(app, tmp_path / "root")
    assert str(caught.value) == (
        f"{app}/model.py is a symbolic link, which would not arrive at a step: put a copy in its place"
    )


def test_linked_folder_is_refused(app: Path) -> None:
    (app / "more").symlink_to(app / "words")
    with pytest.raises(UserError, match="more is a symbolic link"):
        app_files(app)


def test_too_much_is_refused(app: Path) -> None:
    with (app / "weights.bin").open("wb") as file:
        file.truncate(LARGEST_APP + 1)
    with pytest.raises(UserError) as caught:
        app_files(app)
    assert str(caught.value) == (
        f"{app} holds more than 50 MB of files (at 'weights.bin'): move data into its folder data/, which is not "
        "published, or name it by URI in data.source"
    )


def test_missing_schema_is_told(app: Path, tmp_path: Path) -> None:
    (app / "schema.pbtxt").unlink()
    with pytest.raises(UserError) as caught:
        republished(app, tmp_path / "root")
    assert str(caught.value) == (
        f"{app}/schema.pbtxt is missing: draft it with `penstock schema infer --app churn`"
    )


def test_file_with_the_name_of_the_listing_is_refused(app: Path, tmp_path: Path) -> None:
    (app / "files.json").write_text("{}")
    with pytest.raises(UserError) as caught:
        republished(app, tmp_path / "root")
    assert str(caught.value) == f"{app}/files.json has the name of the list that publishing writes: rename it"


def test_version_is_the_same_on_another_machine(app: Path, tmp_path: Path) -> None:
    here, there = republished(app, tmp_path / "here"), republished(app, tmp_path / "there")
    settings = {"seed": 1, "label": {"name": "y", "column": "y"}}
    one = settings | {"source": "/home/a/churn.csv", "registry_uri": "sqlite:///a", "force": True}
    other = settings | {"source": "/home/b/churn.csv", "registry_uri": "sqlite:///b", "checkpoint_uri": "/b"}
    assert app_version(here, one) == app_version(there, other)


def test_version_changes_with_a_setting(app: Path, tmp_path: Path) -> None:
    published = republished(app, tmp_path)
    assert app_version(published, {"seed": 1}) != app_version(published, {"seed": 2})


def test_version_changes_with_a_file(app: Path, tmp_path: Path) -> None:
    before = app_version(republished(app, tmp_path / "root"), {})
    (app / "features.py").write_text("changed\n")
    assert app_version(republished(app, tmp_path / "root"), {}) != before
