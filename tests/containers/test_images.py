"""The real images: what is in them and what is not, how they start, how large they are, what a change rebuilds."""

import json
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from penstock.images.engine import Engine
from penstock.images.sizes import measure, over_budget, results_path
from penstock.images.targets import Target, all_targets, labels, origin
from penstock.project import Project
from penstock.versions import NOT_IN_AN_IMAGE, Images, lock_path
from tests.containers.conftest import PROJECT, ROOT, TARGETS, penstock
from tests.containers.engine import docker

PROBE = (Path(__file__).parent / "probe.py").read_text(encoding="utf-8")
HARDENED = (
    "--read-only",
    "--tmpfs=/tmp",
    "--network=none",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)
EPOCH = 315532800  # 1980-01-01
BUILDERS = re.compile(
    r"(pip|pip3|uv|uvx|conda|poetry|gcc|g\+\+|cc|c\+\+|clang|ld|make|cmake|ninja|cargo|rustc|nvcc|bazel)(-?[\d.]+)?"
)
# Everything outside of what we add, as root sees it; without what the engine itself puts there.
LISTING = (
    "find / -xdev \\( -path /stack -o -path /step -o -path /proc -o -path /sys -o -path /dev -o -path /tmp \\) -prune "
    "-o ! -path /.dockerenv ! -path /etc/hosts ! -path /etc/hostname ! -path /etc/resolv.conf ! -path /etc/mtab "
    "-type f -printf '%p %s\\n' | sort"
)

IMAGES = Images(PROJECT)
STEPS = [target for target in TARGETS if not target.is_service]
SERVICES = [target for target in TARGETS if target.is_service]


