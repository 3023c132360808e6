"""Runs a list of jobs in this process, under a strategy, and saves the weights each one ends with.

A program of its own: logical devices and clusters must exist before TensorFlow's first operation.
Usage: python distributed_jobs.py jobs.json, a list of objects with the keys
  options: {flag: value} of run_classifier.py or of another `program` of `tiny.run`; of
    run_tagger.py with the key tags: true; of run_pretraining.py with the key
  age: seconds that the process's clock is ahead; its weights file also has the rates (`rates`).
  weights: file (.npz) for the weights that this process holds after the last update.
  devices: 1, or the number of logical CPU devices of a MirroredStrategy put in the program's place.
  dropout: false to switch off the dropout of the head, which no configuration does.
  kill_at: update after which the process kills itself (0: never).
  stop_at: update after which the job is abandoned, the next one follows (0: never).
"""

import json
import os
import signal
import sys

import bert_tf  # noqa: F401  before TensorFlow

# isort: split
import numpy as np
import tensorflow as tf
import tf_keras as keras

from bert_tf import pretraining
from bert_tf.training import distribution, loop
from bert_tf.training.optimization import current_learning_rate
from tests import tiny
from tests.tiny import tags


class Stopped(Exception):
    """Ends a job in the middle, as a crash would."""


class Interrupt(keras.callbacks.Callback):
    """Kills the process, or leaves the job, after an update of this session."""

    def __init__(self, kill_at, stop_at):
        super().__init__()
        self.kill_at, self.stop_at = kill_at, stop_at
        self.done = 0  # in all calls of `fit`: a freeze ends one

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        if self.done == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.done == self.stop_at:
            raise Stopped


class Rates(keras.callbacks.Callback):
    """Keeps the rate of each update, and at the end the weights."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(current_learning_rate(self.model.optimizer))

    def on_train_end(self, logs=None):
        self.weights = {v.name: v.numpy() for v in self.model.trained_weights}


def run_pretraining_job(job):
    rates = Rates()
    pretraining.run(tiny.pretraining_options(**job["options"]), [rates], age=job["age"])
    np.savez(job["weights"], rates=rates.rates, **rates.weights)


def run_job(job, mirrored):
    train_and_evaluate, make_strategy = loop.train_and_evaluate, distribution.make_strategy

    def watched(model, *args, callbacks=(), **kwargs):
        if not job.get("dropout", True):
            model.classifier.dropout.rate = 0.0
        interrupt = Interrupt(job.get("kill_at", 0), job.get("stop_at", 0))
        result = train_and_evaluate(model, *args, callbacks=[*callbacks, interrupt], **kwargs)
        replicas = {}
        for v in model.trainable_variables:
            for i, copy in enumerate(getattr(v, "values", [v])):
                replicas.setdefault(f"{i}:{v.name}", copy.numpy())
        np.savez(job["weights"], **replicas)
        return result

    loop.train_and_evaluate = watched
    if job.get("devices", 1) > 1:
        distribution.make_strategy = lambda *_: mirrored
    try:
        (tags.tag if job.get("tags") else tiny.run)(**job["options"])
    except Stopped:
        pass
    finally:
        loop.train_and_evaluate, distribution.make_strategy = train_and_evaluate, make_strategy


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        jobs = json.load(f)
    count = max(job.get("devices", 1) for job in jobs)
    mirrored = None
    if count > 1:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration() for _ in range(count)],
        )
        # One for all jobs: the collectives of a second one would collide with the first one's.
        mirrored = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)])
    with tiny.without_pictures():
        for job in jobs:
            if "age" in job:
                run_pretraining_job(job)
            else:
                run_job(job, mirrored)


if __name__ == "__main__":
    main()
