"""The rows or passages that a factorisation goes by, and the statistics of a model on them."""

import dataclasses
import pathlib
import random
import tempfile

from absl import logging

from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.data.examples import Examples
from bert_tf.data.features import build_features
from bert_tf.errors import UserError
from bert_tf.pruning.statistics import collect
from bert_tf.training import inputs
from bert_tf.training.options import ClassifierOptions

DEFAULT_LENGTH = 128
_LABELLED = ("fisher", "two_sided")


def statistics_of_task(model, method, flags, *, examples=1280, max_seq_length=None, seed=42):
    """Collects statistics over training rows of a task.

    Args:
      model: dense `LoadedModel`; for `fisher` and `two_sided` with the task's classifier. Without
        one, `whitened` runs the encoder alone.
      method: `fisher`, `whitened` or `two_sided`.
      flags: {name: value} of `ClassifierOptions` that say which task and where its files are:
        `data_dir`, `task_name` (the model's own if absent), or those of a custom task, and
        `do_lower_case`.
      examples: rows to use, drawn at random.
      max_seq_length: rows are cut to this many tokens; as the model was fine-tuned, else 128.
      seed: of the draw.

    Returns:
      {scope: `flop.decomposition.Statistics`}.

    Raises:
      UserError: no such task or files, or the model has no classifier for it.
    """
    known = (model.task or {}).get("task_name")
    for part, name in (("classifier", "output_weights"), ("pooler", "bert/pooler/dense/kernel")):
        if method in _LABELLED and name not in model.arrays:
            raise UserError(
                f"{model.source}: has no {part}, whose gradients --method={method} needs: give a"
                " model fine-tuned on the task, or --method=whitened"
            )
    flags = dict(flags)
    if flags.get("task_name") and flags["task_name"].lower() == known:
        del flags["task_name"]  # the folder also knows the order of the labels
    length = max_seq_length or (model.task or {}).get("max_seq_length", DEFAULT_LENGTH)
    given = frozenset({*flags, "max_seq_length"})
    truncation = (model.task or {}).get("truncation", "head")
    options = ClassifierOptions(
        do_train=True, model_dir=model.source, max_seq_length=length, truncation=truncation,
        given=given, **flags,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        data = inputs.build(options, model, pathlib.Path(scratch))
        labels = _outputs(model, data.task, method)
        return collect(model.config, model.arrays, data.train, method, labels, examples, seed)


def statistics_of_text(
    model, path, *, do_lower_case=None, examples=1280, max_seq_length=None, seed=42
):
    """Collects statistics for `whitened` over passages of plain text, on all their tokens.

    Args:
      model: dense `LoadedModel` with its vocabulary.
      path: UTF-8 text, one passage per line; empty lines are skipped.
      do_lower_case: as the model says, else true, if None.
      examples: passages to use, drawn at random.
      max_seq_length: passages are cut to this many tokens; 128 if None.
      seed: of the draw.

    Returns:
      {scope: `flop.decomposition.Statistics`}.

    Raises:
      UserError: the file cannot be read or holds no text, or the model no vocabulary.
    """
    tokenizer = tokenizer_of(model, do_lower_case)
    length = min(max_seq_length or DEFAULT_LENGTH, model.config.max_position_embeddings)
    passages = _draw_passages(path, examples, seed)
    texts = Examples([str(i) for i in range(len(passages))], passages, None, None, str(path))
    store = build_features(texts, tokenizer, length)
    logging.info(
        "%d passages of %s, %.1f tokens on average", len(store), path, store.lengths.mean()
    )
    return collect(model.config, model.arrays, store, "whitened", None, examples, seed)


def without_classifier(model):
    """Returns the `LoadedModel` without classifier and task, which `left` then names."""
    dropped = [name for name in model.arrays if name in ("output_weights", "output_bias")]
    return dataclasses.replace(
        model,
        arrays={name: array for name, array in model.arrays.items() if name not in dropped},
        task=None,
        left={**model.left, **dict.fromkeys(dropped, "classifier, not kept without --finetuned")},
    )


def _outputs(model, task, method):
    """Outputs of the classifier to run, None for the encoder alone."""
    wanted = 1 if task.labels is None else len(task.labels)
    known = (model.task or {}).get("task_name", task.name)
    found = len(model.arrays["output_bias"]) if "output_bias" in model.arrays else None
    if found == wanted and known == task.name:
        return wanted
    if method in _LABELLED:
        raise UserError(
            f"{model.source}: its classifier is for task {known} with {found} outputs, the data are"
            f" of {task.name} with {wanted}: give the model fine-tuned on it, or --method=whitened"
        )
    return None


def _draw_passages(path, count, seed):
    """Up to `count` non-empty lines, each as likely as any other, reading the file once."""
    rng = random.Random(seed)
    drawn, seen = [], 0
    try:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                text = _decoded(line, f"{path}:{number}").strip()
                if not text:
                    continue
                seen += 1
                if len(drawn) < count:
                    drawn.append(text)
                elif (place := rng.randrange(seen)) < count:
                    drawn[place] = text
    except OSError as e:
        raise UserError(f"--text_file={path}: cannot be read: {e.strerror or e}") from e
    if not drawn:
        raise UserError(f"--text_file={path}: holds no text, expected one passage per line")
    return drawn


def _decoded(line, where):
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as e:
        raise UserError(f"{where}: not UTF-8 text (byte {e.start + 1} of the line)") from e
