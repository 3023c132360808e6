"""run_tagger.py on tiny models: it learns, predicts each word, resumes, and takes the levers."""

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from bert_tf.pruning.factorization import factorize
from tests import tiny
from tests.killer import Killed, KilledBefore
from tests.tiny import tags

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


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    return {
        "model_dir": tiny.make_model(folder / "model", num_hidden_layers=2),
        "data_dir": tags.make_conll(folder / "conll"),
    }


@pytest.fixture(scope="module")
def tagger(inputs, tmp_path_factory):
    """Output folder of a tagger that has learnt."""
    folder = tmp_path_factory.mktemp("tagger")
    flags = {**FLAGS, "num_train_epochs": 12.0, "learning_rate": 2e-2, "do_predict": True}
    tags.tag(**{**flags, **inputs, **tiny.WITHOUT_DROPOUT, "output_dir": folder})
    return folder


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


def test_killed_and_resumed_it_ends_the_same(inputs, tmp_path):
    flags = {**FLAGS, **inputs, "keep_best": True}
    with tiny.eagerly():
        tags.tag(**flags, output_dir=tmp_path / "unbroken")
        with pytest.raises(Killed):
            tags.tag([KilledBefore(7)], **flags, output_dir=tmp_path / "resumed")
        tags.tag(**flags, output_dir=tmp_path / "resumed")
        tiny.assert_same_run(tmp_path / "resumed", tmp_path / "unbroken")
        whole = {**flags, **tiny.WITHOUT_DROPOUT}
        tags.tag(**whole, output_dir=tmp_path / "whole")
        tags.tag(**whole, gradient_accumulation_steps=2, output_dir=tmp_path / "parts")
        tiny.assert_same_run(tmp_path / "parts", tmp_path / "whole", atol=1e-5, rtol=1e-3)


def test_two_replicas_end_as_one(inputs, tmp_path):
    flags = {**FLAGS, **inputs, **tiny.WITHOUT_DROPOUT}
    job = {
        "options": {**flags, "output_dir": tmp_path / "two"}, "tags": True, "devices": 2,
        "weights": tmp_path / "two.npz",
    }  # fmt: skip
    tiny.run_jobs([job], tmp_path / "jobs.json")
    tags.tag(**flags, output_dir=tmp_path / "one")
    tiny.assert_same_run(tmp_path / "two", tmp_path / "one", atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(
    "flags",
    [
        {"freeze_layers": 1, "activation_cache": "memory"},
        {"freeze_policy": "autofreeze", "num_intervals": 4, "activation_cache": "memory"},
        {"budget": "8steps", "num_train_epochs": None},
        {"teacher_model_dir": "tagger"},
        {"model_dir": "tagger", "training_phase": "dynabertw", "width_mult_list": "0.5,1.0"},
        {"model_dir": "factorized", "target_sparsity": 0.5},
        {"precision": "bfloat16"},
        {"pad_to_max_length": True, "train_token_budget": 128, "train_batch_size": None},
    ],
    ids=lambda flags: next(iter(flags)),
)
def test_it_takes_the_levers(flags, inputs, tagger, tmp_path):
    source = load_model(inputs["model_dir"])
    config, arrays, _ = factorize(source.config, source.arrays)
    save_model_folder(tmp_path / "factorized", config, arrays, source.vocab_file)
    folders = {"tagger": tagger, "factorized": tmp_path / "factorized"}
    flags = {**FLAGS, **inputs, **{k: folders.get(v, v) for k, v in flags.items()}}
    flags = {name: value for name, value in flags.items() if value is not None}
    with tiny.eagerly(), tiny.without_pictures():
        results = tags.tag(**flags, output_dir=tmp_path / "out")
    assert results["global_step"] >= 8
    assert "bert/pooler/dense/kernel" not in tiny.arrays_of(tmp_path / "out")
    scalars, _ = tiny.read_events(tmp_path / "out")
    assert ("distillation_loss" in scalars) == ("tagger" in str(flags))


def test_a_tagger_is_no_classifier_and_the_other_way(inputs, tagger, tmp_path, caplog):
    sst2 = tiny.make_sst2(tmp_path / "sst2")
    with pytest.raises(UserError, match="fine-tuned for token_classification, not for sentences"):
        tiny.run(do_eval=True, data_dir=sst2, model_dir=tagger, output_dir=tmp_path / "a")
    with pytest.raises(
        UserError,
        match=r"5 outputs of words .* the data are of task sst-2, sentences with one label",
    ):
        tiny.run(
            do_eval=True, task_name="sst-2", data_dir=sst2, model_dir=tagger,
            output_dir=tmp_path / "b",
        )  # fmt: skip
    classifier = tiny.make_classifier(tmp_path / "classifier", ["0", "1"], {"task_name": "sst-2"})
    with pytest.raises(UserError, match="nothing names the labels of its words"):
        tags.tag(do_predict=True, data_dir=inputs["data_dir"], model_dir=classifier,
                 output_dir=tmp_path / "c")  # fmt: skip
    flags = {**FLAGS, **inputs, "model_dir": classifier, "max_train_examples": 8}
    with tiny.eagerly():
        tags.tag(**{**flags, "output_dir": tmp_path / "d"})
    assert (
        "the data are of task tagging, words with one label each: a new one is trained"
        in caplog.text
    )
