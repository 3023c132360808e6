"""Google BERT's pre-training instances: sentence pairs with static masks.

The algorithm of google-research/bert's create_pretraining_data.py, in token ids; `random.Random`
is asked for the same numbers in the same order, so the same text, vocabulary, flags and seed give
the same instances (but the end of a file ends its document, which it does not there). Everything is
held in memory, as there: documents and instances are shuffled as a whole.
"""

import dataclasses
import random

import numpy as np
from absl import logging

from bert_tf.data.pretraining.masking import num_predictions
from bert_tf.errors import UserError

_OTHER_DOCUMENT_TRIES = 10
_LINES_AT_ONCE = 4096
_MASKED, _KEPT_OF_REST = 0.8, 0.5


@dataclasses.dataclass(frozen=True)
class GoogleRecipe:
    """How instances are made; names and defaults are Google's flags'.

    Attributes:
      max_seq_length: tokens of an instance at most, specials included.
      max_predictions_per_seq: masked tokens of an instance at most.
      masked_lm_prob: share of an instance's tokens that are masked.
      do_whole_word_mask: mask all the pieces of a word or none.
      short_seq_prob: share of the documents, per copy, cut into shorter instances.
      dupe_factor: copies of the corpus, each cut and masked anew.
      random_seed: of everything.
    """

    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    masked_lm_prob: float = 0.15
    do_whole_word_mask: bool = False
    short_seq_prob: float = 0.1
    dupe_factor: int = 10
    random_seed: int = 12345


@dataclasses.dataclass(frozen=True)
class Instance:
    """One example.

    Attributes:
      input_ids: list of int: [CLS] a [SEP] b [SEP], masked.
      first_length: tokens of [CLS] a [SEP].
      positions: list of int, ascending: what is predicted.
      labels: list of int: the ids that stood there.
      is_random_next: whether b is from elsewhere.
    """

    input_ids: list
    first_length: int
    positions: list
    labels: list
    is_random_next: bool


def read_documents(lines, tokenizer):
    """Returns documents (list of lists of sentences, which are lists of int token ids).

    Args:
      lines: iterable of str, a sentence each, and None after each document: `TextReader.lines`.
      tokenizer: `BertTokenizer`.

    Raises:
      UserError: there is no text.
    """
    documents, waiting = [[]], []
    ids = list(range(len(tokenizer.vocab)))  # one object per id, however often it occurs

    def tokenise():
        texts = [line for line in waiting if line is not None]
        sentences = iter(tokenizer.tokenize(texts).to_list() if texts else [])
        for line in waiting:
            if line is None:
                documents.append([])
            elif sentence := next(sentences):
                documents[-1].append([ids[i] for i in sentence])
        waiting.clear()

    for line in lines:
        waiting.append(line)
        if len(waiting) == _LINES_AT_ONCE:
            tokenise()
    tokenise()
    documents = [document for document in documents if document]
    if not documents:
        raise UserError("the corpus is empty, expected text")
    return documents


def warn_of_pairs(documents):
    """Warns where next-sentence pairs teach nothing: see `read_documents` for `documents`.

    The second half of a pair is of the same document or of another; a document of one sentence has
    no second half of its own.
    """
    single = sum(len(document) == 1 for document in documents)
    if len(documents) == 1:
        logging.warning(
            "the text is one document: pairs that are labelled random are not; put blank lines"
            " between documents, or give --input_format=lines if each line is one"
        )
    elif 2 * single >= len(documents):
        logging.warning(
            "%d of %d documents consist of one sentence, so that all their next-sentence pairs are"
            " random: write a sentence per line, and blank lines between documents only",
            single, len(documents),
        )  # fmt: skip


