"""vocab.txt: one token per line, the line number is the id."""

import codecs
import dataclasses

from bert_tf import files
from bert_tf.errors import UserError

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"

# Embedding tables are padded: by less than the first, or to a multiple of one of the others.
TABLE_MULTIPLES = (8, 16, 32, 64, 128)


@dataclasses.dataclass(frozen=True)
class Vocab:
    """The tokens of one vocab.txt.

    Attributes:
      path: the file, named in errors.
      tokens: list of str, `tokens[id]`; a blank line is "".
      ids: {token: id}; a token on several lines has the id of the last.
    """

    path: str
    tokens: list
    ids: dict

    def __len__(self):
        return len(self.tokens)

    @property
    def pad_id(self):
        """Id of [PAD]."""
        return self.ids[PAD]

    @property
    def unk_id(self):
        """Id of [UNK], the piece of every word that cannot be spelt with the vocabulary."""
        return self.ids[UNK]

    @property
    def cls_id(self):
        """Id of [CLS], the first token of a sequence."""
        return self.ids[CLS]

    @property
    def sep_id(self):
        """Id of [SEP], the token after each text."""
        return self.ids[SEP]

    @property
    def mask_id(self):
        """Id of [MASK]. Raises UserError where the vocabulary has none."""
        if MASK not in self.ids:
            raise UserError(f"{self.path}: the vocabulary has no {MASK} token")
        return self.ids[MASK]


def load_vocab(path):
    """Reads a vocabulary with Google's rules; lines are stripped of white space at both ends.

    Args:
      path: vocab.txt, UTF-8, with or without a byte order mark; lines may end in CR LF.

    Returns:
      A Vocab. [MASK] may be missing, the other special tokens may not.

    Raises:
      UserError: the file is missing, unreadable, empty, not UTF-8 text (the line is named), or
        lacks [PAD], [UNK], [CLS] or [SEP].
    """
    try:
        with open(path, "rb") as f:
            lines = f.read().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as e:
        raise UserError(f"{path}: cannot read the vocabulary: {e.strerror or e}") from e
    while lines and not lines[-1].strip():
        lines.pop()  # blank lines at the end are no tokens: no text has them
    if not lines:
        raise UserError(f"{path}: the vocabulary is empty, expected one token per line")
    tokens = [_token(path, number, line) for number, line in enumerate(lines, 1)]
    ids = {token: i for i, token in enumerate(tokens)}
    missing = [token for token in (PAD, UNK, CLS, SEP) if token not in ids]
    if missing:
        files.refuse_pointer(path)
        raise UserError(
            f"{path}: the vocabulary has no {', '.join(missing)} among its {len(tokens)} tokens;"
            " expected one token per line, as in BERT's vocab.txt"
        )
    return Vocab(str(path), tokens, ids)


def check_vocab_size(vocab, config, config_path="bert_config.json"):
    """Checks that the vocabulary fits the embedding table.

    Args:
      vocab: a Vocab.
      config: a BertConfig. Its vocab_size may exceed the tokens by less than 8, or be the next
        multiple of 16, 32, 64 or 128: a table is padded so.
      config_path: the config's file, named in the error.

    Raises:
      UserError: they do not fit, naming both files and both sizes.
    """
    rows = config.vocab_size
    more = rows - len(vocab)
    padded = any(more < m and not rows % m for m in TABLE_MULTIPLES)
    if more < 0 or not (more < TABLE_MULTIPLES[0] or padded):
        raise UserError(
            f"{vocab.path} has {len(vocab)} tokens, but {config_path} has vocab_size {rows}: the"
            " vocabulary belongs to another model: give the one that the model was trained with"
        )


def _token(path, number, line):
    if b"\0" in line:
        raise UserError(
            f"{path}: line {number} of the vocabulary holds a NUL byte, expected UTF-8 text"
        )
    try:
        return line.decode("utf-8").strip()
    except UnicodeDecodeError as e:
        raise UserError(
            f"{path}: line {number} of the vocabulary is not UTF-8 text (byte {e.start + 1} of the"
            " line)"
        ) from e
