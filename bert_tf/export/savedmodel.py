"""SavedModel: what TensorFlow and TensorFlow Serving run, on ids or on texts."""

import contextlib
import os
import pathlib
import shutil

import numpy as np
import tensorflow as tf
from absl import logging

from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.errors import UserError
from bert_tf.export.check import TOLERANCE
from bert_tf.export.computation import Computation
from bert_tf.export.source import INPUTS

TEXT = "text"
"""The folder of the model that takes texts, and the name of its signature."""
_ENCODED = ("input_word_ids", "input_mask", "input_type_ids")  # the tokenizer's, as `INPUTS`
_VARIABLES = "variables"
_HARD_TEXTS = ["", " \t\n", "a\0b", "电影 🙂", "İstanbul’s ΟΔΟΣ", "word " * 1000]
_CHECKED_TEXTS, _BATCH = 250, 32
_OF_CLIENTS = ("probabilities", "label", "labels", "score")  # beside the model's outputs


def write(source, folder, options):  # noqa: ARG001
    """Writes a SavedModel that takes ids and, in its folder `text`, one that takes texts, too.

    They are two because nothing loads a part of a SavedModel: the second needs the operators of
    tensorflow_text, of which TensorFlow has none and TensorFlow Serving those of another release.
    Either can be moved by itself; where they are written, their weights are one file on the disk.

    `serving_default` takes `INPUTS`, int32 [batch, length]. `text` takes `text` and, for a task of
    pairs, `text_pair`: string [batch]. A `text_pair` of one text goes with all; servers take an
    empty one where a request has none. Texts are cut as in training and padded to the longest.
    Both give the model's outputs and for a client

    - classification: `probabilities` [batch, labels], `labels`, their names, string [batch,
      labels], and `label`, the best one, string [batch];
    - regression: `score` [batch];
    - others, of texts only: `INPUTS`, what the tokens are and which of them are padding.

    Args:
      source: `ExportSource`; without a vocabulary there is no `text`.
      folder: where to (`pathlib.Path`).
      options: there is nothing to choose.

    Raises:
      UserError: the vocabulary does not fit the model, or the folder cannot be written.
    """
    folder = pathlib.Path(folder)
    module = tf.Module()
    computation = Computation(source)
    module.weights = computation.variables  # all that is saved: no Keras object
    answer = _answer(source, computation)
    by_ids = _by_ids(source, answer)
    save(module, folder, serving_default=by_ids)
    if source.model.vocab_file is not None:
        save(module, folder / TEXT, serving_default=by_ids, text=_by_texts(source, answer))
        _share_variables(folder, folder / TEXT)


def save(module, folder, **signatures):
    """Writes a `tf.Module` with these functions as a SavedModel, without a word of TensorFlow's.

    Raises:
      UserError: the folder cannot be written.
    """
    try:
        with _quietly():
            tf.saved_model.save(module, os.fspath(folder), signatures=signatures)
    except tf.errors.OpError as e:
        raise UserError(f"{folder}: cannot write: {e.message.rpartition('; ')[2]}") from e


def runner(folder, threads=None):
    """Returns a callable that runs `serving_default` in a session, as TensorFlow Serving does.

    Args:
      folder: of the SavedModel.
      threads: of one call; as many as there are cores if None.

    Returns:
      Callable ({input name: int64 [batch, length]}) -> {output name: float32 array}.
    """
    settings = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=threads or 0,
        inter_op_parallelism_threads=threads or 0,
        use_per_session_threads=threads is not None,
    )
    session = tf.compat.v1.Session(graph=tf.Graph(), config=settings)
    with session.graph.as_default(), _quietly():
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], os.fspath(folder))
    signature = loaded.signature_def["serving_default"]
    outputs = {k: x.name for k, x in signature.outputs.items() if k not in _OF_CLIENTS}
    places = [signature.inputs[name].name for name in INPUTS]

    def run(inputs):
        ids = [np.asarray(inputs[name], np.int32) for name in INPUTS]
        return session.run(outputs, dict(zip(places, ids, strict=True)))

    return run