class InstanceMaker:
    """Makes the instances of a corpus.

    Args:
      documents: see `read_documents`; shuffled in place.
      vocab: `Vocab`.
      recipe: `GoogleRecipe`.
    """

    def __init__(self, documents, vocab, recipe):
        self._documents = documents
        self._recipe = recipe
        self._rng = random.Random(recipe.random_seed)
        self._cls, self._sep, self._mask = vocab.cls_id, vocab.sep_id, vocab.mask_id
        # Google draws from the keys of a dictionary: each token once, at its first line.
        self._words = [vocab.ids[token] for token in dict.fromkeys(vocab.tokens)]
        self._continues = [token.startswith("##") for token in vocab.tokens]

    def instances(self, transform=lambda instance: instance):
        """Returns all instances, shuffled: a list of `transform(instance)`.

        Args:
          transform: callable (`Instance`) -> what is kept of it, to save memory.
        """
        self._rng.shuffle(self._documents)
        made = []
        for _ in range(self._recipe.dupe_factor):
            for index in range(len(self._documents)):
                made += map(transform, self._of_document(index))
        self._rng.shuffle(made)
        return made

    def _of_document(self, index):
        """Yields the instances of one copy of a document."""
        document, rng = self._documents[index], self._rng
        room = self._recipe.max_seq_length - 3
        target = room
        if rng.random() < self._recipe.short_seq_prob:
            target = rng.randint(2, room)
        start = 0
        while start < len(document):
            end, length = start, 0
            while end < len(document) and length < target:
                length += len(document[end])
                end += 1
            a, b, is_random, start = self._pair(index, start, end, target)
            self._truncate(a, b, room)
            yield self._instance(a, b, is_random)

    def _pair(self, index, start, end, target):
        """Cuts sentences start ... end - 1 in two; returns (a, b, b is random, the next start)."""
        document, rng = self._documents[index], self._rng
        middle = start + (1 if end - start == 1 else rng.randint(1, end - start - 1))
        a = _joined(document[start:middle])
        if end - start > 1 and rng.random() >= 0.5:
            return a, _joined(document[middle:end]), False, end
        for _ in range(_OTHER_DOCUMENT_TRIES):
            other = rng.randint(0, len(self._documents) - 1)
            if other != index:
                break
        other = self._documents[other]
        b = []
        for sentence in other[rng.randint(0, len(other) - 1) :]:
            b += sentence
            if len(b) >= target - len(a):
                break
        return a, b, True, middle  # the sentences that b took the place of are used next

    def _truncate(self, a, b, room):
        while len(a) + len(b) > room:
            longer = a if len(a) > len(b) else b
            del longer[0 if self._rng.random() < 0.5 else -1]

    def _instance(self, a, b, is_random):
        ids = [self._cls, *a, self._sep, *b, self._sep]
        masked, rng = list(ids), self._rng
        count = num_predictions(
            len(ids), self._recipe.masked_lm_prob, self._recipe.max_predictions_per_seq
        )
        words = self._words_of(ids)
        rng.shuffle(words)
        chosen = []
        for word in words:
            if len(chosen) >= count:
                break
            if len(chosen) + len(word) > count:
                continue
            for position in word:
                masked[position] = self._shown(ids[position])
            chosen += word
        chosen.sort()
        return Instance(masked, len(a) + 2, chosen, [ids[i] for i in chosen], is_random)

    def _words_of(self, ids):
        """The positions that may be masked, as lists that are masked together."""
        words = []
        for position, token_id in enumerate(ids):
            if token_id in (self._cls, self._sep):
                continue
            if self._recipe.do_whole_word_mask and words and self._continues[token_id]:
                words[-1].append(position)
            else:
                words.append([position])
        return words

    def _shown(self, token_id):
        if self._rng.random() < _MASKED:
            return self._mask
        if self._rng.random() < _KEPT_OF_REST:
            return token_id
        return self._words[self._rng.randint(0, len(self._words) - 1)]


def to_example(instance, recipe):
    """Returns the instance's arrays under Google's names.

    Returns:
      {"input_ids", "input_mask", "segment_ids": int64 [max_seq_length], "masked_lm_positions",
      "masked_lm_ids": int64 [max_predictions_per_seq], "masked_lm_weights": float32 [the same],
      "next_sentence_labels": int64 [1]}, padded with zeros.
    """
    length, count = len(instance.input_ids), len(instance.positions)
    sequences = np.zeros((3, recipe.max_seq_length), np.int64)
    sequences[0, :length] = instance.input_ids
    sequences[1, :length] = 1
    sequences[2, instance.first_length : length] = 1
    predictions = np.zeros((2, recipe.max_predictions_per_seq), np.int64)
    predictions[:, :count] = instance.positions, instance.labels
    weights = (np.arange(recipe.max_predictions_per_seq) < count).astype(np.float32)
    return {
        "input_ids": sequences[0],
        "input_mask": sequences[1],
        "segment_ids": sequences[2],
        "masked_lm_positions": predictions[0],
        "masked_lm_ids": predictions[1],
        "masked_lm_weights": weights,
        "next_sentence_labels": np.array([instance.is_random_next], np.int64),
    }


def _joined(sentences):
    return [token_id for sentence in sentences for token_id in sentence]
