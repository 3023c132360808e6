"""The rhythm of a run with a budget: rate, markers, validation, saves and end by the clock."""

import contextlib
import dataclasses
import shutil

from absl import logging

from bert_tf.budget import Costs, marker_name
from bert_tf.budget.amount import BUDGET_SPENT
from bert_tf.errors import UserError
from bert_tf.training.distribution import ChiefValues
from bert_tf.training.rhythm import TERMINATED, Due

_CHECKPOINT_PER_MODEL = 3  # the weights and Adam's two moments of each


class ClockRhythm:
    """Decides before each update, from the chief's clock: go on, at which rate, or what else first.

    The run stops when the next update, as long as the longest of the last ones, would not leave
    the time that the last evaluation and the last saves take. All workers of a cluster decide by
    the chief's numbers, so they make the same updates at the same rates.

    Args:
      timetable: `Timetable`.
      clock: `Clock`; on workers other than the chief it may be any.
      strategy: `tf.distribute.Strategy` or None.
      batches: `GrowingBatches`; None where their size is not the clock's.
      elapsed: `Elapsed` to keep up to date, or None.

    Attributes:
      share: share of the budget spent, as of the latest decision.
      spent: seconds spent, as of then.
      terminate: set it to True to save and leave after the update in hand.
    """

    def __init__(self, timetable, clock, strategy=None, batches=None, elapsed=None):
        self.timetable = timetable
        self.clock = clock
        self.batches = batches
        self._elapsed = elapsed
        self.share = self.spent = 0.0
        self.terminate = False
        self._chief_values = ChiefValues(strategy, 5)
        self._diverged = self._traced = None
        self._tokens = [0]  # before each update

    def begin(self, checkpoints):
        """The run begins or goes on: measures what the end takes, refuses a budget too short."""
        self._model, self._evaluation = checkpoints.state.model, checkpoints.evaluation
        self._spec, self._run_config = checkpoints.train_spec, checkpoints.run_config
        self._chief = checkpoints.summaries is not None
        info, step = checkpoints.state.info, checkpoints.state.step
        self.costs = Costs(info.get("costs"))
        if self.batches:
            self.batches.restore(info.get("batches", ()))
        self._evaluated_step = (info.get("evaluations") or [{}])[-1].get("step")
        self._saved_step = step if step else None
        # Not before: a command that is refused charges nothing to the run in the folder, and one
        # that is too short leaves no clock there.
        if step:
            self.clock.run_heartbeat()
        self._written = self._markers_of_chief()
        self._read(step)
        self._grow_batches(step)
        self._measure()
        self._read(step)
        self._last = self._position(step)
        self._ready = self.clock.now()
        if not step and self._over(step):
            raise UserError(
                f"--budget={self.timetable.budget}: too short for one update:"
                f" {self.spent:.1f} s are spent before the first, and the last evaluation and save"
                f" take {self._reserve:.1f} s"
            )
        if not step:
            self.clock.run_heartbeat()

    def due(self, step):
        """Returns the `Due` after `step` updates; when nothing is, sets the next update's rate."""
        self._notice_new_trace()
        leaving = self._read(step)
        if self._diverged:
            return Due(stop=self._diverged, diverged=True)
        if leaving:
            return Due(save=self._unsaved(step), stop=TERMINATED)
        if self._over(step):
            return self._last_works(step)
        due = self._works_between(step)
        if not due:
            self._prepare_update(step)
        return due

    def ended(self, step):
        """Whether the budget is spent: only the clock knows, `due` says it."""
        return False

    def updated(self, logs):
        """An update was made: waits for the device, whose clock is the one that counts."""
        loss = float(logs["loss"])
        self.costs.updated(self.clock.now() - self._ready)
        self._diverged = self.timetable.guard.update(loss)

    @contextlib.contextmanager
    def work(self, name):
        """Context of work that is no training: its latest length is what is expected of it."""
        self.clock.stop()  # until the next update, under counts="train"
        started = self.clock.now()
        yield
        self.costs.took(name, self.clock.now() - started)

    def evaluated(self, metrics):
        """Returns why to stop after an evaluation, by the guard and the chief's loss, or None."""
        return self.timetable.guard.reason(self.spent, self._of_chief(metrics["loss"]))

    def may_evaluate(self):
        """Never after the end: the last evaluation is before it."""
        return False

    def state(self):
        """What the next process has to know; the time spent is written beside it."""
        self.clock.save()
        batches = {"batches": self.batches.stages.stages} if self.batches else {}
        return {**batches, "costs": self.costs.state()}

    def scalars(self):
        """Returns the shares of the budget that are spent and left, for TensorBoard."""
        return {"elapsed_share": self.share, "remaining_share": max(0.0, 1.0 - self.share)}

    def share_now(self, step):
        """Returns the share that is spent at this moment, after `step` updates."""
        return self.timetable.budget.share(self.clock.spent, step, self._tokens_before(step))

    def left(self):
        """Returns (share spent, what is left as text) for the progress bar."""
        budget = self.timetable.budget
        left = dataclasses.replace(budget, amount=budget.amount * max(0.0, 1 - self.share))
        return self.share, str(left)

    def _read(self, step):
        """Takes over the chief's clock and expectations; returns whether to leave."""
        expected = [self.clock.spent, self.costs.update, self.costs.of("evaluate")]
        works = [*self.timetable.last_works, *["marker"] * len(self._pending_markers()), "evaluate"]
        expected += [self.costs.reserve(works), self.costs.reserve(works, slack=False)]
        values, leaving = self._chief_values.read(expected, self.terminate)
        self.spent, self._update_seconds, self._evaluation_seconds, *reserves = values
        self._reserve, self._least = reserves
        tokens = self._tokens_before(step)
        self.share = self.timetable.budget.share(self.spent, step, tokens)
        if self._elapsed:
            self._elapsed.share = self.share
        return leaving

    def _over(self, step):
        """Whether no further update fits."""
        table = self.timetable
        if table.budget.kind != "time":
            return self.share >= table.end
        needed = self._update_seconds
        if self.clock.counts == "wall":
            needed += self._reserve
        return self.spent + needed >= table.end * table.budget.amount

    def _last_works(self, step):
        """The end: markers still to come get the final weights, what does not fit is left out."""
        # An update that took longer than expected comes out of the slack, not of the evaluation.
        evaluate = self._evaluated_step != step and self._fits(0.0, self._least)
        return self._due(step, evaluate, self._pending_markers(), self._unsaved(step), BUDGET_SPENT)

    def _works_between(self, step):
        position, last = self._position(step), self._last
        self._last = position
        evaluate = (
            self._evaluated_step != step
            and self.timetable.validation.due(position, last, self.share)
            and self._fits(self._between(), self._reserve)
        )
        save = self._unsaved(step) and self.timetable.save_interval.passed(position, last)
        # Not the random weights, however long the start-up took.
        markers = [m for m in self._pending_markers() if m <= self.share] if step else []
        return self._due(step, evaluate, markers, save)

    def _due(self, step, evaluate, markers, save, stop=None):
        evaluate = evaluate and self._evaluation is not None
        self._evaluated_step = step if evaluate else self._evaluated_step
        self._saved_step = step if save else self._saved_step
        self._written |= set(markers)
        return Due(evaluate, tuple(markers), save, stop)

    def _between(self):
        """Seconds of an evaluation, and as many of training after it: else the last one does."""
        return 2 * self._evaluation_seconds + self._update_seconds

    def _fits(self, seconds, reserve):
        """Whether `seconds` of other work leave the `reserve` for the end."""
        budget = self.timetable.budget
        if budget.kind != "time" or self.clock.counts != "wall":
            return True
        return self.spent + seconds + reserve < self.timetable.end * budget.amount

    def _unsaved(self, step):
        return self._saved_step != step

    def _pending_markers(self):
        return [m for m in self.timetable.markers if m not in self._written]

    def _markers_of_chief(self):
        """The markers that the chief finds written: its disk counts, as its clock does."""
        folder = self._run_config.output_dir
        return {
            share
            for share in self.timetable.markers
            if self._of_chief((folder / marker_name(share)).exists())
        }

    def _of_chief(self, value):
        (found, *_), _ = self._chief_values.read([float(value), 0.0, 0.0, 0.0, 0.0])
        return found

    def _measure(self):
        """Measures what the end takes where no process has done so; a resumed run knows it."""
        if not self.costs.knows("model"):
            self.costs.took("model", self._measure_model())
            self.costs.took("marker", self.costs.of("model"))
        if self._evaluation:
            kept = self.timetable.models_kept * self.costs.of("model", slack=False)
            self.costs.took("evaluate", self._evaluation.measure() + kept)
        if not self.costs.knows("save"):
            self.costs.took("save", _CHECKPOINT_PER_MODEL * self.costs.of("model"))

    def _measure_model(self):
        """Seconds that writing a model folder takes (the chief's: the others' do not count)."""
        folder = self._run_config.output_dir / ".measured"
        for _ in range(2):  # the first of a process takes longer than those to come
            started = self.clock.now()
            if self._chief:
                shutil.rmtree(folder, ignore_errors=True)
                self._run_config.save_model(folder)
                shutil.rmtree(folder)
        return self.clock.now() - started

    def _prepare_update(self, step):
        self.clock.start()
        self._grow_batches(step)
        self._ready = self.clock.now()
        self._model.optimizer.learning_rate = self.timetable.rate(self.share)
        if self._elapsed:
            self._elapsed.assign()

    def _grow_batches(self, step):
        """Takes the batch size of the elapsed share; another one ends `fit`, which begins anew."""
        if not self.batches:
            return
        model = self._model
        if self.batches.grow(step, self.share):
            size = self.batches.stages.batch_size
            logging.info("step %d: batches of %d rows from here on", step, size)
            model.stop_training = True
        if self.batches.micro_batches != model.accumulation_steps:
            model.accumulation_steps = self.batches.micro_batches
            model.make_train_function(force=True)
            self._notice_new_trace()

    def _notice_new_trace(self):
        """What was frozen or cut otherwise compiles the next update anew."""
        function = self._model.train_function
        if self._traced is not None and function is not self._traced:
            self.costs.retraced()
        self._traced = function

    def _position(self, step):
        return {"minutes": self.spent / 60, "steps": step, "epochs": self._spec.epoch_of(step)}

    def _tokens_before(self, step):
        """Tokens of the first `step` updates, where the budget is one of them."""
        if self.timetable.budget.kind != "tokens":
            return 0
        while len(self._tokens) <= step:
            self._tokens.append(self._tokens[-1] + self._spec.tokens(len(self._tokens) - 1))
        return self._tokens[step]
