"""A tiny model and tiny data sets, ways to run the programs on them, and what has to hold of a run.

- `files` writes models and data sets: `make_model`, `make_classifier`, `make_sst2` and so on.
- `runs` runs the programs: `run`, `pretrain` in this process, `run_script` in one of its own.
- `checks` reads back and compares: `arrays_of`, `assert_same_bits`, `read_events`, and what every
  lever has to pass: `check_lever`.

`train_and_evaluate` of the smallest run costs a second in this process, and the start of another
process ten: use `run` where the process itself is not what is tested.
"""

from tests.tiny.checks import arrays_of, assert_same_bits, read_events
from tests.tiny.files import (
    BAD,
    GOOD,
    PLAIN,
    SHAPE,
    TOKENS,
    make_classifier,
    make_mnli,
    make_model,
    make_rows,
    make_sst2,
    make_stsb,
    sentences,
    write_rows,
)
from tests.tiny.runs import (
    PRETRAINING,
    ROOT,
    command,
    eagerly,
    environment,
    options,
    pretrain,
    pretraining_options,
    run,
    run_script,
)

__all__ = [
    "BAD",
    "GOOD",
    "PLAIN",
    "PRETRAINING",
    "ROOT",
    "SHAPE",
    "TOKENS",
    "arrays_of",
    "assert_same_bits",
    "command",
    "eagerly",
    "environment",
    "make_classifier",
    "make_mnli",
    "make_model",
    "make_rows",
    "make_sst2",
    "make_stsb",
    "options",
    "pretrain",
    "pretraining_options",
    "read_events",
    "run",
    "run_script",
    "sentences",
    "write_rows",
]
