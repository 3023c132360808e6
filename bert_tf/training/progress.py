"""Progress of `fit`: one line that overwrites itself on a terminal, plain lines in a log."""

import datetime
import shutil
import sys
import time

import numpy as np

from bert_tf.step_callback import StepCallback
from bert_tf.training.optimization import current_learning_rate


class Reporter(StepCallback):
    """A callback that sums up what happened since it last reported.

    `logs["loss"]` must be the mean loss of the steps that just ran, as a `train_step` that returns
    the batch's own loss gives it. The logs are kept as tensors and read when reported. Pauses do
    not count as training time.

    Args:
      examples: callable, step (from 0) -> number of examples in its batch.
      initial_step, clock: see `StepCallback`.
    """

    def __init__(self, examples, initial_step=0, clock=time.monotonic):
        super().__init__(initial_step, clock)
        self._examples = examples

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._mark()

    def on_steps(self, before, logs):
        self._pending.append((self.step - before, logs))

    def on_pause(self, seconds):
        self._marked_time += seconds

    def report(self):
        """Returns what happened since the last report, and begins the next one.

        Returns:
          dict: `loss` (mean over steps), every other log's latest value under its name,
          `learning_rate` and `examples_per_second`; or {} when no step ran.
        """
        if not self._pending:
            return {}
        counts, logs = zip(*self._pending, strict=True)
        values = {name: float(value) for name, value in logs[-1].items()}
        if "loss" in values:
            losses = [float(x["loss"]) for x in logs]
            values["loss"] = float(np.average(losses, weights=counts))
        examples = sum(self._examples(s) for s in range(self._marked_step, self.step))
        # The clock is read after the values: reading them waits for the device.
        seconds = self._clock() - self._marked_time
        values["learning_rate"] = current_learning_rate(self.model.optimizer)
        values["examples_per_second"] = examples / max(seconds, 1e-9)
        self._mark()
        return values

    def _mark(self):
        self._pending = []
        self._marked_step = self.step
        self._marked_time = self._clock()


class ProgressBar(Reporter):
    """Shows how far the training is.

        step 1200/6315  19%  epoch 0.57  loss 0.3120  lr 4.1e-05  118 examples/s  eta 0:41:10

    On a terminal the line overwrites itself; elsewhere a line is written every `log_seconds`, or
    every `log_steps` steps if given. The first and the last step always show.

    Args:
      total_steps: the steps of the whole training, those before `initial_step` included; None
        where a budget ends it, which `left` then tells.
      examples, initial_step, clock: see `Reporter`.
      epoch_of: callable, steps done -> epochs done (float); None leaves the epoch out.
      stream: where to write; standard error by default.
      refresh_seconds: the least time between two states of the line on a terminal.
      log_seconds, log_steps: the rhythm elsewhere.
      left: callable -> (share of the budget spent, what is left of it as text).
    """

    def __init__(
        self,
        total_steps,
        examples,
        initial_step=0,
        epoch_of=None,
        stream=None,
        refresh_seconds=0.5,
        log_seconds=30.0,
        log_steps=None,
        left=None,
        clock=time.monotonic,
    ):
        super().__init__(examples, initial_step, clock)
        self._left = left
        self.total_steps = total_steps
        self._epoch_of = epoch_of
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._seconds = refresh_seconds if self._terminal else log_seconds
        self._steps = None if self._terminal else log_steps
        self._width = 0
        self._first = None  # (step, time) after the first execution, which includes compilation

    def on_steps(self, before, logs):
        super().on_steps(before, logs)
        if self._first is None:
            self._first = (self.step, self._clock())
            self._show()
        elif self._due() or (self.total_steps and self.step >= self.total_steps):
            self._show()

    def on_train_end(self, logs=None):
        self._show()
        if self._width:
            self._stream.write("\n")
            self._width = 0

    def _due(self):
        if self._steps:
            return self.step // self._steps > self._marked_step // self._steps
        return self._clock() - self._marked_time >= self._seconds

    def on_pause(self, seconds):
        super().on_pause(seconds)
        if self._first:
            self._first = (self._first[0], self._first[1] + seconds)

    def _show(self):
        values = self.report()
        if not values:
            return
        line = self._line(values)
        if self._terminal:
            # One column is left free, or the terminal would wrap the line.
            line = line[: shutil.get_terminal_size().columns - 1]
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def _line(self, values):
        parts = [f"step {self.step}"]
        if self.total_steps:
            parts = [f"step {self.step}/{self.total_steps}"]
            parts.append(f"{100 * self.step // self.total_steps}%")
        if self._epoch_of:
            parts.append(f"epoch {self._epoch_of(self.step):.2f}")
        if "loss" in values:
            parts.append(f"loss {values['loss']:.4f}")
        parts.append(f"lr {values['learning_rate']:.1e}")
        parts.append(f"{values['examples_per_second']:.0f} examples/s")
        first_step, first_time = self._first
        if self._left:
            share, left = self._left()
            parts.append(f"{100 * share:.1f}% of the budget, {left} left")
        elif self.step > first_step:
            rate = (self._clock() - first_time) / (self.step - first_step)
            left = datetime.timedelta(seconds=round(rate * (self.total_steps - self.step)))
            parts.append(f"eta {left}")
        return "  ".join(parts)
