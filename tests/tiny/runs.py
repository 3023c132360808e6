"""The programs on tiny models: in this process, or in one of their own."""

import contextlib
import importlib
import json
import os
import pathlib
import subprocess
import sys
from unittest import mock

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRETRAINING = {
    "do_train": True,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "train_batch_size": 8,
    "learning_rate": 1e-2,
}


def options(program="classification", **values):
    """Options of a program as the command line makes them: what is named here counts as given.

    Args:
      program: the package that runs it.
      **values: flags.
    """
    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
    name = {
        "classification": "ClassifierOptions",
        "spans": "SpanOptions",
        "tagging": "TaggerOptions",
    }[program]
    module = importlib.import_module(f"bert_tf.{program}.options")
    return getattr(module, name)(given=frozenset(values), **values)


def run(callbacks=(), program="classification", **values):
    """Runs a program in this process; returns the content of results.json.

    Args:
      callbacks: Keras callbacks of the training, such as `tests.killer.KilledBefore`.
      program: the package that runs it.
      **values: flags.
    """
    module = importlib.import_module(f"bert_tf.{program}")
    return module.run(options(program, **values), callbacks)


@contextlib.contextmanager
def eagerly():
    """Context: functions run as plain Python, which a run of few steps spends less time on."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@contextlib.contextmanager
def without_pictures():
    """Context: the picture of the ranks is a point; drawing one takes as long as two updates."""
    with mock.patch("flop.report.ranks_image", lambda rows: np.zeros([1, 1, 3], np.uint8)):
        yield


def command(**values):
    """The command line (list) of run_classifier.py with these flags."""
    flags = [f"--{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in values.items()]
    return [sys.executable, str(ROOT / "run_classifier.py"), *flags]


def environment():
    """Of a child process: one thread is fastest for models this small, and no GPU is searched."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}


def run_script(*extra, **values):
    """Runs the program in a process of its own; returns `subprocess.CompletedProcess` with text."""
    return subprocess.run(
        [*command(**values), *extra],
        env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def run_jobs(jobs, path, status=0):
    """Runs jobs one after the other in one process of their own, which may have two replicas.

    Args:
      jobs: list of what tests/distributed_jobs.py takes; paths count as their text.
      path: file to be written with them.
      status: exit status that is expected.
    """
    path.write_text(json.dumps(jobs, default=str), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "distributed_jobs.py"), str(path)],
        env=environment(), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr[-3000:]


def run_on_two_replicas(runs, folder):
    """Runs run_classifier.py's work on two replicas, all runs in one process of their own.

    Args:
      runs: {name: flags without output_dir}.
      folder: where; the run `name` writes to folder/name, and its weights, as each replica holds
        them at the end, to folder/name.npz.

    Returns:
      {name: output folder}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        {
            "options": {**flags, "output_dir": folder / name},
            "weights": folder / f"{name}.npz",
            "devices": 2,
        }
        for name, flags in runs.items()
    ]
    run_jobs(jobs, folder / "jobs.json")
    return {name: folder / name for name in runs}


def pretraining_options(**values):
    """`PretrainingOptions` of a tiny model; what is named here counts as given."""
    from bert_tf.pretraining.options import PretrainingOptions

    values = {**PRETRAINING, **values}
    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
    return PretrainingOptions(given=frozenset(values), **values)


def pretrain(**values):
    """Runs run_pretraining.py's work in this process; returns the content of results.json."""
    from bert_tf import pretraining

    return pretraining.run(pretraining_options(**values))
