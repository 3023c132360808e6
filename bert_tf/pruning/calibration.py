"""The rows or passages that a factorisation goes by, and the statistics of a model on them."""

import pathlib
import random
import tempfile

from absl import logging

from bert_tf.checkpoints import head_matching
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.data import inputs, rows
from bert_tf.data.examples import Examples
from bert_tf.data.features import build_features
from bert_tf.data.pretraining.text import TextReader
from bert_tf.errors import UserError
from bert_tf.pruning.statistics import collect

_LABELLED = ("fisher", "two_sided")


def statistics_of_task(model, method, flags, *, examples=1280, max_seq_length=None, seed=42):
    """Collects statistics over training rows of a task.

    Args:
      model: dense `LoadedModel`; for `fisher` and `two_sided` with the task's classifier. Without
        one, `whitened` runs the encoder alone.
      method: `fisher`, `whitened` or `two_sided`.
      flags: {name: value} of `InputOptions` that say which task and where its files are:
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
    if (model.task or {}).get("head") is not None:
        raise UserError(
            f"{model.source}: was fine-tuned for {model.task['head']}, and statistics are those of"
            " tasks of sentences: give --text_file with lines of its text"
        )
    for part, name in (("classifier", "output_weights"), ("pooler", "bert/pooler/dense/kernel")):
        if method in _LABELLED and name not in model.arrays:
            raise UserError(
                f"{model.source}: has no {part}, whose gradients --method={method} needs: give a"
                " model fine-tuned on the task, or --method=whitened"
            )
    options = rows.options_of(model, flags, max_seq_length)
    task = inputs.task_of(options, model)
    classifier = head_matching.matched(model, task)
    if method in _LABELLED:
        advice = "give the model fine-tuned on it, or --method=whitened"
        head_matching.require(classifier, task, advice)
    arrays = classifier.arrays
    labels = len(arrays["output_bias"]) if "output_bias" in arrays else None
    with tempfile.TemporaryDirectory() as scratch:
        data = inputs.build(options, model, task, pathlib.Path(scratch))
        return collect(model.config, arrays, data.train, method, labels, examples, seed)


def statistics_of_text(
    model, path, *, do_lower_case=None, examples=1280, max_seq_length=None, seed=42
):
    """Collects statistics for `whitened` over passages of plain text, on all their tokens.

    Args:
      model: dense `LoadedModel` with its vocabulary.
      path: UTF-8 text, one passage per line, in a format that `TextReader` finds by itself; empty
        lines are skipped.
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
    length = min(max_seq_length or rows.DEFAULT_LENGTH, model.config.max_position_embeddings)
    passages = _draw_passages(path, examples, seed)
    texts = Examples([str(i) for i in range(len(passages))], passages, None, None, str(path))
    store = build_features(texts, tokenizer, length)
    logging.info(
        "%d passages of %s, %.1f tokens on average", len(store), path, store.lengths.mean()
    )
    return collect(model.config, model.arrays, store, "whitened", None, examples, seed)


def _draw_passages(path, count, seed):
    """Up to `count` non-empty lines, each as likely as any other, reading the file once."""
    rng = random.Random(seed)
    drawn, seen = [], 0
    if not pathlib.Path(path).exists():
        raise UserError(f"--text_file={path}: cannot be read: no such file")
    reader = TextReader([str(path)])
    for text in reader.lines():
        if text is None:
            continue
        seen += 1
        if len(drawn) < count:
            drawn.append(text)
        elif (place := rng.randrange(seen)) < count:
            drawn[place] = text
    logging.info("%s: read as %s", path, reader.formats[str(path)])
    if not drawn:
        raise UserError(f"--text_file={path}: holds no text, expected one passage per line")
    return drawn
