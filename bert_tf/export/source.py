"""What is exported: a model, what it computes, and how text becomes its inputs (no TensorFlow)."""

import dataclasses

import numpy as np

from bert_tf.checkpoints import head_matching, names
from bert_tf.checkpoints.head import SPAN_HEAD, WORDS, describe
from bert_tf.checkpoints.model_folder import LoadedModel, require_pooler
from bert_tf.checkpoints.model_tokenizer import settings_of
from bert_tf.checkpoints.tokenizer_files import with_defaults
from bert_tf.data.tasks import get_task
from bert_tf.encoder import kernels
from bert_tf.errors import UserError
from bert_tf.task_names import canonical_name
from bert_tf.tokenization.tokenizer import TRUNCATIONS

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""The inputs of every artefact, integers [batch, length], under Hugging Face's names.

A model without token types takes token_type_ids as the others do, and does not look at them.
"""


@dataclasses.dataclass(frozen=True)
class ExportSource:
    """A model to export.

    Attributes:
      model: `LoadedModel` without gates.
      kind: `classification` (logits [batch, labels]), `regression` (logits [batch, 1]),
        `masked_lm` (logits [batch, length, vocabulary]) or `encoder` (sequence_output [batch,
        length, hidden], and pooled_output [batch, hidden] where there is a pooler).
      labels: names (list) of the outputs of `classification` in their order, numbers where nothing
        names them; else None.
      pairs: whether it was fine-tuned on pairs of texts; None if nothing says so.
      max_seq_length: longest input, as the model was fine-tuned, else all its positions.
      truncation: `head`, `tail` or `head_tail`, what stays of longer texts.
    """

    model: LoadedModel
    kind: str
    labels: list | None
    pairs: bool | None
    max_seq_length: int
    truncation: str

    @property
    def config(self):
        """The `BertConfig`."""
        return self.model.config

    @property
    def arrays(self):
        """{Google name: float32 array}."""
        return self.model.arrays

    @property
    def outputs(self):
        """{name: shape} of what an artefact computes; None is the batch or the length."""
        config = self.config
        if self.kind in ("classification", "regression"):
            return {"logits": (None, len(self.arrays["output_bias"]))}
        if self.kind == "masked_lm":
            return {"logits": (None, None, config.vocab_size)}
        found = {"sequence_output": (None, None, config.hidden_size)}
        if self.has_pooler:
            found["pooled_output"] = (None, config.hidden_size)
        return found

    @property
    def has_pooler(self):
        """Whether the model has one."""
        return "bert/pooler/dense/kernel" in self.arrays

    @property
    def kernel_scopes(self):
        """Scopes of the kernels of layers and pooler, which may be of reduced precision."""
        pooler = ["bert/pooler/dense"] if self.has_pooler else []
        return [*names.dense_scopes(self.config), *pooler]

    @property
    def main_output(self):
        """Name of the output that is checked."""
        return next(iter(self.outputs))

    @property
    def tokenizer_settings(self):
        """{name: bool} of all settings of the tokenizer, see `settings_of`."""
        return with_defaults(settings_of(self.model))


def of(model):
    """Returns the `ExportSource` of a `LoadedModel`.

    Raises:
      UserError: it has masks, a head without what that stands on, or a head of tokens or choices.
    """
    if kernels.is_masked(model.arrays):
        raise UserError(
            f"{model.source}: has masks, whose ranks are not removed yet: run remove_mask.py on it"
            " and export the result"
        )
    head = describe(model)
    fault = head and (head.fault or (head.unit == WORDS and "a classifier of words"))
    if head is None and SPAN_HEAD[0] in model.arrays:
        fault = "a head of spans (run_squad.py)"
    if fault:
        raise UserError(
            f"{model.source}: has {fault}: classifiers of sentences are exported, regressions,"
            " masked language models and encoders"
        )
    require_pooler(model)
    task, longest = model.task or {}, model.config.max_position_embeddings
    length, truncation = task.get("max_seq_length", longest), task.get("truncation", "head")
    if type(length) is not int or length < 3 or truncation not in TRUNCATIONS:
        raise UserError(
            f"{model.source}: task.json has max_seq_length {length!r} and truncation"
            f" {truncation!r}, expected a number of tokens from 3 and one of"
            f" {', '.join(TRUNCATIONS)}: correct it"
        )
    return ExportSource(
        model=model,
        kind=_kind(model, head),
        labels=None if head is None or head.regression else _labels(head),
        pairs=_takes_pairs(task),
        max_seq_length=min(length, longest),
        truncation=truncation,
    )


def of_task(source, task):
    """Returns the `ExportSource` with its outputs in the order of a task's labels.

    They keep the names that the model gives them: `positive` where the task says `1`.

    Raises:
      UserError: it has no classifier for the task.
    """
    model = head_matching.matched(source.model, task, numbers_agree=True)
    head_matching.require(model, task, "give the rows of the task that the model was tuned for")
    if task.labels is None:
        return dataclasses.replace(source, model=model)
    head = describe(source.model)
    order, _ = head_matching.order_of(head, task, numbers_agree=True)
    labels = [head.labels[i] for i in order] if head.labels else list(task.labels)
    return dataclasses.replace(source, model=model, labels=labels)


def _kind(model, head):
    if head is not None:
        return "regression" if head.regression else "classification"
    return "masked_lm" if "cls/predictions/output_bias" in model.arrays else "encoder"


def _labels(head):
    return list(head.labels or map(str, range(head.outputs)))


def _takes_pairs(task):
    """Whether the examples of a task (dict of task.json) are pairs of texts; None if unknown."""
    name = task.get("task_name")
    if name == "custom":
        return bool(task.get("text_pair_column"))
    if not isinstance(name, str) or canonical_name(name) is None:
        return None
    return get_task(name, task.get("language", "zh")).layout("train").text_b is not None


def random_inputs(config, shape, seed=0):
    """Returns {name: int64 array of `shape`} of random tokens, the first row padded by half."""
    rng = np.random.default_rng(seed)
    mask = np.ones(shape, np.int64)
    mask[0, (shape[1] + 1) // 2 :] = 0
    types = (rng.random(shape) < 0.5) if config.type_vocab_size > 1 else np.zeros(shape)
    return {
        "input_ids": rng.integers(config.vocab_size, size=shape),
        "attention_mask": mask,
        "token_type_ids": types.astype(np.int64) * mask,
    }
