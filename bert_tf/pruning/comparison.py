"""How far one model's outputs are from another's: before and after a step that should keep them."""

import dataclasses

import numpy as np
import tensorflow as tf

from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.checkpoints.report import assign_arrays
from bert_tf.data.batching import eval_plan
from bert_tf.data.features import FeatureStore, build_features
from bert_tf.data.pipeline import make_dataset
from bert_tf.data.tasks import task_from_json
from bert_tf.encoder import BertEncoder, kernels
from bert_tf.errors import UserError
from bert_tf.heads import ClassifierHead

_BATCH_SIZE = 32
INPUTS = ("input_word_ids", "input_mask", "input_type_ids")


@dataclasses.dataclass(frozen=True)
class Difference:
    """What two models make of the same inputs.

    Attributes:
      what: the outputs compared: "logits", "pooled outputs" or "first tokens".
      examples: number of inputs.
      largest, mean: absolute difference over all examples and outputs.
      changed: share of examples with another prediction; None if the model predicts no class.
    """

    what: str
    examples: int
    largest: float
    mean: float
    changed: float | None

    def text(self):
        """One line: `logits differ by at most 1.2e-07 (mean 3.1e-08), ... on 872 examples`."""
        line = f"{self.what} differ by at most {self.largest:.2g} (mean {self.mean:.2g})"
        if self.changed is not None:
            line += f", {self.changed:.2%} of the predictions change"
        return f"{line}, on {self.examples} examples"


def compare(model, other, store, evaluation=None):
    """Compares the outputs of two models: logits if both classify, else pooled outputs.

    Args:
      model, other: (config, arrays), dense, factorised, masked or compact.
      store: `FeatureStore` of the inputs.
      evaluation: how gates are evaluated, `clipped` or `hard`; None: as each model records.

    Returns:
      A `Difference`.
    """
    what, first = _outputs(*model, store, evaluation)
    _, second = _outputs(*other, store, evaluation)
    distance = np.abs(first - second)
    changed = None
    if what == "logits" and first.shape[1] > 1:
        changed = float(np.mean(first.argmax(-1) != second.argmax(-1)))
    return Difference(what, len(store), float(distance.max()), float(distance.mean()), changed)


def dev_store(model, data_dir):
    """Returns the `FeatureStore` of the dev rows of the task that a model was fine-tuned on.

    Args:
      model: `LoadedModel`.
      data_dir: folder with the task's files.

    Raises:
      UserError: the model records no task or one without such a folder, has no vocabulary, or the
        files are missing or malformed.
    """
    task = model.task or {}
    if task.get("task_name") in (None, "custom") or "head" in task:
        found = "was fine-tuned on a custom task" if task else "records no task"
        found = f"was fine-tuned for {task['head']}" if "head" in task else found
        raise UserError(
            f"--data_dir={data_dir}: {model.source} {found}, expected one with GLUE's files: leave"
            " the flag out to compare on random tokens"
        )
    tokenizer = tokenizer_of(model)
    task = task_from_json(model.task)
    longest = model.task.get("max_seq_length", 128)
    cut = model.task.get("truncation", "head")
    examples = task.read(data_dir, task.dev_splits[0])
    return build_features(examples, tokenizer, longest, truncation=cut)


def random_store(config, examples=64, longest=64, seed=0):
    """Returns a `FeatureStore` of random token ids, for models without data.

    Args:
      config: `BertConfig`.
      examples: number of them.
      longest: their lengths are uniform from 2 to this many tokens, or what the model can take.
      seed: integer.
    """
    rng = np.random.default_rng(seed)
    longest = min(longest, config.max_position_embeddings)
    lengths = rng.integers(min(2, longest), longest + 1, examples)
    return FeatureStore(
        ids=rng.integers(config.vocab_size, size=int(lengths.sum())).astype(np.int32),
        offsets=np.cumsum([0, *lengths]),
        first_lengths=lengths,
        labels=None,
        fingerprint=f"random {seed}",
    )


def inference_function(config, arrays, evaluation=None):
    """Builds a model as it is used: only the first token in the last layer, no dropout.

    Args:
      config, arrays: of the model, dense, factorised, masked or compact.
      evaluation: how gates are evaluated, `clipped` or `hard`; None: as the model records.

    Returns:
      (what the outputs are, function from the dict of the three int32 inputs [batch, seq] to
      float [batch, width]): "logits", else "pooled outputs", else "first tokens" of a model that
      lacks a classifier or a pooler too. The function is plain Python: the caller traces it.
    """
    factory = kernels.factory(config, arrays, evaluation=evaluation)
    encoder = BertEncoder(config, dense_factory=factory)
    variables = list(encoder.trainable_variables)
    classifier, has_pooler = None, "bert/pooler/dense/kernel" in arrays
    if "output_weights" in arrays and has_pooler:  # else one of words, of which this is one
        classifier = ClassifierHead(len(arrays["output_bias"]), config.hidden_size)
        variables += classifier.trainable_variables
    assign_arrays(variables, arrays, "the model")

    def forward(inputs):
        hidden = encoder.embed(inputs["input_word_ids"], inputs["input_type_ids"])
        hidden, _ = encoder.transform(hidden, inputs["input_mask"], first_token_only=True)
        hidden = encoder.pool(hidden) if has_pooler else hidden[:, 0]
        return hidden if classifier is None else classifier(hidden)

    return "logits" if classifier else "pooled outputs" if has_pooler else "first tokens", forward


def _outputs(config, arrays, store, evaluation):
    """Returns (what they are, float32 [n, width]) of a model on all examples."""
    what, forward = inference_function(config, arrays, evaluation)
    ids = tf.TensorSpec([None, None], tf.int32)
    forward = tf.function(forward, input_signature=[dict.fromkeys(INPUTS, ids)])
    plan = eval_plan(store.lengths, _BATCH_SIZE)
    outputs = [None] * len(store)
    for step, (inputs, _) in enumerate(make_dataset(store, plan)):
        for position, row in zip(plan.ids(step), forward(inputs).numpy(), strict=True):
            outputs[position] = row
    return what, np.stack(outputs)
