"""One variant of benchmarks.finetune in a process of its own, training when it is told to."""

import dataclasses
import resource
import time

import numpy as np
from absl import flags

from benchmarks import variants

MAX_SEQ_LENGTH = 128


def define_flags():
    """Defines the flags of what is trained, which `Setup` holds, for the script that asks."""
    flags.DEFINE_string("model_dir", None, "Pretrained model, a folder of any kind we read.")
    flags.DEFINE_string("data_dir", None, "SST-2 folder in GLUE's layout.")
    flags.DEFINE_string("feature_dir", None, "Keep the tokenised features here.")
    flags.DEFINE_integer("batch_size", 32, "Examples per step.")
    flags.DEFINE_integer("seed", 42, "Seed of the batches and of the classifier's weights.")
    flags.mark_flags_as_required(["model_dir", "data_dir"])


class Variant(variants.Variant):
    """SYSTEM-LENGTH-PRECISION[-xla].

    System: `ours`, `official`, or ours with masks on a thin factorisation of the same model:
    `masked` trains weights and masks, `frozen` masks alone.
    """

    SOURCES = r"(ours|official|masked|frozen)-(bucketed|\d+)"
    PRECISIONS = ("float32", "bfloat16", "float16")
    FORM = "(ours|official|masked|frozen)-(bucketed|LENGTH)-PRECISION[-xla]"

    @property
    def pad_to(self):
        """Length of every batch; None pads batches built by length to their longest example."""
        return None if self.data == "bucketed" else int(self.data)


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all variants share.

    Attributes:
      model_dir: model folder of any kind `load_model` reads.
      data_dir: folder of SST-2.
      feature_dir: folder for the tokenised features.
      batch_size: examples per step.
      seed: of the plan and of the classifier's weights.
    """

    model_dir: str
    data_dir: str
    feature_dir: str
    batch_size: int
    seed: int


class Trainer:
    """Model, data and plan of one variant."""

    def __init__(self, setup, variant):
        from bert_tf.data.batching import train_plan
        from bert_tf.training import distribution

        self.setup, self.variant = setup, variant
        distribution.set_precision(variant.precision)
        config, arrays, self.store = load(setup, variant.pad_to or MAX_SEQ_LENGTH)
        self.plan = train_plan(
            self.store.lengths, batch_size=setup.batch_size, epochs=3, seed=setup.seed
        )
        build = build_official if variant.system == "official" else build_ours
        self.model = build(config, arrays, self.plan.steps, variant)

    def logits(self):
        """Logits [batch_size, 2] of the first examples, without dropout."""
        inputs, _ = self.store.batch(np.arange(self.setup.batch_size), pad_to=self.variant.pad_to)
        return np.asarray(self.model(inputs, training=False), np.float32)

    def run(self, steps, sample):
        """Trains on `steps` real batches of the plan, drawn by `sample`; returns what it took."""
        from bert_tf.data.pipeline import make_dataset

        pad_to = self.variant.pad_to
        plan = sample_plan(self.plan, self.store.lengths, steps, sample)
        multiple = 8 if self.variant.xla else 1
        dataset = make_dataset(self.store, plan, pad_to=pad_to, pad_multiple=multiple)
        clock = make_clock()
        self.model.fit(dataset, epochs=1, steps_per_epoch=steps, verbose=0, callbacks=[clock])
        examples = steps * self.setup.batch_size
        return {
            "examples": examples,
            "seconds": clock.seconds,
            "cpu_seconds": clock.cpu_seconds,
            "padded_length": pad_to or plan.padded_tokens / examples,
            "padded_length_of_run": pad_to
            or self.plan.padded_tokens / self.plan.steps / self.setup.batch_size,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def load(setup, max_seq_length):
    """Returns (config, arrays with a classifier, `FeatureStore` of the training split)."""
    from bert_tf.checkpoints.model_folder import load_model
    from bert_tf.checkpoints.model_tokenizer import tokenizer_of
    from bert_tf.data.features import build_features
    from bert_tf.data.tasks import get_task

    source = load_model(setup.model_dir)
    examples = get_task("sst-2").read(setup.data_dir, "train")
    store = build_features(
        examples,
        tokenizer_of(source),
        max_seq_length,
        f"{setup.feature_dir}/{max_seq_length}",
    )
    # Larger than an initialisation, so that equal logits say more about equal encoders.
    head = np.random.default_rng(setup.seed).normal(0, 0.2, [2, source.config.hidden_size])
    arrays = {
        **{name: array for name, array in source.arrays.items() if name.startswith("bert/")},
        "output_weights": head.astype(np.float32),
        "output_bias": np.zeros(2, np.float32),
    }
    return source.config, arrays, store


def build_ours(config, arrays, train_steps, variant):
    """Our model, compiled as run_classifier.py does by default."""
    from bert_tf.checkpoints.model_folder import LoadedModel
    from bert_tf.checkpoints.report import assign_arrays
    from bert_tf.classification.model import SequenceClassifier
    from bert_tf.classification.options import ClassifierOptions
    from bert_tf.encoder import BertEncoder, kernels
    from bert_tf.pruning.factorization import factorize
    from bert_tf.pruning.lever import GateTraining, make_pruner
    from bert_tf.training.allocator import keep_freed_memory
    from bert_tf.training.optimization import make_optimizer
    from bert_tf.training.schedules import make_schedule

    keep_freed_memory()
    masks = variant.system in ("masked", "frozen")
    if masks:
        config, arrays, _ = factorize(config, arrays)
    factory = kernels.factory(config, arrays, masked=masks or None)
    encoder = BertEncoder(config, dense_factory=factory)
    model = SequenceClassifier(config, num_outputs=2, encoder=encoder)
    assign_arrays(model.trainable_variables, arrays, "the benchmark's weights")
    levers = []
    if masks:
        source = LoadedModel(config, arrays, "the benchmark's weights")
        pruner = make_pruner(ClassifierOptions(), source, encoder, train_steps)
        levers.append(GateTraining(pruner))
    frozen = variant.system == "frozen"
    schedule = make_schedule("linear", 0.0 if frozen else 5e-5, train_steps, train_steps // 10)
    model.compile(
        make_optimizer("adamw", schedule),
        jit_compile=variant.xla,
        levers=levers,
        train_weights=not frozen,
    )
    return model


def build_official(config, arrays, train_steps, variant):
    """tf-models-official's model, compiled with its own optimizer."""
    from benchmarks import official_baseline

    model = official_baseline.build_classifier(config, arrays)
    official_baseline.compile_classifier(model, train_steps, variant.xla)
    return model


def sample_plan(plan, lengths, steps, sample):
    """Returns a plan of `steps` batches of `plan`, in random order.

    The batches are an even sample over their lengths, so even a short round has the mix of
    lengths of the whole run; each of them is as likely as any other.
    """
    from bert_tf.data.batching import BatchPlan

    rng = np.random.default_rng(sample)
    longest = np.array([lengths[plan.ids(step)].max() for step in range(plan.steps)])
    order = np.lexsort([rng.random(plan.steps), longest])
    places = ((np.arange(steps) + rng.random()) * plan.steps / steps).astype(int)
    ids = [plan.ids(step) for step in rng.permutation(order[places])]
    return BatchPlan(np.concatenate(ids), np.cumsum([0, *map(len, ids)]), lengths)


def make_clock():
    """Returns a callback: wall and CPU seconds from the first batch to the end of the epoch."""
    import tf_keras as keras

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                self._started = time.perf_counter(), time.process_time()

        def on_epoch_end(self, epoch, logs=None):  # `fit` has waited for the last step
            wall, cpu = self._started
            self.seconds = time.perf_counter() - wall
            self.cpu_seconds = time.process_time() - cpu

    return Clock()
