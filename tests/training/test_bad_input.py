"""Each kind of bad input: one clear sentence, the right exit code, and nothing half written."""

import contextlib
import csv
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.training.conftest import PENSTOCK, PROJECT, customers, write_app, write_csv

CANNOT_BE_READ, IS_WRONG = 2, 3
PLAN = "plan"


@pytest.fixture(scope="module")
def home(make_home):
    return make_home("bad-input")


@pytest.fixture(scope="module")
def good_app(home, tmp_path_factory):
    """An app whose schema was drafted from good data."""
    app = write_app(tmp_path_factory.mktemp("good") / "customers")
    write_csv(app / "customers.csv", customers())
    drafted = home("schema", "infer", "--app", app)
    assert drafted.code == 0, drafted.stderr
    return app


@pytest.fixture
def app(good_app, tmp_path):
    """A copy of it that a test may spoil."""
    return shutil.copytree(good_app, tmp_path / "customers")


def table_of(app):
    return app / "customers.csv"


def spoil_rows(change, first=0, last=None):
    """Return a function that changes some rows of the table."""

    def spoil(app):
        table = customers()
        for row in table[first:last]:
            change(row)
        write_csv(table_of(app), table)

    return spoil


def set_to(column, value):
    return lambda row: row.__setitem__(column, value)


def lines(change):
    """Return a function that changes the file's lines."""

    def spoil(app):
        text = table_of(app).read_text(encoding="utf-8").splitlines()
        table_of(app).write_text("\n".join(change(text)) + "\n", encoding="utf-8")

    return spoil


def missing_file(app):
    table_of(app).unlink()


def empty_file(app):
    table_of(app).write_bytes(b"")


def latin_1(app):
    text = table_of(app).read_text(encoding="utf-8")
    table_of(app).write_bytes(text.encode("latin-1", errors="replace"))


def without_column(app):
    table = customers()
    for row in table:
        del row["support calls"]
    write_csv(table_of(app), table)


def ten_thousand_columns(app):
    with table_of(app).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"c{i}" for i in range(10_000)])
        for _ in range(3):
            writer.writerow(range(10_000))


def one_row(app):
    write_csv(table_of(app), customers()[:1])


