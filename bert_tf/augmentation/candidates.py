"""What the words of texts may become: predicted for words of one piece, else their neighbours."""

import itertools

import numpy as np

from bert_tf.augmentation.masked import MaskedWords
from bert_tf.augmentation.neighbours import GloveNeighbours, PieceNeighbours
from bert_tf.augmentation.variants import Slot
from bert_tf.augmentation.words import content_words

_TABLE = "bert/embeddings/word_embeddings"


class Candidates:
    """Finds the slots of texts; what it has found of words of several pieces it keeps.

    Args:
      source: `LoadedModel` with its masked-LM head.
      tokenizer: its `BertTokenizer`.
      count: candidates of a word, at most.
      glove_file: GloVe vectors for words of several pieces; None takes the model's embeddings.

    Raises:
      UserError: the model or the file cannot be used.
    """

    def __init__(self, source, tokenizer, count, glove_file=None):
        self._tokenizer = tokenizer
        self._count = count
        words = whole_words(tokenizer.vocab)
        self._masked = MaskedWords(source, tokenizer, words)
        if glove_file:
            self._neighbours = GloveNeighbours(glove_file, tokenizer.do_lower_case)
        else:
            tokens = tokenizer.vocab.tokens
            self._neighbours = PieceNeighbours(words, tokens, source.arrays[_TABLE])
        self._known = {}

    def slots(self, texts):
        """Returns {text: list of `Slot`} of the texts; a word without candidates has none."""
        texts = list(dict.fromkeys(texts))
        spans = [content_words(text) for text in texts]
        sentences = [
            _Sentence(text, found, pieces)
            for text, found, pieces in zip(texts, spans, self._pieces(texts, spans), strict=True)
        ]
        singles = [query for sentence in sentences for query in sentence.singles()]
        predicted = iter(self._masked.predict([query for _, query in singles], self._count))
        self._look_up(sentences)
        found = {}
        for sentence in sentences:
            choices = {span: next(predicted) for span, _ in sentence.singles()}
            choices |= {span: self._known[word] for span, word, _ in sentence.others()}
            found[sentence.text] = [
                Slot(*span, choices[span]) for span in sentence.spans if choices.get(span)
            ]
        return found

    def _pieces(self, texts, spans):
        """Yields a list for each text: the ids of what is between its words, and of the words.

        Words stand at the odd positions.
        """
        parts, counts = [], []
        for text, found in zip(texts, spans, strict=True):
            bounds = [0, *(place for span in found for place in span), len(text)]
            parts += [text[a:b] for a, b in itertools.pairwise(bounds)]
            counts.append(len(bounds) - 1)
        ragged = self._tokenizer.tokenize(parts)
        ids = np.split(ragged.values.numpy(), ragged.row_limits().numpy()[:-1]) if parts else []
        ids = iter(ids)
        for count in counts:
            yield [next(ids) for _ in range(count)]

    def _look_up(self, sentences):
        new = {
            word: ids
            for sentence in sentences
            for _, word, ids in sentence.others()
            if word not in self._known
        }
        near = self._neighbours.nearest(list(new), list(new.values()), self._count)
        self._known.update(zip(new, near, strict=True))


class _Sentence:
    """A text, its words' spans, and the ids of the pieces of what is between them and of them."""

    def __init__(self, text, spans, pieces):
        self.text = text
        self.spans = spans
        self._words = pieces[1::2]
        self._ids = np.concatenate(pieces)
        self._starts = np.cumsum([0, *map(len, pieces)])[1:-1:2]

    def singles(self):
        """[(span, (ids of the sentence, position))] of the words of one piece."""
        return [
            (span, (self._ids, int(start)))
            for span, start, ids in zip(self.spans, self._starts, self._words, strict=True)
            if len(ids) == 1
        ]

    def others(self):
        """[(span, word, ids of its pieces)] of the words of several."""
        return [
            (span, self.text[slice(*span)], ids)
            for span, ids in zip(self.spans, self._words, strict=True)
            if len(ids) > 1
        ]


def whole_words(vocab):
    """Returns bool [tokens]: which tokens are words of letters, not pieces, signs or special."""
    return np.array(
        [token.isalpha() and vocab.ids[token] == i for i, token in enumerate(vocab.tokens)]
    )
