"""Sentences as the encoder's inputs: windows of whole words, each word's label in one of them."""

import dataclasses

import numpy as np
from absl import logging

from bert_tf.data.features import FeatureStore, fingerprint
from bert_tf.data.table import counted
from bert_tf.tagging.conll import sentences

IGNORED = -1
"""Label of the tokens that have none: [CLS], [SEP], padding, and all pieces of a word but one."""

_AT_ONCE = 50_000  # words that are tokenised in one go
_FORMAT = 1


class TaggedStore(FeatureStore):
    """The windows of one split: `FeatureStore` with a label for some tokens of each example.

    Args:
      ids, offsets: see `FeatureStore`; an example is a window.
      words: int32 [total], the word whose first piece a token is, if the window is the one that
        labels it; else -1. Each word of the split is there once.
      word_labels: int32 [words] of the task's labels, or None.
      sentences: int [sentences + 1], see `ConllFile.offsets`.
      fingerprint: see `FeatureStore`.

    Attributes:
      labels: int32 [total]: that of the token's word, else `IGNORED`.
      (and the arguments)
    """

    label_shape = (None, None)

    def __init__(self, ids, offsets, words, word_labels, sentences, fingerprint):
        labels = np.full(len(words), IGNORED, np.int32)
        if word_labels is not None:
            labels[words >= 0] = word_labels[words[words >= 0]]
        super().__init__(ids, offsets, np.diff(offsets), labels, fingerprint)
        self.words = words
        self.word_labels = word_labels
        self.sentences = sentences

    @property
    def num_words(self):
        """Words of all sentences."""
        return int(self.sentences[-1])

    def batch_labels(self, example_ids, mask):
        return self._tokens(self.labels, example_ids, mask)

    def batch_words(self, example_ids, mask):
        """Returns `words` of a batch, int32 [b, t]; `mask` (bool [b, t]) is of its real tokens."""
        return self._tokens(self.words, example_ids, mask)

    def _tokens(self, values, example_ids, mask):
        found = np.full(mask.shape, IGNORED, np.int32)
        places = self.offsets[example_ids, None] + np.arange(mask.shape[1])
        found[mask] = values[places[mask]]
        return found

    def taken(self, example_ids):
        raise NotImplementedError("windows of a sentence belong together")


def build(file, task, tokenizer, max_seq_length, stride):
    """Returns the `TaggedStore` of a file.

    A sentence of more pieces than there is room for is read in windows of whole words, which begin
    at least every `stride` pieces. A word is labelled in the window that shows the most of what
    stands on its poorer side, the first of several.

    Args:
      file: `ConllFile`.
      task: `TaggingTask`.
      tokenizer: `BertTokenizer`.
      max_seq_length: longest window in tokens, [CLS] and [SEP] included.
      stride: pieces, at most max_seq_length - 2.

    Raises:
      UserError: a label is none of the task's; the message names the line.
    """
    labels = None if file.labels is None else task.positions(file)
    room = max_seq_length - 2
    pieces = _pieces(file, tokenizer, room)
    windows = _windows(file, pieces, room, stride)
    ids, offsets, words = _tokens(windows, pieces, tokenizer.vocab)
    key = fingerprint(_FORMAT, tokenizer.fingerprint, ids, offsets, words, labels, file.offsets)
    return TaggedStore(ids, offsets, words, labels, file.offsets, key)


@dataclasses.dataclass(frozen=True)
class _Pieces:
    """ids: int32 [pieces] of all words; starts: int [words + 1], where each word's begin."""

    ids: np.ndarray
    starts: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Windows:
    """int [windows]: words `first` to `last` are read, `own_first` to `own_last` labelled."""

    first: np.ndarray
    last: np.ndarray
    own_first: np.ndarray
    own_last: np.ndarray