CASES = {
    "missing file": (missing_file, CANNOT_BE_READ, ["customers.csv"]),
    "empty file": (empty_file, CANNOT_BE_READ, ["customers.csv", "empty"]),
    "header only": (lines(lambda text: text[:1]), CANNOT_BE_READ, ["customers.csv", "header"]),
    "truncated line": (
        lines(lambda text: [*text[:-1], text[-1][:9]]),
        CANNOT_BE_READ,
        ["customers.csv", "601"],
    ),
    "bytes that are not UTF-8": (latin_1, CANNOT_BE_READ, ["customers.csv", "UTF-8", "byte"]),
    "duplicate column names": (
        lines(lambda text: [text[0].replace("paperless", PLAN), *text[1:]]),
        CANNOT_BE_READ,
        ["customers.csv", "'plan'"],
    ),
    "10,000 columns": (ten_thousand_columns, CANNOT_BE_READ, ["10000 columns", "2000", "data.query"]),
    "column absent": (without_column, IS_WRONG, ["support calls"]),
    "new column": (spoil_rows(set_to("surprise", "1")), IS_WRONG, ["surprise"]),
    "text among numbers": (spoil_rows(set_to("Months active", "many"), 0, 3), IS_WRONG, ["Months active"]),
    "unseen category beyond the allowed share": (
        spoil_rows(set_to(PLAN, "Gold"), 0, 300),
        IS_WRONG,
        [PLAN, "Gold"],
    ),
    "column all missing": (spoil_rows(set_to("Months active", "")), IS_WRONG, ["Months active"]),
    "label of a single class": (spoil_rows(set_to("churned", "No")), IS_WRONG, ["churned"]),
    "label missing in some rows": (spoil_rows(set_to("churned", ""), 0, 60), IS_WRONG, ["churned", "60"]),
    "a single row": (one_row, IS_WRONG, ["1 row"]),
    "infinite number": (spoil_rows(set_to("Monthly fee (€)", "inf"), 0, 5), IS_WRONG, ["Monthly fee (€)"]),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_data_ends_with_one_sentence(home, app, case):
    spoil, code, words = CASES[case]
    spoil(app)

    result = home("run", "training", "--app", app)

    assert result.code == code, result.says
    assert "Traceback" not in result.says
    assert [word for word in words if word not in result.says] == []


def test_blocked_gate_keeps_its_report_and_skips_the_rest(home, app):
    without_column(app)

    result = home.train(app)

    assert result.code == IS_WRONG
    states = result.states()
    assert (states["gate"], states["train-model"], states["notify"]) == ("blocked", "skipped", "succeeded")
    report = home.folder / "runs" / result.run["id"] / "reports" / "validate-data-report.html"
    assert "support calls" in report.read_text(encoding="utf-8")
    told = (home.folder / "notifications.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert "support calls" in told


def test_unseen_category_within_the_allowed_share_passes(home, app):
    schema = app / "schema.pbtxt"
    text = schema.read_text(encoding="utf-8")
    assert "Basic" in text
    schema.write_text(allow_unseen(text), encoding="utf-8")
    spoil_rows(set_to(PLAN, "Gold"), 0, 2)(app)

    result = home.train(app)

    assert result.code == 0, result.says


def allow_unseen(schema: str) -> str:
    """Let 10 % of the values of `plan` lie outside its domain."""
    parts = schema.split("feature {")
    changed = []
    for part in parts:
        if 'name: "plan"' in part and "distribution_constraints" not in part:
            part = part.replace(
                'name: "plan"', 'name: "plan" distribution_constraints { min_domain_mass: 0.9 }'
            )
        changed.append(part)
    return "feature {".join(changed)


def test_other_delimiter_and_byte_order_mark_are_read(home, app):
    write_csv(table_of(app), customers(), delimiter=";")
    text = table_of(app).read_bytes()
    table_of(app).write_bytes(b"\xef\xbb\xbf" + text)

    result = home.train(app)

    assert result.code == 0, result.says


SETTINGS = {
    "broken schema": ("schema.pbtxt", "feature { name: ", ["schema.pbtxt:"]),
    "unknown slice": (
        "app.yaml",
        "slices: [plan]|slices: [plans]",
        ["app.yaml:", "'plans'", "did you mean 'plan'?"],
    ),
    "threshold of the wrong type": (
        "app.yaml",
        "metrics: {}|metrics: {auc: {min: high}}",
        ["app.yaml:", "thresholds.metrics.auc.min", "'high'"],
    ),
    "unknown key": ("app.yaml", "label:|lable:", ["app.yaml:", "lable", "label"]),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_wrong_settings_are_told_before_anything_runs(home, app, case):
    name, change, words = SETTINGS[case]
    file = app / name
    if "|" in change:
        old, new = change.split("|")
        file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    else:
        file.write_text(change, encoding="utf-8")
    before = sorted((home.folder / "runs").glob("*"))

    result = home("run", "training", "--app", app)

    assert result.code == CANNOT_BE_READ, result.says
    assert [word for word in words if word not in result.says] == []
    assert sorted((home.folder / "runs").glob("*")) == before


CODE = {
    "raises": ("def features(inputs):\n    raise KeyError('tenure')\n", ["features.py", "line 2", "tenure"]),
    "returns NaN": (
        "import tensorflow as tf\n\n\ndef features(inputs):\n"
        "    return {'ratio': inputs['Months active'] * tf.constant(float('nan'), tf.float64)}\n",
        ["ratio"],
    ),
}


@pytest.mark.parametrize("case", CODE)
def test_features_that_fail_are_named(home, app, case):
    code, words = CODE[case]
    (app / "features.py").write_text(code)

    result = home("run", "training", "--app", app)

    assert result.code == CANNOT_BE_READ, result.says
    assert [word for word in words if word not in result.says] == []
    assert "Traceback" not in result.says


def test_unreachable_registry_is_told(home, app):
    environment = {**home.environment, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = subprocess.run(
        [*PENSTOCK, "run", "training", "--app", app],
        cwd=PROJECT.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == CANNOT_BE_READ, done.stdout + done.stderr
    assert "http://127.0.0.1:9" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_full_disk_is_told(home, app, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=700k", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        (disk / "envs").symlink_to(home.folder / "envs")
        write_csv(table_of(app), customers(40_000))
        done = subprocess.run(
            [*PENSTOCK, "run", "training", "--app", app],
            cwd=PROJECT.root,
            env={**home.environment, "PENSTOCK_HOME": str(disk)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run(["umount", disk], check=True)
    assert done.returncode == CANNOT_BE_READ, done.stdout + done.stderr
    assert "space" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_interrupt_ends_with_130_and_can_go_on(home, app):
    runner = subprocess.Popen(
        [*PENSTOCK, "run", "training", "--app", app],
        cwd=PROJECT.root,
        env=home.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert runner.stderr is not None
    for line in runner.stderr:
        if "train-model" in line:
            break
    time.sleep(0.3)
    runner.send_signal(signal.SIGINT)
    rest = runner.stderr.read()
    assert runner.wait() == 130, rest
    assert commands_that_mention(str(app)) == []

    again = home.train(app)

    assert again.code == 0, again.stderr
    assert again.states()["prepare-data"] == "cached"


def commands_that_mention(text: str) -> list[bytes]:
    """Return the command lines of the processes that have `text` among their arguments."""
    commands = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            commands.append(process.read_bytes())
    return [command for command in commands if text.encode() in command]
