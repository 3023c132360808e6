"""Sentences with labelled words, for run_tagger.py."""

import pathlib

import numpy as np

from tests.tiny.files import BAD, GOOD, PLAIN

FLAGS = {
    "do_train": True,
    "do_eval": True,
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 2.0,
    "learning_rate": 1e-3,
    "eval_batch_size": 32,
    "save_checkpoints_steps": 4,
    "log_steps": 1,
}
"""Flags of a short run on `make_conll`."""


def tagged_sentences(count, seed=0):
    """Returns [[(word, label)]]: GOOD words are of type G, BAD ones, two of them, of type B."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        rows = [(str(word), "O") for word in rng.choice(PLAIN, rng.integers(3, 8))]
        place = int(rng.integers(len(rows) + 1))
        entity = [(str(rng.choice(GOOD)), "B-G")]
        if rng.integers(2):
            entity = [(str(rng.choice(BAD)), "B-B"), (str(rng.choice(BAD)), "I-B")]
        found.append(rows[:place] + entity + rows[place:])
    return found


def write_conll(path, sentences, separator=" "):
    """Writes [[(column, ...)]] as CoNLL columns; returns the path."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = ["".join(separator.join(row) + "\n" for row in rows) for rows in sentences]
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def make_conll(folder, train=40, dev=20, test=10):
    """Writes train.txt, dev.txt and test.txt, the last without labels; returns the folder."""
    folder = pathlib.Path(folder)
    write_conll(folder / "train.txt", tagged_sentences(train))
    write_conll(folder / "dev.txt", tagged_sentences(dev, 1))
    test = [[(word,) for word, _ in rows] for rows in tagged_sentences(test, 2)]
    write_conll(folder / "test.txt", test)
    return folder


def tagger_options(**values):
    """`TaggerOptions` as the command line makes them: what is named here counts as given."""
    from bert_tf.tagging.options import TaggerOptions

    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
    return TaggerOptions(given=frozenset(values), **values)


def tag(callbacks=(), **values):
    """Runs run_tagger.py's work in this process; returns the content of results.json."""
    from bert_tf import tagging

    return tagging.run(tagger_options(**values), callbacks)