@cache
def seen_in(reference: str, folders: tuple[str, ...]) -> dict[str, Any]:
    """Return what the probe sees in an image, run as hardened as on a cluster."""
    ended = subprocess.run(
        ["docker", "run", "--rm", "-i", *HARDENED, reference, "python", "-", *folders],
        input=PROBE,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def seen(target: Target) -> dict[str, Any]:
    return seen_in(target.reference, folders_of(target))


def folders_of(target: Target) -> tuple[str, ...]:
    return tuple(sorted(IMAGES.needed(target.code))) if target.code else ()


def configuration(reference: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("image", "inspect", reference))[0]
    return found


@cache
def outside(reference: str) -> str:
    """Return the files of an image outside /stack and /step."""
    return docker("run", "--rm", "--user=0", *HARDENED[:3], reference, "sh", "-c", LISTING)


def test_image_runs_its_command_as_a_user_without_rights(target: Target) -> None:
    config = configuration(target.reference)["Config"]
    assert config["User"] == "65532:65532"
    assert not config["Entrypoint"]
    assert config["Cmd"] == list(target.command)
    assert seen(target)["uid"] == 65532


def test_image_is_written_to_in_tmp_only(target: Target) -> None:
    found = seen(target)
    assert found["writing"].pop("/tmp") == "works"
    missing = {} if target.code else {"/step": "ENOENT"}
    assert found["writing"] == {**dict.fromkeys(found["writing"], "EROFS"), **missing}
    assert found["home"] == "/tmp"


@pytest.mark.parametrize("target", STEPS, ids=lambda target: target.name, indirect=True)
def test_image_imports_all_its_code_without_network(target: Target) -> None:
    assert f"penstock.components.{target.name}.step" in seen(target)["modules"]


def test_image_of_a_service_of_ours_imports_all_its_code(project: Project) -> None:
    (serving,) = all_targets(PROJECT, IMAGES, ["serving"])
    assert "penstock.components.prediction_service.service" in seen(serving)["modules"]


@pytest.mark.parametrize("target", STEPS, ids=lambda target: target.name, indirect=True)
def test_image_holds_the_code_of_its_step_only(target: Target) -> None:
    empty = sha256(b"").hexdigest()
    expected = {"penstock/__init__.py": empty, "penstock/components/__init__.py": empty}
    for name in folders_of(target):
        folder = ROOT / "components" / name
        files = folder.rglob("*") if folder.is_dir() else [folder.with_suffix(".py")]
        for path in files:
            inside = path.relative_to(ROOT / "components")
            if path.is_file() and "__pycache__" not in inside.parts and path.name not in NOT_IN_AN_IMAGE:
                expected[f"penstock/components/{inside}"] = sha256(path.read_bytes()).hexdigest()
    assert seen(target)["code"] == expected
    others = {step.name for step in STEPS} - {target.name}
    assert others.isdisjoint(part for name in seen(target)["code"] for part in name.split("/"))


def test_image_is_compiled_and_has_fixed_times(target: Target) -> None:
    assert seen(target)["uncompiled"] == []
    assert seen(target)["times"] == [EPOCH]


def test_image_adds_no_builder_and_nothing_that_one_needs(target: Target) -> None:
    found = seen(target)
    assert [name for name in found["programs"] if BUILDERS.fullmatch(name)] == []
    assert [name for name in found["packages"] if re.match(r"(pip|uv|clang|libclang)(-|$)", name)] == []
    assert found["headers"] == []


def test_image_is_the_base_outside_of_stack_and_step(target: Target) -> None:
    """No package manager's cache or list, no compiler, no app: the layers add two folders and nothing else."""
    base = configuration(target.reference)["Config"]["Labels"]["org.opencontainers.image.base.name"]
    assert outside(target.reference) == outside(base)


@pytest.mark.parametrize("target", STEPS, ids=lambda target: target.name, indirect=True)
def test_step_starts_and_asks_for_its_input(target: Target) -> None:
    command = ["python", "-m", f"penstock.components.{target.name}.step"]
    ended = subprocess.run(
        ["docker", "run", "--rm", *HARDENED, target.reference, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 2
    assert "the following arguments are required: --executor_input" in ended.stderr


# Makes a model in the container's own /tmp, then serves it, as the image's command does.
SERVE_A_MODEL = """
import json, pathlib, sys, tensorflow as tf
folder = pathlib.Path("/tmp/model")
module = tf.Module()
specs = {"x": tf.TensorSpec((None, 1), tf.float64, "x")}
module.serve = tf.function(lambda raw: {"prediction": 2 * raw["x"][:, 0]}, input_signature=[specs])
tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.serve})
described = {"task": "regression", "label": "y", "classes": [], "positive": "", "inputs": [
    {"name": "x", "dtype": "float64"}]}
(folder / "model.json").write_text(json.dumps(described))
"""
# How each service is started, and a request that shows that it works.
ASKED = {
    "mlflow": (
        ["--workers", "1"],
        "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:5000/health').read().decode())",
        "OK",
    ),
    "serving": (
        ["--model-dir", "/tmp/model", "--log-uri", "/tmp/logs"],
        "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/v1/models/model:predict', "
        'b\'{"instances": [{"x": 4}]}\').read().decode())',
        '{"predictions":[{"prediction":8.0}],"model_name":"model","model_version":""}',
    ),
}


@pytest.mark.parametrize("target", SERVICES, ids=lambda target: target.name, indirect=True)
def test_service_answers_with_a_read_only_root(target: Target) -> None:
    arguments, ask, expected = ASKED[target.name]
    name = f"penstock-test-{target.name}-{time.monotonic_ns()}"
    command = [*target.command, *arguments]
    if target.name == "serving":
        command = ["sh", "-c", 'python -c "$0" && exec "$@"', SERVE_A_MODEL, *command]
    docker("run", "--detach", "--name", name, "--workdir=/tmp", *HARDENED, target.reference, *command)
    try:
        deadline = time.monotonic() + 240
        while True:
            ended = subprocess.run(
                ["docker", "exec", name, "python", "-c", ask], capture_output=True, text=True, check=False
            )
            if ended.stdout.strip() == expected or time.monotonic() > deadline:
                break
            time.sleep(1)
        assert ended.stdout.strip() == expected, docker("logs", name)[-3000:]
        docker("stop", "--time", "60", name)
        stopped = docker("inspect", "--format", "{{.State.ExitCode}}", name).strip()
        assert target.name != "serving" or stopped == "0"
    finally:
        docker("rm", "--force", name)


def test_labels_say_what_the_image_is(target: Target) -> None:
    found = configuration(target.reference)["Config"]["Labels"]
    revision = found.pop("org.opencontainers.image.revision", None)
    expected = labels(PROJECT, target)
    expected.pop("org.opencontainers.image.revision", None)
    assert found == expected
    assert found["org.opencontainers.image.version"] == target.tag
    assert found["penstock.stack"] == target.stack
    assert found.get("org.opencontainers.image.source", "") == origin(PROJECT)
    if revision is not None:
        assert re.fullmatch(r"[0-9a-f]{40}", revision)


@pytest.fixture(scope="session")
def at_revision(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the images' tags as a commit has them."""

    @cache
    def tags(revision: str) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("revision")
        archive = subprocess.run(
            ["git", "-C", str(ROOT), "archive", revision, "images", "components"],
            capture_output=True,
            check=True,
        ).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
        project = Project(folder)
        return {found.name: found.tag for found in all_targets(project, Images(project))}

    return tags


def test_revision_is_a_commit_that_makes_this_image(target: Target, at_revision: Any) -> None:
    revision = configuration(target.reference)["Config"]["Labels"].get("org.opencontainers.image.revision")
    if revision is None:
        pytest.skip("built from changes that no commit holds")
    if subprocess.run(["git", "-C", str(ROOT), "cat-file", "-e", revision], check=False).returncode:
        pytest.skip(f"built in another clone, at {revision}")
    assert at_revision(revision)[target.name] == target.tag


def test_images_keep_their_budgets_and_what_the_readme_says(project: Project) -> None:
    sizes = measure(project, TARGETS)
    assert over_budget(sizes) == []
    assert [size.name for size in sizes if size.budget_mb is None] == []
    written = json.loads(results_path(project).read_text(encoding="utf-8"))["images"]
    told = {name: (size["stack_bytes"] + size["own_bytes"]) / 1e6 for name, size in written.items()}
    assert told == {size.name: pytest.approx(size.megabytes, rel=0.01) for size in sizes}


# --- what is in an image, as a file ---


@pytest.fixture(scope="session")
def sboms(project: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What `penstock images sbom` writes, by image."""
    folder = tmp_path_factory.mktemp("sbom")
    done = penstock("images", "sbom", "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return {
        path.name.removesuffix(".cdx.json"): json.loads(path.read_text(encoding="utf-8"))
        for path in folder.iterdir()
    }


def test_sbom_is_cyclonedx(sboms: dict[str, dict[str, Any]]) -> None:
    assert sboms.keys() == {target.name for target in TARGETS}
    for target in TARGETS:
        document = sboms[target.name]
        assert (document["bomFormat"], document["specVersion"], document["version"]) == (
            "CycloneDX",
            "1.6",
            1,
        )
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", document["serialNumber"])
        described = document["metadata"]["component"]
        assert (described["type"], described["version"]) == ("container", target.tag)
        references = [component["bom-ref"] for component in document["components"]]
        assert len(set(references)) == len(references)
        assert document["dependencies"] == [{"ref": described["bom-ref"], "dependsOn": sorted(references)}]
        for component in document["components"]:
            assert component["type"] == "library"
            assert component["name"]
            assert component["version"]
            assert re.fullmatch(r"pkg:(pypi|deb)/[^@ ]+@[^@ ]+", component["purl"]), component


def test_sbom_names_the_locked_versions_and_no_other(sboms: dict[str, dict[str, Any]]) -> None:
    for target in TARGETS:
        lock = tomllib.loads(lock_path(PROJECT, target.stack).read_text(encoding="utf-8"))
        locked = {(package["name"], package.get("version")) for package in lock["package"]}
        (root,) = [package for package in lock["package"] if "virtual" in package["source"]]
        direct = {dependency["name"] for dependency in root["dependencies"]}
        purls = [component["purl"] for component in sboms[target.name]["components"]]
        installed = {
            tuple(purl.removeprefix("pkg:pypi/").split("@")) for purl in purls if "pkg:pypi/" in purl
        }
        named = {(name, version.replace("%2B", "+")) for name, version in installed}
        assert named - locked == set(), target.name
        assert direct - {name for name, _ in named} == set(), target.name
        assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in purls), target.name


# --- what a change rebuilds ---


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of what images are made of, in no repository; images that only it has are removed."""
    for folder in ("components", "images"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    changed = Project(tmp_path)
    yield changed
    ours = {target.reference for target in TARGETS} | {target.stack_reference for target in TARGETS}
    of_the_copy = all_targets(changed, Images(changed))
    theirs = {target.reference for target in of_the_copy} | {target.stack_reference for target in of_the_copy}
    subprocess.run(["docker", "rmi", "--force", *sorted(theirs - ours)], capture_output=True, check=False)


def test_change_in_the_folder_of_a_step_rebuilds_one_image(copy: Project) -> None:
    with (copy.root / "components" / "gate" / "step.py").open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    (gate,) = all_targets(copy, Images(copy), ["gate"])

    done = penstock("images", "build", cwd=copy.root)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    built = [line for line in lines if not line.endswith(" is there")]
    assert re.fullmatch(rf"built {gate.reference} in \d+ s, \d+ MB over the base", built[0])
    assert len(built) == 1
    there = {line.removesuffix(" is there") for line in lines if line.endswith(" is there")}
    assert there == {target.reference for target in TARGETS if target.name != "gate"}
    before, after = (
        configuration(reference)["RootFS"]["Layers"]
        for reference in (gate_of(TARGETS).reference, gate.reference)
    )
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]


def gate_of(targets: list[Target]) -> Target:
    return next(target for target in targets if target.name == "gate")


def test_image_built_again_from_nothing_is_the_same(project: Project) -> None:
    gate = gate_of(TARGETS)
    before = configuration(gate.reference), configuration(gate.stack_reference)

    done = penstock("images", "build", "gate", "--again")

    assert done.returncode == 0, done.stderr
    assert f"built {gate.stack_reference}" in done.stdout
    after = configuration(gate.reference), configuration(gate.stack_reference)
    assert [image["RootFS"] for image in after] == [image["RootFS"] for image in before]
    assert after[1]["Id"] == before[1]["Id"]
    if after[0]["Config"]["Labels"] == before[0]["Config"]["Labels"]:  # the revision is not part of the tag
        assert after[0]["Id"] == before[0]["Id"]


def test_engine_that_wants_layers_with_a_configuration_gives_the_same_image(project: Project) -> None:
    """As with containerd's image store, which refuses a configuration alone."""
    gate = gate_of(TARGETS)
    before = configuration(gate.reference)
    engine = Engine()
    engine._loads_configuration_alone = False

    given = engine.fix_configuration(gate.reference, before["Config"]["Labels"], gate.command)

    assert given == before["Id"]
    assert configuration(gate.reference)["RootFS"] == before["RootFS"]


def failed_build(copy: Project, right: str, wrong: str) -> tuple[Target, str]:
    """Build the gate by a recipe with one mistake; return what was to be built, and what is said of it."""
    recipe = copy.images / "Dockerfile"
    text = recipe.read_text()
    assert right in text
    recipe.write_text(text.replace(right, wrong))
    (gate,) = all_targets(copy, Images(copy), ["gate"])
    done = penstock("images", "build", "gate", cwd=copy.root)
    assert done.returncode == 2
    return gate, done.stderr


def test_failed_build_is_one_sentence_with_its_log(copy: Project) -> None:
    gate, said = failed_build(copy, "WORKDIR /", "WORKDRI /")
    log = copy.state / "images" / "stack-core.log"
    pattern = (
        rf"penstock: {gate.stack_reference} could not be built "
        rf"\(dockerfile parse error (on )?line \d+: unknown instruction: WORKDRI.*\); log: {re.escape(str(log))}\n"
    )
    assert re.fullmatch(pattern, said), said
    assert "WORKDRI" in log.read_text()


def test_failed_command_of_a_build_is_told_by_what_it_said(copy: Project) -> None:
    """The stack is there; the step's own layer fails, and what is not built has no name."""
    gate, said = failed_build(copy, "--require-hashes", "--no-such-option")
    assert said.count("\n") == 1
    assert "(no such option: --no-such-option); log: " in said
    assert Engine().inspect(gate.stack_reference) is None
