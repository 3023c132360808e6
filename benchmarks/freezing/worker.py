"""One training of benchmarks.freezing in a process of its own, run_classifier.py's code path."""

import ctypes
import os
import pathlib
import signal
import time

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def prepare(connection, options):
    """Process entry: makes the features; sends {"rows": training rows, "layers": encoder layers}.

    Args:
      connection: to the parent.
      options: `ClassifierOptions` with `feature_dir`, or `tfrecord_dir`.
    """
    try:
        from bert_tf.data import inputs
        from bert_tf.training import sources

        _allow_sharing()
        folder = pathlib.Path(options.output_dir)
        source = sources.load(options, folder)
        task = inputs.task_of(options, source)
        rows = len(inputs.build(options, source, task, folder).train)
        connection.send({"rows": rows, "layers": source.config.num_hidden_layers})
    except Exception as e:
        connection.send(e)


def serve(connection, stopped, options, log):
    """Process entry: prepares, sends "ready", and upon a message trains and sends the results.

    Args:
      connection: to the parent.
      stopped: see `PausableWorker`.
      options: `ClassifierOptions` of the run.
      log: file for all that the run says.
    """
    _die_with_parent()
    _write_to(log)
    try:
        leave_out(stopped)
        _allow_sharing()
        from bert_tf import classification

        connection.send(classification.run(options, callbacks=[_gate(connection)]))
    except (EOFError, BrokenPipeError):
        return
    except Exception as e:
        connection.send(e)
        raise


def _gate(connection):
    """A callback that waits for the parent before the first step."""
    import tf_keras as keras

    class Gate(keras.callbacks.Callback):
        waited = False

        def on_train_begin(self, logs=None):
            if not self.waited:
                connection.send("ready")
                connection.recv()
                self.waited = True

    return Gate()


def leave_out(stopped):
    """Makes `time.monotonic`, which all times of a run are taken by, stand still in a pause."""
    monotonic = time.monotonic

    def running():
        while True:
            before = stopped.value
            now = monotonic()
            if stopped.value == before:  # else it was stopped between the two
                return now - before

    time.monotonic = running


def _die_with_parent():
    """A process that is stopped would else outlive a killed parent for ever (Linux)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _write_to(log):
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _allow_sharing():
    """Keeps TensorFlow from taking all memory of a GPU for one of several processes."""
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
