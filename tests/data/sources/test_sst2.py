"""Real SST-2 as its original files, as Parquet, in TFDS and on disk: the same model comes out."""

import os
import pathlib

import pytest

from bert_tf.data.tasks import get_task
from tests import tiny
from tests.data.sources import sets

ROWS = 200

pytestmark = pytest.mark.slow


def folder_of(name):
    if not os.environ.get(name):
        pytest.skip(f"{name} names no folder")
    return pathlib.Path(os.environ[name])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sst2")


@pytest.fixture(scope="module")
def splits():
    """{split: columns} of SST-2, all its rows."""
    data, task = folder_of("BERT_TF_DATA") / "glue_data" / "SST-2", get_task("sst-2")
    found = {}
    for own, theirs in (("train", "train"), ("dev", "validation"), ("test", "test")):
        examples = task.read(data, own)
        labels = [-1] * len(examples) if examples.labels is None else examples.labels.tolist()
        ids = list(range(len(examples)))
        found[theirs] = {"sentence": examples.text_a, "label": labels, "idx": ids}
    return found


def run(folder, name, **flags):
    return tiny.run(
        do_train=True, do_eval=True, do_predict=True, max_train_examples=ROWS, num_train_epochs=1,
        train_batch_size=32, eval_batch_size=64, predict_batch_size=64, max_seq_length=64, seed=1,
        model_dir=folder_of("BERT_TF_MODEL"), output_dir=folder / name, **flags,
    )  # fmt: skip


@pytest.fixture(scope="module")
def by_task(folder):
    data = folder_of("BERT_TF_DATA") / "glue_data" / "SST-2"
    run(folder, "by_task", task_name="sst-2", data_dir=data)
    return folder / "by_task"


@pytest.mark.parametrize("kind", ["tsv", "parquet", "hf", "tfds"])
def test_the_same_rows_make_the_same_model(folder, splits, by_task, kind):
    if kind == "tsv":
        spec = f"csv:{folder_of('BERT_TF_DATA') / 'glue_data' / 'SST-2'}"
    else:
        spec = sets.write(kind, folder, splits)
    results = run(folder, f"run_{kind}", dataset=spec)
    own = folder / f"run_{kind}"
    for split in ("train", "dev", "test"):
        assert os.listdir(own / "features" / split) == os.listdir(by_task / "features" / split)
    tiny.assert_same_bits(tiny.arrays_of(own), tiny.arrays_of(by_task))
    assert results["metrics"]["dev"] == tiny.results_of(by_task)["metrics"]["dev"]
    names = sets.NAMES if kind in ("hf", "tfds") else ["0", "1"]
    own_rows, rows = (
        [line.split("\t") for line in (f / "test_results_labels.tsv").read_text().splitlines()[1:]]
        for f in (own, by_task)
    )
    assert [names.index(row[1]) for row in own_rows] == [int(row[1]) for row in rows]
