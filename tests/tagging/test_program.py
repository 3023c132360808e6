"""run_tagger.py on tiny models: it learns, predicts each word, and is no classifier."""

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.errors import UserError
from tests import tiny
from tests.tiny import tags


def test_it_learns_and_predicts_every_word(tagger, inputs):
    results = tiny.results_of(tagger)
    assert results["metrics"]["dev"]["f1"] > 0.85
    assert results["metrics"]["dev"]["recall_G"] > 0.9
    assert "f1_score = " in (tagger / "eval_results.txt").read_text()
    read = (inputs["data_dir"] / "test.txt").read_text().splitlines()
    written = (tagger / "test_results.conll").read_text().splitlines()
    assert [line.rpartition(" ")[0] for line in written] == read
    wanted = [label for rows in tags.tagged_sentences(10, 2) for _, label in rows]
    found = [line.split(" ")[1] for line in written if line]
    assert np.mean([a == b for a, b in zip(found, wanted, strict=True)]) > 0.85


def test_the_folder_evaluates_alike_and_knows_its_labels(tagger, inputs, tmp_path):
    results = tags.tag(
        do_eval=True, dev_file=inputs["data_dir"] / "dev.txt", model_dir=tagger, output_dir=tmp_path
    )
    expected = tiny.results_of(tagger)["metrics"]
    assert results["metrics"]["dev"] == pytest.approx(expected["dev"], abs=1e-6)
    task = load_model(tagger).task
    assert task["head"] == "token_classification" and task["scheme"] == "iob2"
    assert task["labels"] == ["O", "B-B", "I-B", "B-G", "I-G"]


def test_a_tagger_is_no_classifier_and_the_other_way(inputs, tagger, tmp_path, caplog):
    sst2 = tiny.make_sst2(tmp_path / "sst2")
    with pytest.raises(UserError, match="fine-tuned for token_classification, not for sentences"):
        tiny.run(do_eval=True, data_dir=sst2, model_dir=tagger, output_dir=tmp_path / "a")
    with pytest.raises(
        UserError,
        match=r"5 outputs of words .* with a label for each of its sentences",
    ):
        tiny.run(
            do_eval=True, task_name="sst-2", data_dir=sst2, model_dir=tagger,
            output_dir=tmp_path / "b",
        )  # fmt: skip
    classifier = tiny.make_classifier(tmp_path / "classifier", ["0", "1"], {"task_name": "sst-2"})
    with pytest.raises(UserError, match="nothing names the labels of its words"):
        tags.tag(do_predict=True, data_dir=inputs["data_dir"], model_dir=classifier,
                 output_dir=tmp_path / "c")  # fmt: skip
    flags = {**tags.FLAGS, **inputs, "model_dir": classifier, "max_train_examples": 8}
    with tiny.eagerly():
        tags.tag(**{**flags, "output_dir": tmp_path / "d"})
    assert "with a label for each of its words: a new one is trained" in caplog.text
