"""Makes a small sentiment data set in the layout of GLUE's SST-2, from nothing but this folder.

    python examples/make_sentiment_data.py --output_dir=quickstart/data

writes train.tsv and dev.tsv (sentence, label: 1 = positive) and test.tsv (index, sentence). No word
that carries sentiment in one of the three files is used in another, nor is a word that begins like
it, so a model that knows English does well on dev and one that only knows train.tsv guesses.
"""

import dataclasses
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # run from a bare clone too

from bert_tf import cli
from bert_tf.files import make_output_dir, write_text
from bert_tf.options import SEED, between, check_table, option
from examples.sentiment_grammar import Grammar
from examples.sentiment_lexicon import NEGATIVE, POSITIVE, entries

SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}  # of the lexicon
LEXICON = {1: POSITIVE, 0: NEGATIVE}
FUNCTION_WORDS = frozenset(
    entries(
        """a, about, all, and, at, be, by, came, did, down, even, every, everybody, everyone, for,
        from, had, has, i, in, into, is, it, its, left, made, me, my, no, none, not, of, off, on,
        once, one, our, out, over, than, that, the, they, this, through, to, too, up, us, was, we,
        well, were, with, you"""
    )
)
STEM_LENGTH = 4
MAX_ROWS = 100_000  # per file; the grammar has a few times as many sentences
PREFIXES = ("un", "dis", "mis")
_ROWS = between(2, MAX_ROWS)


@dataclasses.dataclass
class Options:
    """Flags of this script."""

    output_dir: str | None = option(
        None,
        "Folder for train.tsv, dev.tsv and test.tsv.",
        "Data",
        required="the folder to write to",
    )
    seed: int = option(1, "The same seed and sizes give the same files.", "Data", valid=SEED)
    train_rows: int = option(2000, "Sentences in train.tsv.", "Data", valid=_ROWS)
    dev_rows: int = option(600, "Sentences in dev.tsv.", "Data", valid=_ROWS)
    test_rows: int = option(200, "Sentences in test.tsv.", "Data", valid=_ROWS)
    given: frozenset = frozenset()

    GROUPS = ("Data",)


def stems(entry):
    """Returns the set of stems of the words of `entry` (str) that carry meaning.

    A stem is crude on purpose: the first letters without a negating prefix, so that inflected and
    derived forms (enjoy, enjoyed, enjoyable) always share one.
    """
    words = "".join(c if c.isalpha() else " " for c in entry.lower()).split()
    found = set()
    for word in words:
        if word in FUNCTION_WORDS or len(word) == 1:
            continue
        for prefix in PREFIXES:
            if word.startswith(prefix) and len(word) >= len(prefix) + STEM_LENGTH:
                word = word[len(prefix) :]
                break
        found.add(word[:STEM_LENGTH])
    return found


def word_families():
    """Returns the lexicon as lists of (label, kind, entry), entries that share a stem together."""
    families = []  # of (stems, family)
    for label, kinds in LEXICON.items():
        for kind, members in kinds.items():
            for entry in members:
                shared, family = stems(entry), [(label, kind, entry)]
                related = [f for f in families if f[0] & shared]
                families = [f for f in families if not f[0] & shared]
                for other_stems, other_family in related:
                    shared, family = shared | other_stems, other_family + family
                families.append((shared, family))
    return [family for _, family in families]


def split_lexicon(rng):
    """Deals the word families to the splits, each label and kind in the proportions of SHARES.

    Returns:
      {split: {label: {kind: list of entries}}}.
    """
    families = word_families()
    rng.shuffle(families)
    families.sort(key=len, reverse=True)  # the large ones first: the small ones even it out
    words = {s: {b: {k: [] for k in LEXICON[b]} for b in LEXICON} for s in SHARES}

    def room(split, family):
        """How far the split's cells that `family` would fill are from their quotas."""
        return sum(
            SHARES[split] - len(words[split][label][kind]) / len(LEXICON[label][kind])
            for label, kind, _ in family
        )

    for family in families:
        split = max(SHARES, key=lambda s: room(s, family))
        for label, kind, entry in family:
            words[split][label][kind].append(entry)
    return words


def make_rows(train_rows, dev_rows, test_rows, seed):
    """Returns {split: list of (sentence, label)}: labels balanced, no sentence twice anywhere."""
    rng = random.Random(seed)
    words = split_lexicon(rng)
    seen, rows = set(), {}
    for split, count in {"train": train_rows, "dev": dev_rows, "test": test_rows}.items():
        grammar = Grammar(words[split], rng)
        rows[split] = []
        while len(rows[split]) < count:
            label = len(rows[split]) % 2
            sentence = grammar.sentence(label)
            if sentence not in seen:
                seen.add(sentence)
                rows[split].append((sentence, label))
        rng.shuffle(rows[split])
    return rows


def write_rows(rows, output_dir):
    """Writes the splits of `rows` to `output_dir` in SST-2's layout."""
    for split in ("train", "dev"):
        lines = [f"{sentence}\t{label}\n" for sentence, label in rows[split]]
        write_text(output_dir / f"{split}.tsv", "sentence\tlabel\n" + "".join(lines))
    lines = [f"{i}\t{sentence}\n" for i, (sentence, _) in enumerate(rows["test"])]
    write_text(output_dir / "test.tsv", "index\tsentence\n" + "".join(lines))


def main(options):
    """Makes and writes the three files as the `Options` say."""
    check_table(options)
    output_dir = make_output_dir(options.output_dir)
    rows = make_rows(options.train_rows, options.dev_rows, options.test_rows, options.seed)
    write_rows(rows, output_dir)
    for split, split_rows in rows.items():
        print(f"{output_dir / split}.tsv: {len(split_rows)} sentences, as '{split_rows[0][0]}'")


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
