"""Folders at the pipeline root: named by content, sent once, complete or not there."""

import json
import os
from pathlib import Path

import fsspec
import pytest

from penstock.app_files import plan_publication, publish
from penstock.environment_models import Environment
from penstock.errors import UserError
from penstock.pipeline_root import LISTING, PipelineRoot
from penstock.published_data import LARGEST, plan_source

CONTENTS = {"app.yaml": b"label: x\n", "code/model.py": b"pass\n"}


def root_at(uri: str) -> PipelineRoot:
    return PipelineRoot(
        Environment(name="stage", backend="kfp", host="http://127.0.0.1:9", pipeline_root=uri)
    )


@pytest.fixture(params=["memory", "file"])
def root(request, tmp_path):
    """A root in memory, and one in a folder."""
    return root_at(f"memory://{tmp_path}" if request.param == "memory" else f"file://{tmp_path}/root")


def files_under(root: PipelineRoot) -> set[str]:
    base = root.filesystem._strip_protocol(root.path)
    return {path.removeprefix(f"{base}/") for path in root.filesystem.find(root.path)}


def test_folder_is_uploaded_once_under_its_content(root):
    folder = root.folder("apps/taxi", CONTENTS)
    assert folder.upload()
    assert not folder.upload()
    assert not root.folder("apps/taxi", CONTENTS).upload()
    path = f"apps/taxi/{folder.digest}"
    assert files_under(root) == {f"{path}/app.yaml", f"{path}/code/model.py", f"{path}/{LISTING}"}
    assert folder.uri == f"{root.uri}/{path}"
    assert root.filesystem.cat_file(f"{root.path}/{path}/code/model.py") == b"pass\n"


def test_other_content_is_another_folder(root):
    folder = root.folder("apps/taxi", CONTENTS)
    assert root.folder("apps/taxi", {**CONTENTS, "app.yaml": b"label: y\n"}).digest != folder.digest


def test_half_an_upload_is_not_taken_for_a_folder(root):
    folder = root.folder("apps/taxi", CONTENTS)
    place = f"{root.path}/{folder.path}"
    root.filesystem.pipe_file(f"{place}/app.yaml", CONTENTS["app.yaml"])
    assert folder.upload()
    root.filesystem.rm_file(f"{place}/code/model.py")  # somebody cleaned up
    assert folder.upload()
    assert root.filesystem.cat_file(f"{place}/code/model.py") == b"pass\n"


def test_list_of_files_is_written_last(tmp_path):
    class Stops(fsspec.get_filesystem_class("file")):  # a real file system that is cut off
        def pipe_file(self, path, value, **options):
            if path.endswith("model.py"):
                raise ConnectionResetError("the connection broke")
            return super().pipe_file(path, value, **options)

    root = root_at(f"file://{tmp_path}/root")
    root.__dict__["filesystem"] = Stops(auto_mkdir=True)
    folder = root.folder("apps/taxi", CONTENTS)
    with pytest.raises(UserError, match="cannot be written to"):
        folder.upload()
    assert not any(path.endswith(LISTING) for path in files_under(root))
    del root.__dict__["filesystem"]
    assert folder.upload()


def test_app_has_the_same_digests_at_a_root_as_on_this_machine(project, root, tmp_path):
    here = publish(project.apps / "taxi", tmp_path / "here", "taxi")
    there, folders = plan_publication(project.apps / "taxi", root, "taxi")
    assert (there.digest, there.schema_digest, there.code_digest) == (
        here.digest,
        here.schema_digest,
        here.code_digest,
    )
    assert [folder.upload() for folder in folders] == [True, True, True]
    listed = json.loads(root.filesystem.cat_file(f"{root.path}/apps/taxi/{there.digest}/{LISTING}"))
    assert listed == json.loads((Path(here.app_uri) / LISTING).read_text())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_root_that_may_not_be_written_is_one_sentence(tmp_path):
    (tmp_path / "root").mkdir(mode=0o500)
    with pytest.raises(UserError, match="access is denied"):
        root_at(f"file://{tmp_path}/root").folder("apps/taxi", CONTENTS).upload()


def test_root_below_a_file_is_one_sentence(tmp_path):
    (tmp_path / "root").write_text("a file")
    with pytest.raises(UserError) as caught:
        root_at(f"file://{tmp_path}/root").folder("apps/taxi", CONTENTS).upload()
    assert str(caught.value).startswith(f"the pipeline root file://{tmp_path}/root cannot be written to: ")


def test_root_of_an_unknown_kind_is_one_sentence():
    with pytest.raises(UserError, match="'floppy://a' cannot be used"):
        root_at("floppy://a").folder("apps/taxi", CONTENTS).upload()


# Data of this machine


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.csv").write_text("x\n1\n")
    (folder / "b.csv").write_text("x\n2\n")
    (folder / "sub" / "c.csv").write_text("x\n3\n")
    (folder / "_SUCCESS").write_text("")
    return folder


@pytest.mark.parametrize(
    ("source", "rest", "sent"),
    [
        ("a.csv", "a.csv", {"a.csv"}),
        ("", "", {"a.csv", "b.csv", "sub/c.csv"}),
        ("*.csv", "*.csv", {"a.csv", "b.csv"}),
        ("sub/?.csv", "?.csv", {"c.csv"}),
    ],
)
def test_local_source_is_sent_and_read_by_the_same_rest(root, data, source, rest, sent):
    planned = plan_source(str(data / source), "auto", "taxi", root)
    assert planned.folder.upload()
    assert set(planned.folder.contents) == sent
    assert planned.source == f"{planned.folder.uri}/{rest}".rstrip("/")
    assert not plan_source(str(data / source), "auto", "taxi", root).folder.upload()


def test_sent_source_reads_as_the_local_one_does(tmp_path, data):
    from penstock.components.source_files.listing import find_source

    root = root_at(f"file://{tmp_path}/root")
    planned = plan_source(str(data), "auto", "taxi", root)
    planned.folder.upload()
    local, sent = find_source(str(data)), find_source(planned.source)
    assert [file.size for file in sent.files] == [file.size for file in local.files]
    assert sent.format == local.format == "csv"


def test_source_at_a_uri_stays_where_it_is(root):
    assert plan_source("s3://bucket/trips/*.parquet", "auto", "taxi", root) is None


def test_source_that_is_too_large_is_refused_before_it_is_read(root, data):
    with (data / "a.csv").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UserError, match="put it into a bucket"):
        plan_source(str(data / "a.csv"), "auto", "taxi", root)


def test_source_that_is_not_there_is_one_sentence(root, data):
    with pytest.raises(UserError, match="nope"):
        plan_source(str(data / "nope*.csv"), "auto", "taxi", root)
