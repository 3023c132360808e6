"""AutoFreeze: a Keras callback that freezes layers as their gradients settle."""

import functools
import json
import math
import pathlib

from absl import logging

from bert_tf import files
from bert_tf.freezing import layers
from bert_tf.freezing.monitor import GradientMonitor
from bert_tf.freezing.rule import GradientChange
from bert_tf.training.lever import Lever
from bert_tf.training.rhythm import Updates
from bert_tf.training.update import UpdatedModel

GUARDS = ("off", "stop", "unfreeze")


class AutoFreeze(Lever):
    """Tests at the end of each interval which layers to freeze, and freezes them.

    Works as a callback in `fit` of any Keras model with one `BertEncoder`; of an `UpdatedModel` it
    becomes a lever, which sees the gradients of the whole batch before they are clipped. No model
    or optimizer is made anew: live layers keep their optimizer state, so the loss goes on where it
    was; the training step is traced once more per freeze.

    Args:
      num_intervals: tests over the whole training (AutoFreeze: 20). An interval is
        total steps // num_intervals updates, at least one.
      percentile: layers freeze, bottom up, while their change rate is below this percentile of the
        live layers' (AutoFreeze: 50).
      metric: `signed_sum` or `norm_sum`, see `GradientMonitor`.
      policy: decides in place of `rule.GradientChange`, see `rule`; `percentile` and
        `max_frozen_layers` are then its own.
      warmup_steps: updates that no interval begins before; their gradients do not count.
      max_frozen_layers: never freeze more; all but the last layer when None.
      guard: what to do when a dev metric falls below its best so far by more than `guard_margin`:
        `off` nothing, `stop` freeze no more, `unfreeze` thaw everything and freeze no more.
      guard_margin: that fall, in the metric's own unit.
      guard_metric: the metric in `fit`'s logs at the end of an epoch, such as `val_accuracy`.
      total_steps: updates of the whole training; as `fit` says when None.
      log_path: file of the decisions, a JSON object a line; None writes none.
      summaries: object with `train_scalars(step, {name: float})`; None writes no TensorBoard.
      stop_on_freeze: end `fit` after each freeze, for a loop that goes on with another dataset.
      progress: how far the training is where updates do not tell, see `rhythm.Updates`.

    Attributes:
      frozen: encoder layers frozen so far.
      decisions: list of dict, one a test: step, norms, etas, threshold, frozen.

    Example:
      >>> model.fit(dataset, epochs=4, callbacks=[AutoFreeze(num_intervals=20, percentile=50)])
    """

    name = "autofreeze"

    def __init__(
        self,
        num_intervals=20,
        percentile=50,
        metric="signed_sum",
        policy=None,
        warmup_steps=0,
        max_frozen_layers=None,
        guard="off",
        guard_margin=0.01,
        guard_metric="val_accuracy",
        total_steps=None,
        log_path=None,
        summaries=None,
        stop_on_freeze=False,
        progress=None,
    ):
        super().__init__()
        if num_intervals < 1:
            raise ValueError(f"num_intervals={num_intervals}: expected 1 or more")
        if not 0 <= percentile <= 100:
            raise ValueError(f"percentile={percentile}: expected 0 to 100")
        if guard not in GUARDS:
            raise ValueError(f"guard={guard!r}: expected one of {', '.join(GUARDS)}")
        self.num_intervals = num_intervals
        self.metric = metric
        self.policy = policy or GradientChange(percentile, max_frozen_layers)
        self.warmup_steps = warmup_steps
        self.guard = guard
        self.guard_margin = guard_margin
        self.guard_metric = guard_metric
        self.progress = progress or (Updates(total_steps) if total_steps else None)
        self.log_path = log_path and pathlib.Path(log_path)
        self.summaries = summaries
        self.stop_on_freeze = stop_on_freeze
        self.frozen = 0
        self.decisions = []
        self.stopped = False
        self._reference = None
        self._best = None
        self._monitor = None
        self._position = None

    def set_model(self, model):
        """Finds the encoder; Keras calls it before training begins."""
        if getattr(self, "model", None) is not model:
            super().set_model(model)
            encoder = layers.find_encoder(model)
            self.frozen = encoder.gradient_start or 0
            if self.policy.needs_gradients:
                with model.distribute_strategy.scope():
                    summed = isinstance(model, UpdatedModel)
                    self._monitor = GradientMonitor(encoder, self.metric, summed)
                    self._monitor.build(self.frozen)
        if not self._monitor:
            return
        if not isinstance(model, UpdatedModel):
            if _watch(model.optimizer, self._monitor):
                model.train_function = None  # what an earlier `fit` traced has no monitor
        elif self not in model.levers:
            model.add_lever(self)

    def update(self, step, own, weights, applied):
        """Shows the monitor an update's gradients."""
        if weights:
            self._monitor.update(*zip(*weights, strict=True))
        return {}

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        # Another `fit` is another training, unless the whole one's length was given.
        self._origin = 0 if self.progress else self.step
        self._total = self.progress.total if self.progress else self._steps_of_fit()
        self._interval = max(1, self._total // self.num_intervals)
        if self._position is None or not self.progress:
            self._position = self._done()

    def _done(self):
        return self.progress.done(self.step) if self.progress else self.step - self._origin

    def on_steps(self, before, logs):
        done, step = self._position, self._done()
        self._position = step
        if self.stopped or step >= self._total:
            return
        if not self.policy.due(done, step, self._interval):
            return
        if self.warmup_steps and step - self._interval < self.warmup_steps:
            if self._monitor:
                self._monitor.take()
            return
        self._test()

    def on_epoch_end(self, epoch, logs=None):
        value = (logs or {}).get(self.guard_metric)
        if value is not None:
            self.on_evaluation(self.step, float(value))

    def on_evaluation(self, step, value):
        """Tells the guard a dev metric (higher is better) of the weights at `step`."""
        best = value if self._best is None else max(self._best, value)
        fell = self._best is not None and self._best - value > self.guard_margin
        self._best = best
        if self.guard == "off" or self.stopped or not self.frozen or not fell:
            return
        self.stopped = True
        logging.warning(
            "step %d: the dev metric fell to %.4f from %.4f with %d layers frozen: %s",
            step, value, best, self.frozen,
            "all layers train again" if self.guard == "unfreeze" else "no more layers will freeze",
        )  # fmt: skip
        if self.guard == "unfreeze":
            self._freeze(0)
        self._record({"step": step, "guard": self.guard, "dev": value, "frozen": self.frozen})

    def get_state(self):
        """Returns a JSON-able dict of what a resumed run needs, beside `trackable`."""
        return {
            "frozen": self.frozen,
            "decisions": self.decisions,
            "stopped": self.stopped,
            "reference": self._reference,
            "best": self._best,
            "position": self._position,
        }

    def set_state(self, state):
        """Goes on from `get_state`'s dict: freezes what was frozen. The model must be set."""
        self.decisions, self.stopped = state["decisions"], state["stopped"]
        self._reference, self._best = state["reference"], state["best"]
        self._position = state.get("position")
        if state["frozen"] != self.frozen:
            self._freeze(state["frozen"])

    def trackable(self):
        """Returns the tensors that a checkpoint must keep besides, or None."""
        return self._monitor and self._monitor.trackable()

    def _test(self):
        norms = self._monitor.take() if self._monitor else None
        at = self._origin + self._position
        decision = self.policy.decide(at, self._reference, norms, self.frozen)
        # A policy without gradients only needs to know that there was a test before.
        self._reference = norms or []
        if decision.frozen != self.frozen:
            logging.info("step %d: %d encoder layers are frozen", self.step, decision.frozen)
            self._freeze(decision.frozen)
        self._record(
            {
                "step": self.step,
                "norms": norms,
                "etas": decision.etas,
                "threshold": decision.threshold,
                "frozen": self.frozen,
            }
        )

    def _freeze(self, count):
        keep_slots = self.guard == "unfreeze"
        with self.model.distribute_strategy.scope():
            layers.freeze(self.model, count, keep_slots)
            if self._monitor:
                self._monitor.build(count)
        self.frozen = count
        if self.stop_on_freeze:
            self.model.stop_training = True

    def _record(self, decision):
        decision = {name: _json_able(value) for name, value in decision.items()}
        self.decisions.append(decision)
        if self.log_path:
            lines = "".join(json.dumps(d, sort_keys=True) + "\n" for d in self.decisions)
            files.write_text(self.log_path, lines)
        if self.summaries:
            values = {"freezing/frozen_layers": float(self.frozen)}
            if decision.get("threshold") is not None:
                values["freezing/threshold"] = decision["threshold"]
                values |= {f"freezing/eta/layer_{i}": eta for i, eta in enumerate(decision["etas"])}
            self.summaries.train_scalars(decision["step"], values)

    def _steps_of_fit(self):
        steps, epochs = self.params.get("steps"), self.params.get("epochs")
        if not steps or not epochs:
            raise ValueError(
                "AutoFreeze cannot tell how long the training is: give total_steps, or"
                " steps_per_epoch to fit"
            )
        return steps * epochs


def _json_able(value):
    """The value, None in place of numbers that JSON does not have."""
    if isinstance(value, list):
        return [_json_able(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _watch(optimizer, monitor):
    """Shows the monitor what the optimizer is given; returns False if it sees that already."""
    apply_gradients = optimizer.apply_gradients
    if hasattr(apply_gradients, "monitor"):  # an earlier callback's
        if apply_gradients.monitor is monitor:
            return False
        apply_gradients = apply_gradients.__wrapped__

    @functools.wraps(apply_gradients)
    def watched(grads_and_vars, *args, **kwargs):
        pairs = list(grads_and_vars)
        monitor.update(*zip(*pairs, strict=True))
        return apply_gradients(pairs, *args, **kwargs)

    watched.monitor = monitor
    optimizer.apply_gradients = watched
    return True
