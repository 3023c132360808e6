"""A WordPiece vocabulary learned from a corpus, by tensorflow-text's learner."""

import collections

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow_text.tools.wordpiece_vocab import wordpiece_tokenizer_learner_lib as learner

from bert_tf.data.pretraining.bits import random_bits, stream_key
from bert_tf.data.pretraining.encoding import blocks
from bert_tf.data.pretraining.text import TextReader
from bert_tf.errors import UserError
from bert_tf.tokenization.normalization import normalize, split_words
from bert_tf.tokenization.vocab import CLS, MASK, PAD, SEP, UNK, Vocab

_RESERVED = [PAD, UNK, CLS, SEP, MASK]
_MAX_WORDS = 200_000  # different ones, the most frequent: the learner takes 0.1 ms or so for each
_RAREST = 2  # how often a piece occurs at least
_SAMPLE_STREAM = 2


def learn_vocab(
    input_files, vocab_size, *, do_lower_case=True, input_format="auto", sample_mb=50, seed=12345
):
    """Learns a vocabulary; returns a `Vocab`, which is not yet in a file.

    Pieces that occur often enough are kept; the learner searches for what "often enough" must be to
    give about `vocab_size` tokens. They are 5 % fewer at most, but for a corpus that has no more.

    Args:
      input_files: list of paths, see `find_files`.
      vocab_size: tokens at most, special ones included.
      do_lower_case: lower-case and strip accents first, as `BertTokenizer` does.
      input_format: see `TextReader`.
      sample_mb: text to learn from, in 10**6 characters: a random sample of a larger corpus. It
        bounds memory and time.
      seed: of the sample.

    Raises:
      UserError: the text cannot be read or is empty, or its characters alone are more tokens.
    """
    reader = TextReader(input_files, input_format)
    counts = _count_words(_sample(reader, sample_mb * 10**6, seed), do_lower_case)
    if not counts:
        raise UserError(f"--input_file: {input_files[0]}: the corpus is empty, expected text")
    logging.info("learning a vocabulary of %d tokens from %d words", vocab_size, len(counts))
    tokens = _learn(counts, vocab_size)
    if len(tokens) > vocab_size:
        raise UserError(
            f"--vocab_size={vocab_size}: the special tokens and the corpus' characters, each as the"
            f" beginning of a word and inside one, are {len(tokens)}: give that or more"
        )
    return Vocab("the learned vocabulary", tokens, {token: i for i, token in enumerate(tokens)})


def _sample(reader, characters, seed):
    """Yields lists of texts, about `characters` altogether, at random from the whole corpus."""
    share = min(1.0, characters / max(1, reader.total_bytes))
    key, seen, left = stream_key(seed, _SAMPLE_STREAM), 0, characters
    for block in blocks(reader.pieces()):
        draws = random_bits(key, np.arange(seen, seen + len(block), dtype=np.uint64))
        seen += len(block)
        texts = [block[i].text for i in np.flatnonzero(draws / 2**64 <= share)]
        yield texts
        left -= sum(map(len, texts))
        if left <= 0:  # compressed files hold more text than their size says
            return


def _count_words(batches, do_lower_case):
    """Returns {word (str): how often}, in the words that `BertTokenizer` cuts texts in."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def words_of(batch):
        return split_words(normalize(batch, do_lower_case)).values

    counts = collections.Counter()
    for batch in batches:
        counts.update(words_of(tf.constant(batch, tf.string, [len(batch)])).numpy().tolist())
    return {word.decode("utf-8"): count for word, count in counts.items()}


def _learn(counts, vocab_size):
    """Returns the tokens (list of str)."""
    frequent = sorted(counts.values(), reverse=True)
    # At the count of the vocab_size-th word there are too many pieces, for those words are among
    # them; at that of a word of an eighth the rank mostly too few. Searched from 2 to the most
    # frequent word's count, as the learner does by itself, it takes three times as long.
    low = max(_RAREST, frequent[vocab_size - 1] if vocab_size <= len(frequent) else 0)
    high = max(low, frequent[min(vocab_size // 8, len(frequent) - 1)])
    for upper in (high, frequent[0]):
        tokens = learner.learn(
            counts, vocab_size, _RESERVED,
            lower_thresh=low, upper_thresh=upper, max_input_tokens=_MAX_WORDS,
        )  # fmt: skip
        if len(tokens) <= vocab_size:
            break
    return tokens
