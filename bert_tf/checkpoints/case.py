"""Is the text lower-cased as the checkpoint needs it? A wrong flag would cost accuracy silently."""

import os
import re

from absl import logging

from bert_tf.errors import UserError

# Folder names of Google's releases, the 24 miniatures included, and of those who follow them.
_LOWER = re.compile(
    r"^(uncased_|bert-.*uncased|wwm_uncased_|multilingual_L-12_H-768|chinese_L-12_H-768)", re.I
)
_CASED = re.compile(r"^(cased_|wwm_cased_|multi_cased_|bert-.*[-_]cased)", re.I)
_ENOUGH_TOKENS = 1000
_ENOUGH_LETTERS = 0.05


def check_case(path, do_lower_case, recorded=None, tokens=None):
    """Returns whether a checkpoint's text is lower-cased; refuses a flag that contradicts it.

    Evidence, the first that says anything decides: what the folder records, the vocabulary, the
    name as Google gives it (`uncased_L-12_H-768_A-12`) of the model's own folder or checkpoint.

    Args:
      path: the checkpoint's path, or None.
      do_lower_case: the flag (bool); None does what the evidence says, or lower-cases without any.
      recorded: `do_lower_case` of the model folder, None when it records nothing.
      tokens: the vocabulary (list of str), or None.

    Raises:
      UserError: contradiction; the message names the evidence and the flag.
    """
    needed, evidence = recorded, "the model folder records it"
    if needed is None and tokens is not None:
        needed = vocab_looks_lower_cased(tokens)
        how = "no token with a capital letter" if needed else "many tokens with capital letters"
        evidence = f"the vocabulary has {how}"
    if needed is None:
        needed, part = named_case(path)
        evidence = f"the name {part}"
    if do_lower_case is None:
        if needed is False and recorded is None:
            logging.info("%s: text is not lower-cased: %s", path, evidence)
        return needed is not False
    if needed is not None and needed != bool(do_lower_case):
        raise UserError(
            f"--do_lower_case={str(bool(do_lower_case)).lower()} contradicts the checkpoint {path},"
            f" which is {'un' if needed else ''}cased ({evidence}):"
            f" use --do_lower_case={str(needed).lower()}"
        )
    return bool(do_lower_case)


def named_case(path):
    """Returns (needs lower-casing or None, the part of the path that says so or None).

    Args:
      path: of a model folder, whose name counts, or of a checkpoint, whose own and its folder's do;
        None says nothing. Folders above hold other things, too.
    """
    if path is None:
        return None, None
    folder, name = os.path.split(os.path.abspath(path))
    for part in (name,) if os.path.isdir(path) else (name, os.path.basename(folder)):
        if _LOWER.search(part):
            return True, part
        if _CASED.search(part):
            return False, part
    return None, None


def vocab_looks_lower_cased(tokens):
    """Whether a vocabulary was made from lower-cased text.

    Args:
      tokens: list of str.

    Returns:
      True (no capitals), False (many), or None when it cannot be told: fewer than 1000 tokens, few
      in a script that has case, or only some capitals.
    """
    words = [t for t in tokens if t and t[0] not in "[<"]  # [CLS], <S>: capitals in every release
    if len(words) < _ENOUGH_TOKENS:
        return None
    with_case = sum(t.lower() != t.upper() for t in words)
    capitals = sum(t != t.lower() for t in words)
    if with_case < _ENOUGH_LETTERS * len(words):
        return None
    if capitals > 0.02 * with_case:
        return False
    return True if capitals <= 0.001 * with_case else None
