"""Registering and starting on an API: once for the same content, in order, and refused in one sentence."""

import ipaddress
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock.environment_models import Auth
from penstock.errors import UserError
from penstock.kfp_backend.client import API, Backend, connect
from penstock.kfp_backend.runs import list_runs
from penstock.kfp_backend.submission import attempts, submit
from penstock.kfp_backend.upload import ensure_version
from tests.submit.kfp_server import KfpState, serving


def sentence_of(action) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def end_all(state: KfpState, how: str) -> None:
    for run in state.runs.values():
        run["state"] = how


def test_submit_uploads_registers_and_starts(environment, state, deliver_taxi):
    stage = environment.model_copy(update={"service_account": "steps"})
    delivery = deliver_taxi(of=stage)
    found = submit(connect(stage), delivery)
    assert found.is_new
    (run,) = state.runs.values()
    assert run["display_name"] == delivery.run_name == found.name
    assert run["runtime_config"] == {
        "parameters": delivery.arguments,
        "pipeline_root": stage.pipeline_root,
    }
    assert run["service_account"] == "steps"
    assert state.experiments[run["experiment_id"]]["display_name"] == "taxi"
    (version,) = state.versions.values()
    assert (version["display_name"], version["text"]) == (delivery.version, delivery.text)
    assert not any(folder.upload() for folder in delivery.folders)


def test_submit_again_finds_the_run_and_changes_nothing(environment, state, deliver_taxi):
    backend = connect(environment)
    first = submit(backend, deliver_taxi())
    end_all(state, "SUCCEEDED")
    before = state.written
    second = submit(backend, deliver_taxi())
    assert (second.run_id, second.is_new, second.state) == (first.run_id, False, "SUCCEEDED")
    assert state.written == before


def test_submit_after_a_failure_makes_the_next_attempt(environment, state, deliver_taxi):
    backend = connect(environment)
    name = submit(backend, deliver_taxi()).name
    end_all(state, "FAILED")
    assert submit(backend, deliver_taxi()).name == f"{name}-2"
    assert submit(backend, deliver_taxi()).name == f"{name}-2"  # it is active
    end_all(state, "CANCELED")
    assert submit(backend, deliver_taxi()).name == f"{name}-3"
    assert len(state.versions) == len(state.pipelines) == len(state.experiments) == 1


def test_submit_again_on_request_makes_a_new_run_of_the_same_version(environment, state, deliver_taxi):
    backend = connect(environment)
    submit(backend, deliver_taxi())
    assert submit(backend, deliver_taxi(), again=True).is_new
    assert (len(state.runs), len(state.versions)) == (2, 1)


def test_run_of_a_longer_name_is_another(environment, state, deliver_taxi):
    backend = connect(environment)
    name = submit(backend, deliver_taxi()).name
    (run,) = state.runs.values()
    run["display_name"] = f"{name}-by-hand"
    assert submit(backend, deliver_taxi()).name == name


def test_runs_are_read_page_by_page_as_far_as_they_are_wanted(environment, state):
    state.runs = {
        str(number): {"run_id": str(number), "display_name": f"a-{number}"} for number in range(1, 251)
    }
    backend = connect(environment)
    assert [run["run_id"] for run in list_runs(backend, 120)] == [str(number) for number in range(1, 121)]
    assert state.calls.count(f"GET {API}/runs") == 2
    assert sorted(attempts(backend, "a")) == list(range(1, 251))
    assert state.calls.count(f"GET {API}/runs") == 5


def test_archived_run_is_put_away(environment, state, deliver_taxi):
    backend = connect(environment)
    name = submit(backend, deliver_taxi()).name
    for run in state.runs.values():
        run |= {"storage_state": "ARCHIVED", "state": "SUCCEEDED"}
    assert submit(backend, deliver_taxi()).name == f"{name}-2"


def test_second_of_two_at_once_gets_the_first_ones_run(environment, state, deliver_taxi):
    """The other's run appears after our look and before ours is made."""
    other = {}

    def somebody_is_faster(handler, body):
        state.before_run = None
        other.update(handler.add_run(dict(body), created="2026-01-01T00:00:04Z"))

    state.before_run = somebody_is_faster
    found = submit(connect(environment), deliver_taxi())
    assert (found.run_id, found.is_new) == (other["run_id"], False)
    assert list(state.runs) == [other["run_id"]]


