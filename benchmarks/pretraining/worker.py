"""The two systems that benchmarks.pretraining compares, each in a process of its own."""

import dataclasses
import resource
import time

import numpy as np

from benchmarks import variants

PREDICTIONS = 20  # masked tokens per row, of Google's records and for the comparison of logits


class Variant(variants.Variant):
    """SYSTEM-DATA-PRECISION[-xla].

    Data: `packed` rows, or Google's `records` with their padding (official only).
    """

    SOURCES = "(?!ours-records)(ours|official)-(packed|records)"
    PRECISIONS = ("float32", "bfloat16")
    FORM = "(ours-packed|official-packed|official-records)-(float32|bfloat16)[-xla]"


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all variants share.

    Attributes:
      rows_dir: folder of packed rows.
      records: path of Google's TFRecords of the same text, or None.
      shape: {shape flag of run_pretraining.py: value}.
      batch_size: rows per update.
      seed: of weights, order and masks.
    """

    rows_dir: str
    records: str | None
    shape: dict
    batch_size: int
    seed: int


def make_trainer(setup, variant):
    """Returns the trainer of a `Variant`, for `trainers.TrainerWorker`."""
    return (Ours if variant.system == "ours" else Official)(setup, variant)


class _Trainer:
    """Options, rows and initial weights, which all variants have alike."""

    def __init__(self, setup, variant):
        import tf_keras as keras

        from bert_tf.pretraining import setup as pretraining_model
        from bert_tf.pretraining.model import MaskedLanguageModel
        from bert_tf.pretraining.options import PretrainingOptions
        from bert_tf.training import distribution

        values = {
            "do_train": True, "data_dir": setup.rows_dir, "output_dir": "unused",
            "train_batch_size": setup.batch_size, "seed": setup.seed,
            "precision": variant.precision, "xla": variant.xla, **setup.shape,
        }  # fmt: skip
        self.setup, self.variant = setup, variant
        self.options = PretrainingOptions(given=frozenset(values), **values)
        distribution.set_precision(variant.precision)
        self.data = pretraining_model.PackedRows(self.options)
        self.config = pretraining_model.new_config(self.options, self.data.vocab_size)
        keras.utils.set_random_seed(setup.seed)
        self.arrays = MaskedLanguageModel(self.config).arrays()

    def run(self, steps):
        """Trains `steps` updates; returns what they took."""
        wall, cpu = time.perf_counter(), time.process_time()
        tokens = self.train(steps)
        return {
            "steps": steps,
            "tokens": tokens,
            "rows": steps * self.setup.batch_size,
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    def rows(self, start_step=0):
        """Masked batches of packed rows, in random order."""
        import tensorflow as tf

        from bert_tf.data.pretraining.order import RowOrder

        size = self.setup.batch_size
        order = RowOrder(self.data.rows, size, self.setup.seed)
        dataset = self.data.dataset(batches=order.batch, order=order, start_step=start_step)
        return dataset.map(
            lambda rows: {n: tf.ensure_shape(x, [size, *x.shape[1:]]) for n, x in rows.items()}
        )


class Ours(_Trainer):
    """Our model, compiled and fed as run_pretraining.py does."""

    def __init__(self, setup, variant):
        from bert_tf.checkpoints.model_folder import LoadedModel
        from bert_tf.pretraining import setup as pretraining_model
        from bert_tf.training.allocator import keep_freed_memory

        super().__init__(setup, variant)
        keep_freed_memory()
        source = LoadedModel(self.config, self.arrays, "the benchmark's weights")
        self.model = pretraining_model.build(self.options, source, self.data)
        pretraining_model.compile_model(self.options, self.model)
        self._steps = 0

    def logits(self):
        """Logits [2, PREDICTIONS, vocab] of made-up rows, without dropout."""
        logits = self.model(_made_up_rows(self.config), training=False)
        return np.asarray(logits, np.float32)[..., : self.config.vocab_size]

    def train(self, steps):
        """Trains; returns how many tokens were seen that are not padding."""
        self.model.fit(self.rows(self._steps), steps_per_epoch=steps, verbose=0)
        self._steps += steps
        return steps * self.setup.batch_size * self.data.seq_length


class Official(_Trainer):
    """tf-models-official's BertPretrainerV2, its MaskedLMTask and optimizer, without NSP."""

    def __init__(self, setup, variant):
        import tensorflow as tf

        from benchmarks import official_baseline

        super().__init__(setup, variant)
        task, self.model, optimizer = official_baseline.build_pretrainer(self.config, self.arrays)
        if variant.data == "packed":
            dataset = self.rows().map(_with_mask_and_types)
        else:
            dataset = official_baseline.records_dataset(
                task, setup.records, setup.batch_size, self.data.seq_length, PREDICTIONS
            )
        self.batches = iter(dataset)
        metrics = task.build_metrics(training=True)

        @tf.function(jit_compile=variant.xla or None)
        def update(inputs):
            task.train_step(inputs, self.model, optimizer, metrics)
            return tf.reduce_sum(inputs["input_mask"])

        self._update = update

    def logits(self):
        """As of `Ours`."""
        rows = _with_mask_and_types(_made_up_rows(self.config))
        inputs = {name: rows[name] for name in (*_INPUTS, "masked_lm_positions")}
        return np.asarray(self.model(inputs, training=False)["mlm_logits"], np.float32)

    def train(self, steps):
        """As of `Ours`."""
        tokens = [self._update(next(self.batches)) for _ in range(steps)]
        return int(sum(int(count) for count in tokens))  # waits for the last update


_INPUTS = ("input_word_ids", "input_mask", "input_type_ids")


def _with_mask_and_types(rows):
    """Packed rows as tf-models-official takes them: no padding, one segment."""
    import tensorflow as tf

    ids = rows["input_word_ids"]
    return {**rows, "input_mask": tf.ones_like(ids), "input_type_ids": tf.zeros_like(ids)}


def _made_up_rows(config):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    ids = rng.integers(0, config.vocab_size, [2, 64])
    places = np.stack([np.sort(rng.permutation(64)[:PREDICTIONS]) for _ in range(2)])
    targets = np.take_along_axis(ids, places, 1)
    integers = {"input_word_ids": ids, "masked_lm_positions": places, "masked_lm_ids": targets}
    tensors = {name: tf.constant(array, tf.int32) for name, array in integers.items()}
    return {**tensors, "masked_lm_weights": tf.ones([2, PREDICTIONS])}