def _pieces(file, tokenizer, room):
    """The `_Pieces` of a file: at least one of each word, and at most `room`."""
    known = {}
    places = np.array([known.setdefault(word, len(known)) for word in file.words])
    unique, flat, counts = list(known), [], []
    for start in range(0, len(unique), _AT_ONCE):
        found = tokenizer.tokenize(unique[start : start + _AT_ONCE])
        flat.append(found.values.numpy())
        counts.append(found.row_lengths().numpy())
    flat, counts = np.concatenate(flat), np.concatenate(counts)
    starts = np.cumsum(counts) - counts
    empty, long = counts[places] == 0, counts[places] > room
    # Nothing is left of some, such as a mark of direction: they are unknown words.
    flat = np.append(flat, tokenizer.vocab.unk_id).astype(np.int32)
    starts[counts == 0], counts[counts == 0] = len(flat) - 1, 1
    counts = np.minimum(counts, room)
    for which, sentence in (
        (empty, "of which the tokenizer leaves nothing: taken for [UNK]"),
        (long, f"of more than {room} pieces: cut"),
    ):
        if which.any():
            word = which.argmax()
            logging.warning(
                "%s: %s %s, the first is in line %d", file.path,
                counted(int(which.sum()), "word", "words"), sentence, file.numbers[word],
            )  # fmt: skip
    lengths = counts[places]
    return _Pieces(flat[_ranges(starts[places], lengths)], np.append(0, np.cumsum(lengths)))


def _ranges(starts, lengths):
    """The numbers starts[i] to starts[i] + lengths[i] of all i, one behind the other."""
    begins = np.cumsum(lengths) - lengths
    return np.repeat(starts - begins, lengths) + np.arange(int(lengths.sum()))


def _windows(file, pieces, room, stride):
    """The `_Windows` of all sentences, in their order."""
    found, long = [], 0
    for first, last in sentences(file):
        if pieces.starts[last] - pieces.starts[first] <= room:
            found.append((first, last, first, last))
            continue
        long += 1
        found += _of_long(first, pieces.starts[first : last + 1], room, stride)
    if long:
        logging.info(
            "%s: %s of %d longer than %d pieces, read in windows that overlap; each word has its"
            " label", file.path, counted(long, "sentence is", "sentences are"), len(file), room,
        )  # fmt: skip
    return _Windows(*np.array(found, np.int64).T)


def _of_long(first, starts, room, stride):
    """[(first, last, own_first, own_last)] of a sentence, given where its words' pieces start."""
    count, bounds, begin = len(starts) - 1, [], 0
    while True:
        end = int(np.searchsorted(starts, starts[begin] + room, side="right")) - 1
        bounds.append((begin, end))
        if end == count:
            break
        following = int(np.searchsorted(starts, starts[begin] + stride, side="left"))
        begin = max(begin + 1, min(following, end))
    words = np.arange(count)
    context = np.full([len(bounds), count], -1)
    for window, (begin, end) in enumerate(bounds):
        inside = words[begin:end]
        before, behind = starts[inside] - starts[begin], starts[end] - starts[inside + 1]
        context[window, begin:end] = np.minimum(before, behind)
    owner = context.argmax(0)
    found = []
    for window, (begin, end) in enumerate(bounds):
        own = np.flatnonzero(owner == window)
        if len(own):
            found.append((first + begin, first + end, first + own[0], first + own[-1] + 1))
    return found


def _tokens(windows, pieces, vocab):
    """(ids, offsets, words) of the `TaggedStore`."""
    counts = windows.last - windows.first
    read = _ranges(windows.first, counts)  # the words of all windows
    lengths = np.diff(pieces.starts)[read]
    window = np.repeat(np.arange(len(counts)), counts)
    sizes = pieces.starts[windows.last] - pieces.starts[windows.first]
    offsets = np.append(0, np.cumsum(sizes + 2))
    ids = np.empty(offsets[-1], np.int32)
    ids[offsets[:-1]], ids[offsets[1:] - 1] = vocab.cls_id, vocab.sep_id
    places = np.cumsum(lengths) - lengths + 2 * window + 1  # of each word's first piece
    ids[_ranges(places, lengths)] = pieces.ids[_ranges(pieces.starts[read], lengths)]
    own = (read >= windows.own_first[window]) & (read < windows.own_last[window])
    words = np.full(offsets[-1], -1, np.int32)
    words[places[own]] = read[own]
    return ids, offsets, words