def test_two_at_the_same_second_agree_on_one_run(environment, state, deliver_taxi):
    backend, found = connect(environment), []
    delivery = deliver_taxi()
    delivery.publish()
    threads = [threading.Thread(target=lambda: found.append(submit(backend, delivery))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(state.runs) == len(state.versions) == len(state.pipelines) == 1
    assert {run.run_id for run in found} == set(state.runs)


def test_version_that_somebody_else_uploads_meanwhile_is_taken(environment, state, deliver_taxi):
    class LateBackend(Backend):
        """Looks for the version too early: the other one's comes right after."""

        def upload(self, path, file, *, doing="", **query):
            super().upload(path, file, doing=doing, **query)
            return super().upload(path, file, doing=doing, **query)  # 409

    pipeline_id, version_id = ensure_version(LateBackend(environment), deliver_taxi())
    assert list(state.versions) == [version_id]
    assert list(state.pipelines) == [pipeline_id]


def test_many_users_are_told_apart_by_namespace(environment, state, deliver_taxi):
    state.multi_user = True
    assert submit(connect(environment), deliver_taxi()).is_new
    assert next(iter(state.pipelines.values()))["namespace"] == "kubeflow"


# What is refused: nothing half registered


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        (Auth(), "the environment stage gives no token, set its `auth`"),
        (Auth(kind="token", variable="KFP_TOKEN"), "renew the token in the variable KFP_TOKEN"),
    ],
)
def test_wrong_token_is_refused_before_anything_is_sent(environment, state, monkeypatch, auth, said):
    state.token = "right"
    monkeypatch.setenv("KFP_TOKEN", "hunter2")
    stage = environment.model_copy(update={"auth": auth})
    sentence = sentence_of(lambda: connect(stage))
    assert sentence == f"the KFP API at {stage.host} refuses us (401) to connect: {said}"
    assert state.written == []


def test_right_token_from_a_variable_or_a_file_is_taken(environment, state, monkeypatch, tmp_path):
    state.token = "right"
    monkeypatch.setenv("KFP_TOKEN", "right")
    (tmp_path / "token").write_text("right\n")
    for auth in (Auth(kind="token", variable="KFP_TOKEN"), Auth(kind="token", file=str(tmp_path / "token"))):
        assert connect(environment.model_copy(update={"auth": auth})).version == "2.14.3"


def test_token_in_a_pod_is_taken_from_the_service_account(environment, state, monkeypatch, tmp_path):
    state.token = "right"
    (tmp_path / "token").write_text("right")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    assert connect(environment.model_copy(update={"auth": Auth(kind="in_cluster")})).version == "2.14.3"


def test_token_that_is_not_there_names_where_it_should_be(environment, monkeypatch, tmp_path):
    monkeypatch.delenv("KFP_TOKEN", raising=False)
    by_variable = environment.model_copy(update={"auth": Auth(kind="token", variable="KFP_TOKEN")})
    assert "variable KFP_TOKEN" in sentence_of(lambda: connect(by_variable))
    by_file = environment.model_copy(update={"auth": Auth(kind="token", file=str(tmp_path / "token"))})
    assert str(tmp_path / "token") in sentence_of(lambda: connect(by_file))


def test_forbidden_upload_says_so_and_starts_nothing(environment, state, deliver_taxi):
    state.forbidden = {f"{API}/pipelines/upload_version"}
    sentence = sentence_of(lambda: submit(connect(environment), deliver_taxi()))
    assert "we are not allowed (403) to upload the pipeline training" in sentence
    assert "user cannot create in kubeflow" in sentence
    assert (state.versions, state.runs) == ({}, {})


def test_root_that_cannot_be_written_registers_nothing(environment, state, deliver_taxi, tmp_path):
    (tmp_path / "root").write_text("a file")
    sentence = sentence_of(lambda: submit(connect(environment), deliver_taxi()))
    assert "cannot be written to" in sentence
    assert state.written == []


def test_certificate_that_nobody_signed_is_refused_until_it_is_named(environment, state, tmp_path):
    certificate = self_signed(tmp_path)
    with serving(state, certificate) as address:
        stage = environment.model_copy(update={"host": address})
        sentence = sentence_of(lambda: connect(stage))
        assert "is not to be trusted (self-signed certificate)" in sentence
        assert "set `tls_ca`" in sentence
        assert connect(stage.model_copy(update={"tls_ca": str(certificate[0])})).version == "2.14.3"


def test_host_without_tls_is_told_from_a_wrong_certificate(environment):
    stage = environment.model_copy(update={"host": environment.host.replace("http://", "https://")})
    assert "does not speak TLS" in sentence_of(lambda: connect(stage))


def test_host_that_does_not_exist_or_does_not_listen_is_one_sentence(environment):
    nowhere = environment.model_copy(update={"host": "http://kfp.invalid"})
    assert sentence_of(lambda: connect(nowhere)).startswith("there is no host 'kfp.invalid'")
    closed = environment.model_copy(update={"host": "http://127.0.0.1:9"})
    assert "the connection is refused" in sentence_of(lambda: connect(closed))


def test_vendors_client_speaks_with_the_same_credentials_and_sentences(environment, state, monkeypatch):
    state.token = "right"
    monkeypatch.setenv("KFP_TOKEN", "right")
    stage = environment.model_copy(update={"auth": Auth(kind="token", variable="KFP_TOKEN")})
    backend = connect(stage)
    assert backend.client.list_pipelines().pipelines in (None, [])
    monkeypatch.setenv("KFP_TOKEN", "wrong")

    def list_them():
        with backend.clear_errors("list the pipelines"):
            backend.client.list_pipelines()

    assert "refuses us (401) to list the pipelines" in sentence_of(list_them)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Return the files of a new certificate for 127.0.0.1 and of its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime.now(UTC) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return paths