def check_texts(source, folder, model, texts):
    """Compares what `text` says of texts with what the model says of their ids.

    Args:
      source: `ExportSource`.
      folder: what `write` has written; without a vocabulary there is nothing to compare.
      model: callable as `runner` returns.
      texts: list of str, of which the first are taken, with some that are hard to cut into words.

    Raises:
      UserError: outputs differ by more than float32 may.
    """
    folder = pathlib.Path(folder) / TEXT
    if not folder.exists():
        return
    with _quietly():
        loaded = tf.saved_model.load(os.fspath(folder))
    tokenizer, signature = tokenizer_of(source.model), loaded.signatures[TEXT]
    texts = [*_HARD_TEXTS, *texts[:_CHECKED_TEXTS]]
    for start in range(0, len(texts), _BATCH):
        batch = tf.constant(texts[start : start + _BATCH])
        pairs = {"text_pair": batch[::-1]} if source.pairs else {}
        length, truncation = source.max_seq_length, source.truncation
        encoded = tokenizer.encode(batch, pairs.get("text_pair"), length, truncation)
        ids = zip(INPUTS, (encoded[name].numpy() for name in _ENCODED), strict=True)
        wanted = model({name: value.astype(np.int64) for name, value in ids})[source.main_output]
        found = signature(text=batch, **pairs)[source.main_output].numpy()
        if wanted.shape != found.shape or not np.abs(wanted - found).max() <= TOLERANCE:
            raise UserError(
                f"{folder}: says something else of texts than the model does: it was not written;"
                " please report the vocabulary and the tokenizer's settings"
            )


def _answer(source, computation):
    """Function of ids, mask and types, int32 [B, T] -> {name: tensor} for clients."""

    def classified(ids, mask, types):
        logits = computation(ids, mask, types)["logits"]
        names = tf.constant(source.labels)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "label": tf.gather(names, tf.argmax(logits, -1)),
            # One row for each example: a response by rows has room for nothing else.
            "labels": tf.repeat(names[None], tf.shape(logits)[0], 0),
        }

    def scored(ids, mask, types):
        logits = computation(ids, mask, types)["logits"]
        return {"logits": logits, "score": logits[:, 0]}

    return {"classification": classified, "regression": scored}.get(source.kind, computation)


def _by_ids(source, answer):
    """The function of `serving_default`."""
    longest = source.config.max_position_embeddings

    def serve(input_ids, attention_mask, token_type_ids):
        length = tf.shape(input_ids)[1]
        message = f"input_ids are longer than the model's {longest} positions"
        tf.debugging.assert_less_equal(length, longest, message)
        return answer(input_ids, attention_mask, token_type_ids)

    ids = [tf.TensorSpec([None, None], tf.int32, name) for name in INPUTS]
    return tf.function(serve, input_signature=ids, autograph=False)


def _by_texts(source, answer):
    """The function of `text`."""
    tokenizer = tokenizer_of(source.model)
    shows_tokens = source.kind in ("masked_lm", "encoder")
    empty = tf.constant([""])

    def answer_to(first, second):
        encoded = tokenizer.encode(first, second, source.max_seq_length, source.truncation)
        ids = [_not_of_length_0(encoded[name]) for name in _ENCODED]
        outputs = answer(*ids)
        return {**outputs, **dict(zip(INPUTS, ids, strict=True))} if shows_tokens else outputs

    def single(text):
        return answer_to(text, None)

    def pair(text, text_pair=empty):
        return answer_to(text, tf.broadcast_to(text_pair, tf.shape(text)))

    names = ("text", "text_pair") if source.pairs else ("text",)
    texts = [tf.TensorSpec([None], tf.string, name) for name in names]
    return tf.function(pair if source.pairs else single, input_signature=texts, autograph=False)


def _not_of_length_0(ids):
    """Pads a batch of no texts, which would have no first token either: [0, 0] -> [0, 1]."""
    return tf.pad(ids, [[0, 0], [0, tf.cast(tf.shape(ids)[1] == 0, tf.int32)]])


def _share_variables(folder, other):
    """Makes the variables of a module that was saved twice one on the disk, where it has links."""
    links = other / ".variables"
    links.mkdir()
    try:
        for file in (folder / _VARIABLES).iterdir():
            os.link(file, links / file.name)
    except OSError:
        shutil.rmtree(links)
        return
    shutil.rmtree(other / _VARIABLES)
    links.rename(other / _VARIABLES)


@contextlib.contextmanager
def _quietly():
    """Context: TensorFlow does not tell its steps, nor that there are other ways."""
    logger, level, verbosity = tf.get_logger(), tf.get_logger().level, logging.get_verbosity()
    logger.setLevel("ERROR")
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        logging.set_verbosity(verbosity)
