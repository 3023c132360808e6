"""Kills a run in this process, anywhere; and the seeds of random lives of runs."""

import os
import pathlib
import shutil
import threading

import pytest
import tf_keras as keras


def seeds(quick, every):
    """Parameters 0 to `every` - 1, those from `quick` on marked slow."""
    slow = pytest.mark.slow
    return [pytest.param(seed, marks=[slow] if seed >= quick else []) for seed in range(every)]


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


class KilledBefore(keras.callbacks.Callback):
    """Ends the process before update `step` (from 0)."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.global_step.numpy()) == self.step:
            raise Killed


class Killer:
    """Ends the process at the n-th thing that it does to a file, an update or an evaluation.

    From then on it can do nothing more, so that no `finally` tidies up.
    """

    CALLS = (
        (os, "replace"),
        (os, "rename"),
        (os, "unlink"),
        (pathlib.Path, "rename"),
        (pathlib.Path, "unlink"),
        (pathlib.Path, "mkdir"),
        (shutil, "rmtree"),
    )

    def __init__(self, monkeypatch, at):
        from bert_tf.classification.evaluation import Evaluator
        from bert_tf.pretraining.model import MaskedLMEvaluator
        from bert_tf.training.update import UpdatedModel

        self.left, self.dead = at, False
        work = [(Evaluator, "evaluate"), (MaskedLMEvaluator, "evaluate")]
        work += [(UpdatedModel, "train_step")]
        for owner, name in (*self.CALLS, *work):
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, real):
        def call(*args, **kwargs):
            self._tick()
            value = real(*args, **kwargs)
            self._tick()
            return value

        return call

    def _tick(self):
        if threading.current_thread() is not threading.main_thread():
            if self.dead:
                raise SystemExit  # a thread ends with its process
            return
        self.left -= 1
        if self.dead or self.left == 0:
            self.dead = True
            raise Killed
