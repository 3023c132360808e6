"""What a budget buys: times candidate shapes for a minute and does the division.

What is timed is one micro-batch; an update is taken to be as many times that as it has of them.
"""

import statistics
import time

import tf_keras as keras
from absl import logging

from bert_tf import files
from bert_tf.errors import UserError
from bert_tf.pretraining import setup as pretraining_model
from bert_tf.pretraining.data import PackedRows
from bert_tf.pretraining.model import MaskedLanguageModel
from bert_tf.pretraining.shape import parse_shapes
from bert_tf.step_callback import StepCallback
from bert_tf.training import distribution
from bert_tf.training.allocator import keep_freed_memory

_MOST_UPDATES = 50  # of one shape: the tiniest are known well enough


def run(options):
    """Times the shapes of `options.probe_shapes`; writes probe.json and logs the table.

    Args:
      options: `PretrainingOptions`; batch, precision and XLA are those that count.

    Returns:
      List of dict, one per shape: `shape`, `parameters`, `seconds_per_update`, `first_update`
      (compilation included), `tokens_per_second`, and of the budget `updates` and `tokens`, or for
      a budget of updates or tokens the `hours` that it takes.

    Raises:
      UserError: bad input.
    """
    options.check()
    if not options.data_dir:
        raise UserError("--probe needs --data_dir, packed rows to time the shapes on")
    keep_freed_memory()
    distribution.set_precision(options.precision)
    output_dir = files.make_output_dir(options.output_dir)
    shapes = parse_shapes(options.probe_shapes)
    data = PackedRows(options)
    found = []
    for layers, hidden in shapes:
        found.append(
            _time_shape(options, data, layers, hidden, options.probe_seconds / len(shapes))
        )
        logging.info("%s", _line(found[-1]))
    files.write_json(
        output_dir / "probe.json", {"budget": str(options.the_budget), "shapes": found}
    )
    return found


def _time_shape(options, data, layers, hidden, seconds):
    keras.backend.clear_session()
    config = pretraining_model.new_config(
        options, data.vocab_size, num_hidden_layers=layers, hidden_size=hidden,
        num_attention_heads=None, intermediate_size=None,
    )  # fmt: skip
    model = MaskedLanguageModel(config, seed=options.seed)
    pretraining_model.compile_model(options, model)
    model.accumulation_steps = 1
    parts = options.gradient_accumulation_steps
    rows = options.train_batch_size // parts
    dataset = data.dataset(batches=lambda update: (update * rows, rows))
    times = _Times(time.monotonic() + seconds)
    model.fit(dataset, steps_per_epoch=_MOST_UPDATES, verbose=0, callbacks=[times])
    first, *rest = times.seconds
    each = parts * statistics.median(rest)
    tokens = options.train_batch_size * data.seq_length
    return {
        "shape": f"{layers}x{hidden}",
        "parameters": sum(int(v.shape.num_elements()) for v in model.trained_weights),
        "first_update": first,
        "seconds_per_update": each,
        "tokens_per_second": tokens / each,
        **_bought(options.the_budget, each, first, tokens),
    }


def _bought(budget, each, first, tokens):
    if budget.kind == "time":
        updates = max(0, int((budget.amount - first) / each) + 1)
        return {"updates": updates, "tokens": updates * tokens}
    updates = budget.amount if budget.kind == "steps" else budget.amount / tokens
    return {"hours": (first + (updates - 1) * each) / 3600}


def _line(row):
    bought = f"{row['hours']:.2f} h" if "hours" in row else (
        f"{row['updates']} updates, {row['tokens'] / 1e6:.1f} M tokens"
    )  # fmt: skip
    return (
        f"{row['shape']:>8}  {row['parameters'] / 1e6:7.1f} M parameters"
        f"  {row['tokens_per_second']:9.0f} tokens/s  the budget buys {bought}"
    )


class _Times(StepCallback):
    """Keeps the length of each update, and stops at a time (but not before the second)."""

    def __init__(self, until):
        super().__init__()
        self._until = until
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self._started = time.monotonic()

    def on_steps(self, before, logs):
        float(logs["loss"])  # waits for the device
        self.seconds.append(time.monotonic() - self._started)
        if time.monotonic() >= self._until and len(self.seconds) > 1:
            self.model.stop_training = True
