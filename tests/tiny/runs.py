"""The programs on tiny models: in this process, or in one of their own."""

import contextlib
import os
import pathlib
import subprocess
import sys

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


def options(**values):
    """`ClassifierOptions` as the command line makes them: what is named here counts as given."""
    from bert_tf.classification.options import ClassifierOptions

    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
    return ClassifierOptions(given=frozenset(values), **values)


def run(**values):
    """Runs the program in this process; returns the content of results.json."""
    from bert_tf import classification

    return classification.run(options(**values))


@contextlib.contextmanager
def eagerly():
    """Context: functions run as plain Python, which a run of few steps spends less time on."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


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
