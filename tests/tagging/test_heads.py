"""A tagger's head in other programs and formats: taken by its labels, or refused in one line."""

import json

import pytest

import factorize
import remove_mask
from bert_tf.checkpoints import head
from bert_tf.checkpoints.convert import convert
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from bert_tf.export import source
from tests import needs, tiny
from tests.tiny import tags

LABELS = ["O", "B-B", "I-B", "B-G", "I-G"]


@pytest.fixture(scope="module")
def conll(tmp_path_factory):
    return tags.make_conll(tmp_path_factory.mktemp("conll"))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tagger"
    task = {"task_name": "tagging", "head": "token_classification", "scheme": "iob2"}
    tiny.make_classifier(folder, LABELS, {**task, "token_column": 0, "label_column": -1})
    model = load_model(folder)
    arrays = {name: x for name, x in model.arrays.items() if "pooler" not in name}
    return save_model_folder(folder, model.config, arrays, model.vocab_file, model.task)


def evaluate(folder, conll, output_dir, **flags):
    with tiny.eagerly():
        flags = {"eval_batch_size": 32, "max_seq_length": 16, **flags}
        flags |= {"model_dir": folder, "data_dir": conll, "output_dir": output_dir}
        return tags.tag(do_eval=True, **flags)["metrics"]["dev"]


def test_huggingface_and_back_by_the_names_of_the_labels(tagger, conll, tmp_path):
    expected = evaluate(tagger, conll, tmp_path / "a")
    convert(load_model(tagger), tmp_path / "theirs", "huggingface")
    path = tmp_path / "theirs" / "config.json"
    config = json.loads(path.read_text())
    assert config["architectures"] == ["BertForTokenClassification"]
    assert config["id2label"]["1"] == "B-B" and "problem_type" not in config
    found = head.describe(load_model(tmp_path / "theirs"))
    assert (found.unit, found.labels, found.fault) == ("words", tuple(LABELS), None)
    assert evaluate(tmp_path / "theirs", conll, tmp_path / "b") == expected
    convert(load_model(tmp_path / "theirs"), tmp_path / "again", "google")
    assert evaluate(tmp_path / "again", conll, tmp_path / "c") == expected
    # To train on it puts its outputs in the order of the task's, whatever that is.
    other = ",".join(LABELS[::-1])
    assert evaluate(tmp_path / "theirs", conll, tmp_path / "d", labels=other) == pytest.approx(
        expected, abs=1e-6
    )
    config.pop("id2label"), config.pop("label2id")
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match="nothing names the labels of its words: name them in"):
        evaluate(tmp_path / "theirs", conll, tmp_path / "e")
    assert evaluate(tmp_path / "theirs", conll, tmp_path / "f", labels=",".join(LABELS)) == expected


def test_labels_of_another_set_are_not_the_heads(tagger, conll, tmp_path):
    with pytest.raises(UserError, match=r"5 outputs of words .* the data are of task tagging"):
        evaluate(tagger, conll, tmp_path, labels="O,B-X,I-X")


@pytest.mark.parametrize("name", ["token_column", "label_column", "doc_stride"])
def test_a_task_json_of_other_values_is_refused(name, tagger, conll, tmp_path):
    model = load_model(tagger)
    task = {**model.task, name: "two"}
    folder = save_model_folder(tmp_path / "m", model.config, model.arrays, model.vocab_file, task)
    with pytest.raises(UserError, match=rf"task\.json: {name} must be a whole number, found 'two'"):
        evaluate(folder, conll, tmp_path / "o")


def test_what_has_no_place_for_it_says_so(tagger, conll, tmp_path):
    model = load_model(tagger)
    with pytest.raises(UserError, match="has a classifier of words: classifiers of sentences are"):
        source.of(model)
    if needs.HAS_TF_MODELS:
        with pytest.raises(UserError, match="has a classifier of words, which the form of tf-mod"):
            convert(model, tmp_path / "official", "tf_models")
    flags = {"model_dir": str(tagger), "output_dir": str(tmp_path / "f")}
    options = factorize.Options(**flags, data_dir=str(conll), given=frozenset({*flags, "data_dir"}))
    with pytest.raises(UserError, match="fine-tuned for token_classification, and statistics"):
        factorize.main(options)
    unknown = {**model.task, "head": "spans"}
    assert head.of_task(unknown, 5, "task.json").fault == "a head of the kind 'spans'"


def test_it_is_factorised_and_cut_like_any_model(tagger, conll, tmp_path, capsys):
    expected = evaluate(tagger, conll, tmp_path / "a")
    options = factorize.Options(model_dir=str(tagger), output_dir=str(tmp_path / "f"))
    factorize.main(options)
    assert load_model(tmp_path / "f").task["head"] == "token_classification"
    assert evaluate(tmp_path / "f", conll, tmp_path / "b") == pytest.approx(expected, abs=1e-4)
    flags = {"model_dir": tmp_path / "f", "data_dir": conll, "output_dir": tmp_path / "masked"}
    with tiny.eagerly(), tiny.without_pictures():
        tags.tag(
            do_train=True, num_train_epochs=1.0, train_batch_size=8, max_seq_length=16,
            target_sparsity=0.5, **flags,
        )  # fmt: skip
    remove_mask.main(
        remove_mask.Options(
            model_dir=str(tmp_path / "masked"), output_folder_dir=str(tmp_path / "small")
        )
    )
    assert 0 <= evaluate(tmp_path / "small", conll, tmp_path / "c")["accuracy"] <= 1
