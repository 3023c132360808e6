"""How a program ends: its exit status, its output and its exit handlers, all there."""

import os
import subprocess
import sys

import pytest

from tests import tiny

PROGRAM = """
import atexit, dataclasses
from bert_tf import cli

@dataclasses.dataclass
class Options:
    given: frozenset = frozenset()
    GROUPS = ()

def main(options):
    atexit.register(print, "handled")
    print("printed")
    {end}

cli.run(Options, main, "A program.")
"""
ENDS = {
    "return None": 0,
    "return 0": 0,
    "return 75": 75,
    "raise ValueError('broken')": 1,
    "from bert_tf.errors import UserError; raise UserError('wrong')": 1,
    "raise KeyboardInterrupt": 130,
    "import sys; sys.exit('a message')": 1,
}


@pytest.mark.parametrize("cluster", [False, True])
@pytest.mark.parametrize(("end", "status"), ENDS.items())
def test_a_program_ends_with_its_status_and_leaves_nothing_unsaid(end, status, cluster):
    environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT)}
    environment |= {"TF_CONFIG": "{}"} if cluster else {}
    command = [sys.executable, "-c", PROGRAM.format(end=end)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert done.stdout.split() == ["printed", "handled"]
    said = {"broken": "ValueError: broken", "wrong": "error: wrong", "message": "a message"}
    assert all(text in done.stderr for word, text in said.items() if word in end)
