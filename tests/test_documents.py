"""Document tasks and --truncation, from the command line to whoever reads the model later."""

import csv
import json

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.errors import UserError
from bert_tf.pruning import calibration, comparison
from bert_tf.tokenization.tokenizer import BertTokenizer
from tests import tiny

LENGTH = 8
TOPICS = tiny.GOOD[:4]


def make_ag(folder, train=24, test=12):
    """Writes train.csv and test.csv in AG News' layout; returns the folder.

    The title is longer than LENGTH, and so is the description, whose last word tells the class.
    """
    folder.mkdir()
    for seed, (name, count) in enumerate((("train.csv", train), ("test.csv", test))):
        rng = np.random.default_rng(seed)
        with open(folder / name, "w", newline="", encoding="utf-8") as f:
            for i in range(count):
                title, text = (" ".join(rng.choice(tiny.PLAIN, 9)) for _ in range(2))
                row = (i % 4 + 1, title, f'{text}, "very" {TOPICS[i % 4]}')
                csv.writer(f, quoting=csv.QUOTE_ALL).writerow(row)
    return folder


def rows_of(store):
    return np.split(np.asarray(store.ids), store.offsets[1:-1])


@pytest.fixture(scope="module")
def ag(tmp_path_factory):
    return make_ag(tmp_path_factory.mktemp("ag") / "data")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, ag):
    """(folder, output) of a model that the program fine-tuned on the tails of the documents."""
    folder = tmp_path_factory.mktemp("trained")
    done = tiny.run_script(
        do_train=True, do_eval=True, do_predict=True, task_name="ag_news", truncation="tail",
        max_seq_length=LENGTH, train_batch_size=8, num_train_epochs=2.0, learning_rate=1e-2,
        data_dir=ag, model_dir=tiny.make_model(folder / "model"), output_dir=folder / "run",
        write_tfrecord=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run", done.stderr


def predict(model, folder, **flags):
    """The class probabilities of the test documents."""
    with tiny.eagerly():
        tiny.run(do_predict=True, model_dir=model, output_dir=folder, **flags)
    return np.loadtxt(folder / "test_results.tsv")


def test_a_run_on_documents(trained, ag):
    folder, output = trained
    assert output.count(f"{ag / 'test.csv'} is the dev set: there is no dev.csv") == 1
    results = json.loads((folder / "results.json").read_text())
    assert (results["task"], results["train_examples"]) == ("ag", 24)
    assert set(results["metrics"]["dev"]) == {"accuracy", "f1", "loss"}
    with open(folder / "test_results_labels.tsv", encoding="utf-8") as f:
        predictions = [row["prediction"] for row in csv.DictReader(f, delimiter="\t")]
    assert len(predictions) == 12
    assert set(predictions) <= {"1", "2", "3", "4"}
    task = json.loads((folder / "task.json").read_text())
    assert (task["task_name"], task["labels"]) == ("ag", ["1", "2", "3", "4"])
    assert (task["truncation"], task["max_seq_length"]) == ("tail", LENGTH)


def test_the_fine_tuned_model_cuts_as_it_was_trained_unless_told_otherwise(trained, ag, tmp_path):
    folder, _ = trained
    expected = np.loadtxt(folder / "test_results.tsv")
    found = predict(folder, tmp_path / "saved", data_dir=ag)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for cut in ("head", "head_tail"):
        other = predict(folder, tmp_path / cut, data_dir=ag, truncation=cut)
        assert not np.allclose(other, expected, rtol=0, atol=1e-5)


def test_calibration_and_comparison_cut_as_the_model_was_trained(trained, ag, monkeypatch):
    model = load_model(trained[0])
    stores = []
    monkeypatch.setattr(calibration, "collect", lambda _config, _arrays, store, *_: [store])
    stores += calibration.statistics_of_task(model, "whitened", {"data_dir": str(ag)})
    stores.append(comparison.dev_store(model, ag))
    tokenizer = BertTokenizer(model.vocab_file)
    for store, name in zip(stores, ("train.csv", "test.csv"), strict=True):
        with open(ag / name, newline="", encoding="utf-8") as f:
            texts = [f"{title} - {text}" for _, title, text in csv.reader(f)]
        pieces = tokenizer.tokenize(texts).to_list()
        expected = [[2, *row[2 - LENGTH :], 3] for row in pieces]
        assert [row.tolist() for row in rows_of(store)] == expected


def test_another_cut_builds_other_features(trained, ag, tmp_path):
    flags = {"data_dir": ag, "feature_dir": tmp_path / "features"}
    for cut in ("tail", "tail", "head"):
        predict(trained[0], tmp_path / "out", truncation=cut, **flags)
    assert len(list((tmp_path / "features" / "test").iterdir())) == 2


def test_tfrecords_remember_how_they_were_cut(trained, tmp_path):
    """The files cannot say it; the flag of the run that trains on them can."""
    with tiny.eagerly():
        tiny.run(
            do_train=True, task_name="ag", truncation="tail", tfrecord_dir=trained[0],
            max_seq_length=LENGTH, train_batch_size=8, num_train_epochs=1.0,
            model_dir=trained[0].parent / "model", output_dir=tmp_path,
        )  # fmt: skip
    assert json.loads((tmp_path / "task.json").read_text())["truncation"] == "tail"


def test_pairs_are_not_cut_by_the_flag(trained, tmp_path):
    flags = {
        "do_train": True, "task_name": "mnli", "max_seq_length": LENGTH,
        "model_dir": trained[0].parent / "model",
    }  # fmt: skip
    message = "--truncation has no effect on task mnli, whose examples are pairs"
    data = tiny.make_mnli(tmp_path / "mnli")
    for cut in ("head", "tail"):
        with pytest.raises(UserError, match=message):
            tiny.run(**flags, truncation=cut, data_dir=data, output_dir=tmp_path / "run")
    with tiny.eagerly():
        tiny.run(**flags, data_dir=data, output_dir=tmp_path / "run", write_tfrecord=True)
    with pytest.raises(UserError, match=message):
        tiny.run(
            **flags, truncation="tail", tfrecord_dir=tmp_path / "run", output_dir=tmp_path / "two"
        )
