"""What there is of a data set: printed, and nothing else is done."""

import subprocess
import sys

import pytest

from bert_tf.data.rows import RowOptions
from bert_tf.errors import UserError
from tests import tiny
from tests.data.sources import sets


def answer(**flags):
    return RowOptions(given=frozenset(flags), **flags).answer()


def test_a_set_is_described(tmp_path):
    text = answer(dataset=sets.write("hf", tmp_path), dataset_info=True)
    for line in (
        "  train       40 rows  train",
        "  validation  20 rows  dev",
        "  sentence  string",
        'labels of label: "negative", "positive"',
        "taken for: text 'sentence' (guessed), label 'label' (guessed), ids 'idx' (guessed);"
        " --text_column, --label_column, --id_column say otherwise",
    ):
        assert line in text.splitlines()
    *_, row = text.splitlines()
    assert row.startswith('  {"sentence": "') and row.endswith('"label": "negative", "idx": "2"}')


def test_what_is_not_decided_is_said(tmp_path):
    rows = sets.rows_of()
    rows["title"] = [None] * len(rows["label"])
    rows["title"][0] = "x"
    spec = sets.write("parquet", tmp_path, {"train": rows})
    text = answer(dataset=spec, dataset_info=True)
    assert "not decided: " in text
    assert "name it with --text_column" in text
    assert '"title"' not in text.rpartition("rows of")[2]  # it has rows without one


def test_lists(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    text = answer(list_configs=True, dataset="tfds:glue")
    assert "cola sst2 mrpc" in text
    sets.write("tfds", tmp_path)
    text = answer(list_datasets=True, dataset="tfds:sst", data_dir=str(tmp_path / "tfds"))
    assert "  tiny_sst" in text.splitlines()
    with pytest.raises(UserError, match="--list_configs: csv:x is files"):
        answer(list_configs=True, dataset="csv:x")
    with pytest.raises(UserError, match="--dataset_info has no effect without --dataset"):
        answer(dataset_info=True)
    assert answer(dataset="csv:x") is None


def test_a_program_prints_it_and_ends(tmp_path):
    spec = sets.write("csv", tmp_path)
    done = subprocess.run(
        [sys.executable, str(tiny.ROOT / "factorize.py"), f"--dataset={spec}", "--dataset_info"],
        env=tiny.environment(), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith(f"{spec}\n\nsplits:\n")
