"""A tiny model and tiny data sets, ways to run the programs on them, and what has to hold of a run.

- `files` writes models and data sets: `make_model`, `make_classifier`, `make_sst2` and so on.
- `questions` writes files of questions: `make_squad`, `write_squad`.
- `runs` runs the programs: `run`, `pretrain` in this process, `run_script` in one of its own.
- `checks` reads back and compares: `arrays_of`, `assert_same_bits`, `read_events`, and what every
  lever has to pass: `check_lever`.

`train_and_evaluate` of the smallest run costs a second in this process, and the start of another
process ten: use `run` where the process itself is not what is tested.
"""

from tests.tiny.checks import (
    WITHOUT_DROPOUT,
    arrays_of,
    assert_same_bits,
    assert_same_run,
    assert_same_scalars,
    check_accumulation,
    check_lever,
    check_resume,
    check_two_replicas,
    read_events,
    results_of,
)
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
from tests.tiny.questions import make_squad, paragraph, question, span_head, write_squad
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
    run_jobs,
    run_on_two_replicas,
    run_script,
    without_pictures,
)

__all__ = [
    "BAD",
    "GOOD",
    "PLAIN",
    "PRETRAINING",
    "ROOT",
    "SHAPE",
    "TOKENS",
    "WITHOUT_DROPOUT",
    "arrays_of",
    "assert_same_bits",
    "assert_same_run",
    "assert_same_scalars",
    "check_accumulation",
    "check_lever",
    "check_resume",
    "check_two_replicas",
    "command",
    "eagerly",
    "environment",
    "make_classifier",
    "make_mnli",
    "make_model",
    "make_rows",
    "make_squad",
    "make_sst2",
    "make_stsb",
    "options",
    "paragraph",
    "pretrain",
    "pretraining_options",
    "question",
    "read_events",
    "results_of",
    "run",
    "run_jobs",
    "run_on_two_replicas",
    "run_script",
    "sentences",
    "span_head",
    "without_pictures",
    "write_rows",
    "write_squad",
]
