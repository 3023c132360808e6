"""Parquet files: damaged, cut off, with row groups larger than memory, with names of classes."""

import json
import os

import numpy as np
import pytest

from bert_tf.data.sources import base
from bert_tf.data.sources.base import CLASSES, Roles
from bert_tf.data.sources.opening import open_source
from bert_tf.errors import UserError
from tests.data.sources import sets

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROLES = Roles("sentence", None, "label")


def written(folder, **columns):
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / "train.parquet")
    return f"parquet:{folder}"


@pytest.mark.parametrize("damage", ["text", "cut", "flipped", "empty", "pointer"])
def test_a_damaged_file_is_one_line(tmp_path, damage):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefgh "), 50)) for _ in range(500)]
    spec = written(tmp_path, sentence=texts, label=[0, 1] * 250)
    path = tmp_path / "train.parquet"
    data = path.read_bytes()
    path.write_bytes(
        {
            "text": b"sentence,label\na,0\n",
            "cut": data[: len(data) // 2],
            "flipped": data[:200] + b"\xff" * 5000 + data[5200:],
            "empty": b"",
            "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        }[damage]
    )
    with pytest.raises(UserError, match=r"train.parquet: (damaged, cut off|is a Git LFS)") as e:
        open_source(spec).read("train", ROLES)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sentence": ["a", None], "label": [0, 1]}, "parquet:2: column 'sentence' is null"),
        ({"sentence": ["a", "b"], "label": [0, None]}, "parquet:2: column 'label' is null"),
        ({"sentence": ["a", "b"]}, "no column 'label': found sentence"),
    ],
)
def test_missing_values(tmp_path, columns, message):
    spec = written(tmp_path, **columns)
    with pytest.raises(UserError, match=message):
        open_source(spec).read("train", ROLES)


def test_a_row_group_is_read_in_pieces(tmp_path, monkeypatch):
    """Of a group of 64 MB as 64 rows, one batch holds a quarter; too much text is refused."""
    text = "x" * (1 << 20)
    sizes = []
    spec = written(tmp_path, sentence=[text] * 64, label=[0, 1] * 32)

    class Counted(base.Collector):
        def table(self, path, batches):
            def counted():
                for batch in batches:
                    sizes.append(len(batch[0]))
                    yield batch

            return super().table(path, counted())

    monkeypatch.setattr("bert_tf.data.sources.file_sets.Collector", Counted)
    path = tmp_path / "train.parquet"
    pq.write_table(pq.read_table(path), path, use_dictionary=False)
    assert pq.ParquetFile(path).num_row_groups == 1
    source = open_source(spec)
    assert len(source.read("train", ROLES, np.arange(3))) == 3
    assert sizes == [15]
    monkeypatch.setattr(base, "MAX_BYTES", 20 << 20)
    with pytest.raises(UserError, match=r"more than 20 MiB of text, .*: take a part, such as"):
        source.read("train", ROLES)


def test_a_column_that_is_there_twice(tmp_path):
    arrays = [pa.array(["a"]), pa.array([1]), pa.array(["b"])]
    table = pa.Table.from_arrays(arrays, names=["sentence", "label", "sentence"])
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r"train.parquet: has column 'sentence' more than once"):
        open_source(f"parquet:{tmp_path}")


def test_files_of_a_split_have_the_same_classes(tmp_path):
    """Else the labels of the second file would be read as those of the first."""
    for i, names in enumerate((["no", "yes"], ["yes", "no"])):
        about = {"info": {"features": {"label": {"_type": "ClassLabel", "names": names}}}}
        table = pa.table({"sentence": ["a", "b"], "label": [0, 1]})
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
        pq.write_table(table, tmp_path / f"train-{i}.parquet")
    source = open_source(f"parquet:{tmp_path}")
    with pytest.raises(UserError, match=r"train-1.*has the classes yes, no, and no, yes in .*-0"):
        source.columns("train")


def test_types_and_names_of_classes(tmp_path):
    pytest.importorskip("datasets")
    sets.saved(sets.splits_of())["train"].to_parquet(os.fspath(tmp_path / "train.parquet"))
    columns = {
        column.name: column for column in open_source(f"parquet:{tmp_path}").columns("train")
    }
    assert (columns["label"].kind, columns["label"].labels) == (CLASSES, tuple(sets.NAMES))
    spec = written(
        tmp_path / "more", sentence=pa.array(["a", "b"]).dictionary_encode(), label=[True, False]
    )
    assert open_source(spec).read("train", ROLES).rows == [["a", "true"], ["b", "false"]]
