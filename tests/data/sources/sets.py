"""The same rows as a data set of each kind."""

import csv
import importlib.util
import json
import os

import numpy as np
import pytest

from tests import tiny

NAMES = ["negative", "positive"]
COUNTS = {"train": 40, "validation": 20, "test": 10}
PACKAGES = {
    "csv": None, "json": None, "parquet": "pyarrow", "hf": "datasets",
    "tfds": "tensorflow_datasets",
}  # fmt: skip
KINDS = [
    pytest.param(
        kind,
        marks=pytest.mark.skipif(
            package is not None and importlib.util.find_spec(package) is None,
            reason=f"{package} is not installed",
        ),
    )
    for kind, package in PACKAGES.items()
]


def rows_of(seed=0, count=40, labelled=True):
    """{column: values} of one split: text, label (-1 where it is not known), idx."""
    texts, labels = tiny.sentences(count, seed)
    labels = labels if labelled else [-1] * count
    return {"sentence": texts, "label": labels, "idx": list(range(count))}


def splits_of(counts=COUNTS):
    """{split: columns} as tests/tiny's SST-2 has them."""
    return {
        split: rows_of(seed, count, split != "test")
        for seed, (split, count) in enumerate(counts.items())
    }


def write(kind, folder, splits=None, names=NAMES):
    """Writes a data set of one kind below `folder`; returns what --dataset says.

    The test is skipped where the package is not installed that it takes.
    """
    if PACKAGES[kind]:
        pytest.importorskip(PACKAGES[kind])
    splits = splits_of() if splits is None else splits
    return f"{kind}:{globals()[f'_{kind}'](folder / kind, splits, names)}"


def _csv(folder, splits, names):
    folder.mkdir(parents=True)
    for split, columns in splits.items():
        with open(folder / f"{split}.csv", "w", newline="", encoding="utf-8") as f:
            writer = csv.writer(f, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    return folder


def _json(folder, splits, names):
    folder.mkdir(parents=True)
    for split, columns in splits.items():
        rows = zip(*columns.values(), strict=True)
        lines = [json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def _parquet(folder, splits, names):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    for split, columns in splits.items():
        pq.write_table(pa.table(columns), folder / f"{split}-00000-of-00001.parquet")
    return folder


def _hf(folder, splits, names):
    saved(splits, names).save_to_disk(os.fspath(folder))
    return folder


def saved(splits, names=NAMES):
    """A `datasets.DatasetDict` with the label as classes, as plain values if names is None."""
    import datasets

    found = {}
    for split, columns in splits.items():
        one = datasets.Dataset.from_dict(columns)
        if names:
            features = one.features.copy()
            features["label"] = datasets.ClassLabel(names=names)
            one = one.cast(features)
        found[split] = one
    return datasets.DatasetDict(found)


def _tfds(folder, splits, names):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "sentence": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=names),
            "idx": tf.int32,
        }
    )
    tfds.dataset_builders.store_as_tfds_dataset(
        "tiny_sst",
        version="1.0.0",
        features=features,
        split_datasets={
            split: tf.data.Dataset.from_tensor_slices(
                {name: np.array(values) for name, values in columns.items()}
            )
            for split, columns in splits.items()
        },
        data_dir=os.fspath(folder),
        disable_shuffling=True,
    )
    return folder
