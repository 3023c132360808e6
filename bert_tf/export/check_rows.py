"""The rows that an artefact is calibrated and checked on: those of its task, or random tokens."""

import dataclasses
import pathlib
import tempfile
from typing import Any

import numpy as np

from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.data import inputs, rows
from bert_tf.data.batching import eval_plan
from bert_tf.data.features import build_features
from bert_tf.errors import UserError
from bert_tf.export import source as export_source

_NAMES = {
    "input_ids": "input_word_ids",
    "attention_mask": "input_mask",
    "token_type_ids": "input_type_ids",
}
_BATCH = 32
_RANDOM_SHAPES = ((1, 1), (3, 17), (2, 64))  # and one of the longest length


@dataclasses.dataclass
class Rows:
    """Rows of the model's task: dev rows, and training rows if they are asked for.

    Attributes:
      task: `Task`.
      splits: {name: `FeatureStore`}.
      texts: list of str, all texts of these splits.
      calibration: list of {input: int64 [1, length]}, training rows without padding; empty without
        --calibration_examples.
    """

    task: Any
    splits: dict
    texts: list
    calibration: list

    @property
    def about(self):
        """JSON-able: which rows these are, by their number and digest."""
        found = {x: {"rows": len(s), "digest": s.fingerprint} for x, s in self.splits.items()}
        return {"task": self.task.name, "splits": found}

    def batches(self):
        """Yields ({input: int64 [batch, length]}, labels [batch], split) over all of them."""
        for split, store in self.splits.items():
            plan = eval_plan(store.lengths, _BATCH)
            for step in range(plan.steps):
                values, labels = store.batch(plan.ids(step))
                yield _renamed(values), labels, split


def read_rows(options, source):
    """Returns (the `Rows` that the flags name, the `ExportSource` with its head in their order).

    Args:
      options: `ExportOptions` with rows.
      source: `ExportSource` of a classifier.

    Raises:
      UserError: no such rows, or the model has no classifier for their task.
    """
    wanted = {"do_train": False, "do_eval": True}
    row_options = rows.options_of(source.model, options.row_flags, source.max_seq_length, **wanted)
    task = inputs.task_of(row_options, source.model)
    source = export_source.of_task(source, task)
    with tempfile.TemporaryDirectory() as scratch:
        dev = inputs.build(row_options, source.model, task, pathlib.Path(scratch)).dev
        splits = {name: _drawn(store, options) for name, store in dev.items()}
    examples = [task.read(row_options.data_dir, split) for split in splits]
    seconds = [text for one in examples for text in one.text_b or ()]
    texts = [text for one in examples for text in one.text_a]
    source = dataclasses.replace(source, pairs=bool(seconds))
    calibration = _calibration(options, row_options, task, source)
    return Rows(task, splits, texts + seconds, calibration), source


def _drawn(store, options):
    """A store of those rows, in memory."""
    return store.taken(_draw(len(store), options.max_eval_examples, options.seed))


def _draw(available, wanted, seed):
    """Positions of the `wanted` rows (all if None) out of `available`, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(available)[:wanted])


def _calibration(options, row_options, task, source):
    """The `calibration` of `Rows`, of which only the drawn rows are tokenised."""
    if options.calibration_examples is None:
        return []
    try:
        examples = task.read(row_options.data_dir, "train")
    except UserError as e:
        raise UserError(f"--calibration_examples: no training rows to draw from: {e}") from e
    drawn = examples.taken(_draw(len(examples), options.calibration_examples, options.seed))
    tokenizer = tokenizer_of(source.model, row_options.do_lower_case)
    cut = source.truncation if examples.text_b is None else "head"
    store = build_features(drawn, tokenizer, source.max_seq_length, truncation=cut)
    return [_renamed(store.batch([i])[0]) for i in range(len(store))]


def random_batches(source, seed):
    """Yields ({input: int64 [batch, length]}, None, "random") of random tokens."""
    longest = source.max_seq_length
    for batch, length in (*_RANDOM_SHAPES, (1, longest)):
        shape = (batch, min(length, longest))
        yield export_source.random_inputs(source.config, shape, seed), None, "random"


def _renamed(values):
    return {name: values[ours].astype(np.int64) for name, ours in _NAMES.items()}
