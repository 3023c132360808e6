"""The tokenizer of a model: its vocabulary, treated as its folder records."""

import itertools
import pathlib

from absl import logging

from bert_tf.checkpoints import tokenizer_files
from bert_tf.checkpoints.case import check_case
from bert_tf.errors import UserError
from bert_tf.tokenization.tokenizer import BertTokenizer
from bert_tf.tokenization.vocab import check_vocab_size, load_vocab


def tokenizer_of(model, do_lower_case=None):
    """Returns the `BertTokenizer` of a `LoadedModel`.

    Args:
      model: `LoadedModel`.
      do_lower_case: what the flag says; None is as the model is, see `check_case`.

    Raises:
      UserError: the model has no vocabulary, one that does not fit it, or is of the other case.
    """
    if model.vocab_file is None:
        raise UserError(_no_vocabulary(model))
    vocab = load_vocab(model.vocab_file)
    check_vocab_size(vocab, model.config, model.source)
    lower_case = check_case(model.path, do_lower_case, model.do_lower_case, vocab.tokens)
    settings = settings_of(model)
    special = [
        f"{name}={str(x).lower()}" for name, x in settings.items() if name != "do_lower_case"
    ]
    if special:
        logging.info("%s: its tokenizer has %s", model.source, ", ".join(special))
    return BertTokenizer(vocab, **{**settings, "do_lower_case": lower_case})


def settings_of(model):
    """Returns {setting of `BertTokenizer`: bool}, those that a `LoadedModel` records."""
    extra = model.config.extra
    found = {name: extra[name] for name in tokenizer_files.SETTINGS if name in extra}
    tokenizer_files.check_settings(model.source, found)
    return tokenizer_files.without_defaults({**found, "do_lower_case": model.do_lower_case})


def check_same_tokenizer(teacher, student, do_lower_case):
    """Refuses a teacher to whom the student's token ids would mean other texts.

    Args:
      teacher, student: `LoadedModel`s; one without a vocabulary may be any.
      do_lower_case: of the student's text; a teacher who records nothing takes it.

    Raises:
      UserError: vocabularies or settings differ; the message names the first difference.
    """
    if teacher.vocab_file is None or student.vocab_file is None:
        return
    tokens = [load_vocab(model.vocab_file).tokens for model in (teacher, student)]
    if tokens[0] != tokens[1]:
        pairs = itertools.zip_longest(*tokens)
        i, theirs, ours = next((i, a, b) for i, (a, b) in enumerate(pairs) if a != b)
        raise UserError(
            f"--teacher_model_dir: token {i} of {teacher.vocab_file} is {theirs!r}, the student's"
            f" is {ours!r}: give a teacher of the same vocabulary"
        )
    case = {"do_lower_case": do_lower_case}
    theirs = tokenizer_files.with_defaults({**case, **settings_of(teacher)})
    ours = tokenizer_files.with_defaults({**settings_of(student), **case})
    for name, value in theirs.items():
        if value != ours[name]:
            raise UserError(
                f"--teacher_model_dir: {teacher.source} has {name}={value}, the student"
                f" {ours[name]}: give a teacher whose texts have the same ids"
            )


def _no_vocabulary(model):
    folder = pathlib.Path(model.path or "")
    if model.path and (folder / tokenizer_files.TOKENIZER_FILE).is_file():
        return (
            f"{model.source}: holds {tokenizer_files.TOKENIZER_FILE} and no vocab.txt: write its"
            " model.vocab as vocab.txt, one token a line in the order of the ids"
            " (save_vocabulary of transformers does), or give --vocab_file"
        )
    return f"{model.source}: holds no vocab.txt: give --vocab_file"
