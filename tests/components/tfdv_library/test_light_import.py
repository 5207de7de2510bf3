import os
import subprocess
import sys

PROGRAM = """
import sys
from penstock.components.tfdv_library.light_import import tfdv_module
tfdv_module("statistics.generators.basic_stats_generator").BasicStatsGenerator()
tfdv_module("pywrap.tensorflow_data_validation_extension").validation
{then}
print(sorted({{"tensorflow", "apache_beam"}} & set(sys.modules)))
"""


def run_python(then: str = "", **environment: str) -> str:
    """Run the program in a fresh interpreter and return what it prints last."""
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM.format(then=then)]
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()[
        -1
    ]


def test_single_modules_load_neither_tensorflow_nor_beam() -> None:
    assert run_python() == "[]"


def test_the_whole_library_is_imported_on_request() -> None:
    assert run_python(PENSTOCK_TFDV_IMPORT="full") == "['apache_beam', 'tensorflow']"


def test_the_real_libraries_can_be_imported_afterwards() -> None:
    assert run_python("import apache_beam; assert apache_beam.Pipeline") == "['apache_beam']"
