"""Tiny models and data sets, written where a test wants them."""

import itertools
import pathlib

import numpy as np

from bert_tf.checkpoints import names
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.config import BertConfig
from tests.tiny.checks import arrays_of

GOOD = ["good", "great", "fine", "lovely", "nice"]
BAD = ["bad", "awful", "poor", "dull", "weak"]
PLAIN = ["the", "film", "was", "a", "story", "and", "plot", "actor", "very", "so", "it", "is"]
TOKENS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *GOOD,
    *BAD,
    *PLAIN,
    ".",
    ",",
    "##s",
    "##ly",
]
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
}


def make_model(folder, tokens=TOKENS, extra=None, seed=0, **changes):
    """Writes a model folder with random weights and returns it.

    Args:
      folder: where.
      tokens: lines of vocab.txt.
      extra: more keys of bert_config.json.
      seed: of the weights.
      **changes: values of the configuration, `vocab_size` included.
    """
    values = {"vocab_size": len(tokens), **SHAPE, **changes, **(extra or {})}
    config = BertConfig.from_dict(values)
    rng = np.random.default_rng(seed)
    arrays = {
        name: _initial(name, shape, rng) for name, shape in names.encoder_shapes(config).items()
    }
    folder = pathlib.Path(folder)
    save_model_folder(folder, config, arrays)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return folder


def make_classifier(folder, labels, task=None, certain=None, **changes):
    """Writes a fine-tuned model without dropout, whose answers differ from row to row.

    Args:
      folder: where.
      labels: of its outputs, in order; each has the weights that go with its name. None makes a
        regression.
      task: dict of task.json but for the labels; None: a custom task, columns `text` and `label`.
      certain: the label that it gives every row, if there is one.
      **changes: see `make_model`.
    """
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = load_model(make_model(folder, **rates, **changes))
    arrays = arrays_of(folder)
    # Kernels large enough for the rows to differ.
    arrays = {k: 6 * v if k.endswith("kernel") else v for k, v in arrays.items()}
    ordered = sorted(labels or ["score"])
    rows = np.random.default_rng(6).normal(size=(len(ordered), 17)).astype(np.float32)
    rows = rows[[ordered.index(label) for label in labels or ["score"]]]
    if certain:
        rows[:, 16] = [100 * (label == certain) for label in labels]
    arrays |= {"output_weights": rows[:, :16], "output_bias": 0.1 * rows[:, 16]}
    own = {"task_name": "custom", "text_column": "text", "label_column": "label"}
    task = {**(task or own), "labels": labels and list(labels), "max_seq_length": 16}
    return save_model_folder(folder, model.config, arrays, model.vocab_file, task)


def _initial(name, shape, rng):
    if name.endswith(("/bias", "/beta")):
        return np.zeros(shape, np.float32)
    if name.endswith("/gamma"):
        return np.ones(shape, np.float32)
    return rng.normal(scale=0.1, size=shape).astype(np.float32)


def sentences(count, seed=0):
    """Returns ([text], [label]): texts of 3 to 10 words, whose label one of the words decides."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(count):
        words = list(rng.choice(PLAIN, rng.integers(2, 10)))
        label = i % 2
        words.insert(int(rng.integers(len(words) + 1)), rng.choice(GOOD if label else BAD))
        texts.append(" ".join(words))
        labels.append(label)
    return texts, labels


def write_rows(path, rows):
    """Writes tab-separated rows, the header first; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return path


def make_sst2(folder, train=40, dev=20, test=10):
    """Writes train.tsv, dev.tsv and test.tsv in SST-2's layout; returns the folder."""
    folder = pathlib.Path(folder)
    for seed, (split, count) in enumerate((("train", train), ("dev", dev))):
        rows = zip(*sentences(count, seed), strict=True)
        write_rows(folder / f"{split}.tsv", [("sentence", "label"), *rows])
    rows = enumerate(sentences(test, 2)[0])
    write_rows(folder / "test.tsv", [("index", "sentence"), *rows])
    return folder


def make_stsb(folder, count=20):
    """Writes the files of STS-B: pairs whose score is that of their words; returns the folder."""
    folder = pathlib.Path(folder)
    for seed, split in enumerate(("train", "dev", "test")):
        texts, labels = sentences(2 * count, seed)
        first, second = texts[:count], texts[count:]
        scores = [f"{5 - 4 * abs(a - b):.3f}" for a, b in itertools.pairwise(labels)]
        scores[::3] = ["2.5"] * len(scores[::3])
        header, columns = ["index", "sentence1", "sentence2"], [range(count), first, second]
        if split != "test":
            header, columns = [*header, "score"], [*columns, scores[:count]]
        write_rows(folder / f"{split}.tsv", [header, *zip(*columns, strict=True)])
    return folder


def make_mnli(folder, count=18):
    """Writes MNLI's files, two dev and two test sets of different sizes; returns the folder."""
    folder = pathlib.Path(folder)
    kinds = ("contradiction", "entailment", "neutral")
    splits = ("train", "dev_matched", "dev_mismatched", "test_matched", "test_mismatched")
    for seed, split in enumerate(splits):
        size = count + seed
        first, second = sentences(size, seed)[0], sentences(size, seed + 10)[0]
        labels = [kinds[i % 3] for i in range(size)]
        header, columns = ["index", "sentence1", "sentence2"], [range(size), first, second]
        if not split.startswith("test"):
            header, columns = [*header, "gold_label"], [*columns, labels]
        write_rows(folder / f"{split}.tsv", [header, *zip(*columns, strict=True)])
    return folder


def make_rows(folder, documents=120, seq_length=16, validation_fraction=0.1):
    """Writes a data folder of packed rows over `TOKENS`; returns it."""
    from bert_tf.data.pretraining.build import build_corpus
    from bert_tf.tokenization.tokenizer import BertTokenizer
    from bert_tf.tokenization.vocab import load_vocab

    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    texts, _ = sentences(4 * documents, seed=7)
    lines = [" . ".join(texts[i : i + 4]) for i in range(0, len(texts), 4)]
    (folder / "text.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    build_corpus(
        [str(folder / "text.txt")], folder / "rows",
        BertTokenizer(load_vocab(folder / "vocab.txt")),
        input_format="lines", seq_length=seq_length, num_shards=2,
        validation_fraction=validation_fraction,
    )  # fmt: skip
    return folder / "rows"
