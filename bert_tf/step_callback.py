"""The base of all callbacks that act after training steps."""

import contextlib
import time

import tf_keras as keras

from bert_tf import keras_internals


class StepCallback(keras.callbacks.Callback):
    """A callback that counts the steps, and for which the device is not waited for at each one.

    Args:
      initial_step: steps done before `fit`, of a model that has no `global_step` to tell them.
      clock: returns seconds.

    Attributes:
      step: steps done, those before this `fit` included.
    """

    def __init__(self, initial_step=0, clock=time.monotonic):
        super().__init__()
        keras_internals.take_tensors(self)
        self.step = self._epoch_start = initial_step
        self._clock = clock
        self._test_begin = None

    def on_train_begin(self, logs=None):
        step = getattr(self.model, "global_step", None)
        if step is not None:
            self.step = int(step.numpy())

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_start = self.step

    def on_train_batch_end(self, batch, logs=None):
        # Under steps_per_execution `batch` is the last of several.
        before, self.step = self.step, self._epoch_start + batch + 1
        self.on_steps(before, logs or {})

    def on_test_begin(self, logs=None):
        self._test_begin = self._clock()

    def on_test_end(self, logs=None):
        if self._test_begin is not None:
            self.on_pause(self._clock() - self._test_begin)
            self._test_begin = None

    @contextlib.contextmanager
    def paused(self):
        """Context of work that is no training, as an evaluation inside `fit` is none."""
        begin = self._clock()
        yield
        self.on_pause(self._clock() - begin)

    def on_steps(self, before, logs):
        """Called after each execution, which is one step or more; to be overridden.

        Args:
          before: steps done before it; those done now are `step`.
          logs: {name: scalar tensor} of the last of its steps; reading one waits for the device.
        """

    def on_pause(self, seconds):
        """Called after a pause of so many seconds; to be overridden where time is measured."""
