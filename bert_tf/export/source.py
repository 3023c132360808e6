"""What is exported: a model, what it computes, and how text becomes its inputs (no TensorFlow)."""

import dataclasses

import numpy as np

from bert_tf.checkpoints import names
from bert_tf.checkpoints.model_folder import LoadedModel, require_pooler
from bert_tf.checkpoints.model_tokenizer import settings_of
from bert_tf.encoder import kernels
from bert_tf.errors import UserError

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""The inputs of every artefact, integers [batch, length], under Hugging Face's names."""
DEFAULT_LENGTH = 128


@dataclasses.dataclass(frozen=True)
class ExportSource:
    """A model to export.

    Attributes:
      model: `LoadedModel` without gates.
      kind: `classification` (logits [batch, labels]), `regression` (logits [batch, 1]),
        `masked_lm` (logits [batch, length, vocabulary]) or `encoder` (sequence_output [batch,
        length, hidden], and pooled_output [batch, hidden] where there is a pooler).
      labels: names of the outputs of `classification` in their order, else None.
      max_seq_length: longest input, as the model was fine-tuned.
      truncation: `head`, `tail` or `head_tail`, what stays of longer texts.
    """

    model: LoadedModel
    kind: str
    labels: list | None
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
        """{name: value} of the tokenizer's settings, see `settings_of`."""
        return settings_of(self.model)


def of(model):
    """Returns the `ExportSource` of a `LoadedModel`.

    Raises:
      UserError: it has masks, or a head without what that stands on.
    """
    if kernels.is_masked(model.arrays):
        raise UserError(
            f"{model.source}: has masks, whose ranks are not removed yet: run remove_mask.py on it"
            " and export the result"
        )
    require_pooler(model)
    task = model.task or {}
    return ExportSource(
        model=model,
        kind=_kind(model),
        labels=_labels(model),
        max_seq_length=min(
            task.get("max_seq_length", DEFAULT_LENGTH), model.config.max_position_embeddings
        ),
        truncation=task.get("truncation", "head"),
    )


def _kind(model):
    if "output_weights" in model.arrays:
        return "regression" if _labels(model) is None else "classification"
    if "cls/predictions/output_bias" in model.arrays:
        return "masked_lm"
    return "encoder"


def _labels(model):
    """The names of the labels: those of task.json, else numbers."""
    if "output_weights" not in model.arrays:
        return None
    count = len(model.arrays["output_bias"])
    if model.task is None:
        return [str(i) for i in range(count)] if count > 1 else None
    labels = model.task.get("labels")
    if labels is not None and len(labels) != count:
        raise UserError(
            f"{model.source}: task.json names {len(labels)} labels, the classifier has {count}"
        )
    return labels


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
