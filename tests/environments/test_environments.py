"""The environment files: what is read, and what is refused with a sentence."""

from pathlib import Path

import pytest

from penstock.app_yaml import AppError
from penstock.environment_models import Environment
from penstock.environments import environment_names, load_environment, read_environment
from penstock.errors import UserError
from penstock.project import find_project

PROJECT = find_project(Path(__file__))
KFP = """
backend: kfp
host: http://kfp.example.com
pipeline_root: s3://bucket/penstock
images: registry.example.com/penstock
registry_uri: http://mlflow.example.com
"""


@pytest.fixture
def read(tmp_path: Path):
    def _read(text: str) -> Environment:
        path = tmp_path / "stage.yaml"
        path.write_text(text)
        return read_environment(path, "stage.yaml")

    return _read


def said(read, text: str) -> str:
    with pytest.raises(AppError) as caught:
        read(text)
    return str(caught.value)


def test_the_four_environments_of_the_ladder_are_there_and_valid():
    assert set(environment_names(PROJECT)) >= {"local", "test", "preprod", "prod"}
    for name in environment_names(PROJECT):
        assert load_environment(PROJECT, name).name == name


def test_an_unknown_environment_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"'pro' is no environment of .*did you mean 'p"):
        load_environment(PROJECT, "pro")


def test_a_file_takes_its_name_from_its_path(read):
    assert read(KFP).name == "stage"
    assert said(read, "name: other\n" + KFP) == (
        "stage.yaml:1: name: an environment has the name of its file: take this key out"
    )


def test_a_variable_stands_for_a_value_of_this_machine(read, monkeypatch):
    text = KFP.replace("http://kfp.example.com", "${THE_HOST:-http://default:1}")
    monkeypatch.delenv("THE_HOST", raising=False)
    assert read(text).host == "http://default:1"
    monkeypatch.setenv("THE_HOST", "https://other")
    assert read(text).host == "https://other"


def test_a_variable_without_value_or_default_is_named(read, monkeypatch):
    monkeypatch.delenv("THE_HOST", raising=False)
    assert said(read, KFP.replace("http://kfp.example.com", "${THE_HOST}")) == (
        "stage.yaml:3: host: the environment variable THE_HOST is not set and has no default"
    )


@pytest.mark.parametrize("missing", ["host", "pipeline_root", "images", "registry_uri"])
def test_what_the_backend_needs_must_be_there(read, missing):
    text = "\n".join(line for line in KFP.splitlines() if not line.startswith(missing))
    assert said(read, text).endswith(f"{missing}: the backend kfp needs this key")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("hots: x", "stage.yaml has no key 'hots'; did you mean 'host'?"),
        ("auth: {kind: token}", "kind `token` needs either `variable` or `file`"),
        ("auth: {kind: iap}", "kind `iap` needs `client_id`"),
        ("variables: {AWS_SECRET_ACCESS_KEY: abc}", "this looks like a secret"),
        ("secrets: [{name: keys}]", "a secret needs `variables` (variable: key) or `mount` (a folder)"),
        ("store: {access_key_variable: A}", "access_key_variable and secret_key_variable go together"),
        ("schedules: [{name: a, app: x, cron: '* * * * *', max_concurrency: 0}]", "expected 1 or more"),
        (
            "schedules: [{name: a, app: x, cron: '* * * * *'}, {name: a, app: x, cron: '* * * * *'}]",
            "there are two schedules 'a'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_sentence(read, more, sentence):
    assert sentence in said(read, f"{KFP}{more}\n")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("host", "kfp.example.com", "'kfp.example.com' is no address, expected http://… or https://…"),
        ("host", "http://me:pw@kfp", "an address must not hold a user or password"),
        ("registry_uri", "http://me:pw@mlflow", "an address must not hold a user or password"),
        ("pipeline_root", "/data/root", "'/data/root' does not fit kfp"),
        ("images", "https://registry/penstock", "a registry has no scheme"),
    ],
)
def test_an_address_of_the_wrong_kind_is_refused(read, key, value, sentence):
    lines = [f"{key}: {value}" if line.startswith(key) else line for line in KFP.splitlines()]
    assert sentence in said(read, "\n".join(lines))


def test_a_secret_is_known_by_name_only(read):
    found = read(
        KFP + "secrets: [{name: s3-keys, variables: {AWS_ACCESS_KEY_ID: id}, steps: [extract_data]}]\n"
    )
    assert found.secrets[0].variables == {"AWS_ACCESS_KEY_ID": "id"}


def test_all_faults_are_told_at_once(read):
    assert said(read, KFP + "labels: 5\nhots: x\n").count("\n") == 1
