"""The words nearest to another one in a table of embeddings, by the cosine."""

import numpy as np

from bert_tf.errors import UserError, shown

GLOVE_WORDS = 100_000
"""Words of a GloVe file that are read, its most frequent ones."""

_BLOCK = 64  # words looked up at once: their cosines take 25 MB


class Vectors:
    """Words and their embeddings.

    Args:
      words: list of n str, each once.
      table: float32 [n, width].

    Attributes:
      words: as given.
      places: {word: its row}.
      units: float32 [n, width], the embeddings at length 1.
    """

    def __init__(self, words, table):
        self.words = words
        self.places = {word: i for i, word in enumerate(words)}
        self.units = _units(np.asarray(table, np.float32))

    def nearest(self, queries, count):
        """Returns the `count` nearest words (list of str) of each query, the nearest first.

        Args:
          queries: float [q, width].
          count: words of a query; fewer where there are fewer.
        """
        found = []
        for start in range(0, len(queries), _BLOCK):
            cosines = _units(np.asarray(queries[start : start + _BLOCK])) @ self.units.T
            for row in cosines:
                order = _largest(row, min(count, len(row)))
                found.append([self.words[i] for i in order])
        return found


class PieceNeighbours:
    """Neighbours of words of several pieces among the whole words of a vocabulary.

    Args:
      words: bool [vocabulary], the tokens that are such words.
      tokens: list of str, the vocabulary.
      table: float32 [vocabulary or more, width], the word embeddings.
    """

    def __init__(self, words, tokens, table):
        places = np.flatnonzero(words)
        self._vectors = Vectors([tokens[i] for i in places], table[places])
        self._table = table

    def nearest(self, words, pieces, count):
        """Returns the nearest words (tuple of str) of each of the words.

        Args:
          words: list of str.
          pieces: the ids of each word's pieces, whose mean embedding stands for it.
          count: neighbours of a word, at most.
        """
        if not words or not self._vectors.words:
            return [()] * len(words)
        queries = np.stack([self._table[ids].mean(0) for ids in pieces])
        return list(map(tuple, self._vectors.nearest(queries, count)))


class GloveNeighbours:
    """Neighbours of words among those of a GloVe file.

    Args:
      path: text, a word and its numbers per line.
      lower_case: whether all words are lower-cased. If not, a title-cased word that the file lacks
        is looked up in lower case, and its neighbours are title-cased.

    Raises:
      UserError: the file cannot be read, or a line of it is none.
    """

    def __init__(self, path, lower_case):
        self._vectors = read_glove(path, lower_case)
        self._lower_case = lower_case

    def nearest(self, words, pieces, count):
        """As `PieceNeighbours.nearest`; words that the file does not have get none."""
        keys = [self._key(word) for word in words]
        known = sorted({key for key in keys if key is not None})
        queries = self._vectors.units[[self._vectors.places[key] for key in known]]
        near = self._vectors.nearest(queries, count + 1)
        found = {
            key: tuple(x for x in others if x != key)[:count]
            for key, others in zip(known, near, strict=True)
        }
        return [
            self._as_written(word, key, found.get(key, ()))
            for word, key in zip(words, keys, strict=True)
        ]

    def _key(self, word):
        if self._lower_case:
            forms = [word.lower()]
        else:
            forms = [word, word.lower()] if word.istitle() else [word]
        return next((form for form in forms if form in self._vectors.places), None)

    def _as_written(self, word, key, found):
        if self._lower_case or key == word:
            return found
        return tuple(other.capitalize() for other in found)


def read_glove(path, lower_case):
    """Returns the `Vectors` of the words of letters among the first `GLOVE_WORDS` of a file.

    Args:
      path: see `GloveNeighbours`. A first line of two whole numbers, as word2vec writes it, is
        skipped.
      lower_case: lower-case the words; the first of those that are then alike counts.

    Raises:
      UserError: see `GloveNeighbours`.
    """
    found, width, number = {}, None, 0
    try:
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                word, *numbers = line.rstrip().split(" ")
                if number == 1 and len(numbers) == 1 and word.isdecimal():
                    continue
                width = width or len(numbers)
                values = _vector(path, number, numbers[-width:], width)
                word = word.lower() if lower_case else word
                if word.isalpha() and len(numbers) == width and word not in found:
                    found[word] = values
                if number == GLOVE_WORDS:
                    break
    except UnicodeDecodeError as e:
        raise UserError(
            f"--glove_file={path}: line {number + 1} or one soon behind it is not UTF-8 text"
        ) from e
    except OSError as e:
        raise UserError(f"--glove_file={path}: cannot be read: {e.strerror or e}") from e
    if not found:
        raise UserError(f"--glove_file={path}: holds no word with its numbers")
    return Vectors(list(found), np.stack(list(found.values())))


def _vector(path, number, numbers, width):
    """float32 [width] of a line's numbers."""
    try:
        values = np.array(numbers, np.float32)
    except ValueError:
        values = np.array([np.nan])
    if not width or len(values) != width or not np.isfinite(values).all():
        raise UserError(
            f"--glove_file={path}: line {number}: found {shown(' '.join(numbers))}, expected a word"
            f" and {width or 'its'} finite numbers, with spaces between them"
        )
    return values


def _units(vectors):
    """The vectors [n, width] at length 1; those of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def _largest(values, count):
    """The positions of the `count` largest values, the largest first, of equal ones the first."""
    some = np.flatnonzero(values >= np.partition(values, -count)[-count])
    return some[np.argsort(-values[some], kind="stable")][:count]
