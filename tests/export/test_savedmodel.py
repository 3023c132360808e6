"""A SavedModel computes what the model does, from ids and from texts, and needs no code of ours."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.data.features import FeatureStore
from bert_tf.errors import UserError
from bert_tf.export import savedmodel, source
from bert_tf.export.computation import model_runner
from bert_tf.export.source import INPUTS, random_inputs
from tests import tiny
from tests.export import models

TOKENS = [*tiny.TOKENS, "电", "影", "🙂", "##🙂"]
TEXTS = [
    "",
    "a very good film, so nice",
    "dull " * 2000,
    "good 🙂🙂 film 🙂",
    "电影 was 很 awful",
    "ba\0d sto\0ry",
    " \t\n",
    "Weakly poor PLOTS",
]


def exported(tmp_path, labels=("bad", "good"), **options):
    """Writes a fine-tuned model as a SavedModel; returns its `ExportSource`."""
    folder = tiny.make_classifier(tmp_path / "model", labels, tokens=TOKENS, **options)
    one = source.of(load_model(folder))
    savedmodel.write(one, tmp_path / "saved", None)
    return one


def signature(folder, name):
    loaded = tf.saved_model.load(str(folder))
    found = loaded.signatures[name]
    found.keeps = loaded  # which its variables live in
    return found


def logits_of(one, texts, pairs=None):
    """What run_classifier.py computes of texts."""
    ids, offsets, first = tokenizer_of(one.model).encode_flat(
        texts, pairs, one.max_seq_length, one.truncation
    )
    inputs, _ = FeatureStore(ids, offsets, first, None, "").batch(range(len(texts)))
    return model_runner(one)(dict(zip(INPUTS, inputs.values(), strict=True)))["logits"]


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def assert_same(one, run):
    model = model_runner(one)
    for shape in ((1, 1), (3, 11), (2, 40)):
        inputs = random_inputs(one.config, shape)
        wanted, found = model(inputs), run(inputs)
        assert set(found) == set(one.outputs)
        for name, value in wanted.items():
            assert found[name].dtype == np.float32
            np.testing.assert_allclose(found[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("switches", models.SWITCHES)
def test_every_switch_of_the_configuration(tmp_path, switches):
    one = models.make(switches)
    savedmodel.write(one, tmp_path, None)
    assert_same(one, savedmodel.runner(tmp_path, threads=1))
    assert not (tmp_path / "text").exists()  # there is no vocabulary


@pytest.mark.parametrize("head", models.HEADS)
def test_every_head_on_factor_pairs(tmp_path, head):
    one = models.make("hugging_face", head, ranks=(3, 0, 1, 5, 4, 2))
    savedmodel.write(one, tmp_path, None)
    assert_same(one, savedmodel.runner(tmp_path))


_CLIENT = """
import json, sys

for name in ("bert_tf", "tf_keras", "tests"):
    sys.modules[name] = None  # an import of it is an error
import tensorflow as tf

folder, texts = sys.argv[1], json.load(sys.stdin)
assert "tensorflow_text" not in sys.modules
model = tf.saved_model.load(folder)
ids = tf.constant([[2, 5, 3], [2, 10, 3]])
outputs = model.signatures["serving_default"](
    input_ids=ids, attention_mask=tf.ones_like(ids), token_type_ids=tf.zeros_like(ids)
)
import tensorflow_text

text = tf.saved_model.load(folder + "/text").signatures["text"](tf.constant(texts))
print(json.dumps({
    "ids": outputs["probabilities"].numpy().tolist(),
    "text": text["probabilities"].numpy().tolist(),
    "label": [x.decode() for x in text["label"].numpy()],
    "labels": [[x.decode() for x in row] for row in text["labels"].numpy()],
}))
"""


def test_a_moved_folder_answers_texts_without_our_code(tmp_path):
    one = exported(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "saved").rename(tmp_path / "elsewhere" / "1")
    ours = ("PYTHONPATH", "TF_USE_LEGACY_KERAS")
    environment = {k: x for k, x in tiny.environment().items() if k not in ours}
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, str(moved)],
        input=json.dumps(TEXTS), capture_output=True, text=True, cwd=tmp_path,
        env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3"}, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    wanted = softmax(logits_of(one, TEXTS))
    np.testing.assert_allclose(found["text"], wanted, atol=1e-5)
    assert found["labels"] == [["bad", "good"]] * len(TEXTS)
    assert found["label"] == [("bad", "good")[i] for i in wanted.argmax(1)]
    ids = np.array([[2, 5, 3], [2, 10, 3]])
    values = dict(zip(INPUTS, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))
    np.testing.assert_allclose(
        found["ids"], softmax(model_runner(one)(values)["logits"]), atol=1e-5
    )


@pytest.mark.parametrize("truncation", ["tail", "head_tail"])
def test_long_texts_are_cut_as_in_training(tmp_path, truncation):
    task = {"task_name": "custom", "text_column": "a", "label_column": "b"}
    one = exported(tmp_path, task={**task, "truncation": truncation})
    texts = ["the film was a very " * 9 + "bad plot", "good"]
    found = signature(tmp_path / "saved" / "text", "text")(tf.constant(texts))
    np.testing.assert_allclose(found["logits"], logits_of(one, texts), atol=1e-5)


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        (
            {"task_name": "custom", "text_column": "a", "text_pair_column": "b"},
            ("bad", "good"),
        ),
        ({"task_name": "mnli"}, ("contradiction", "entailment", "neutral")),
    ],
    ids=["custom", "mnli"],
)
def test_the_second_text_of_a_pair_is_empty_unless_given(tmp_path, task, labels):
    one = exported(tmp_path, labels, task=task)
    texts, pairs = ["a good film", "it is poor", ""], ["was it ?", "", "the actor"]
    serve = signature(tmp_path / "saved" / "text", "text")
    found = serve(text=tf.constant(texts), text_pair=tf.constant(pairs))
    np.testing.assert_allclose(found["logits"], logits_of(one, texts, pairs), atol=1e-5)
    wanted = logits_of(one, texts, [""] * 3)
    found = serve(text=tf.constant(texts), text_pair=tf.constant([""]))
    np.testing.assert_allclose(found["logits"], wanted, atol=1e-5)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:  # as servers do
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path / "saved" / "text"))
        served = loaded.signature_def["text"]
        feed = {served.inputs["text"].name: texts}
        found = session.run(served.outputs["logits"].name, feed)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_signatures_of_a_classifier(tmp_path):
    exported(tmp_path, labels=("a", "b", "c"))
    serve = signature(tmp_path / "saved", "serving_default")
    ids = tf.TensorSpec([None, None], tf.int32)
    _, arguments = serve.structured_input_signature
    assert set(arguments) == set(INPUTS)
    assert all(x.shape.rank == 2 and x.is_compatible_with(ids) for x in arguments.values())
    text = signature(tmp_path / "saved" / "text", "text")
    _, arguments = text.structured_input_signature
    assert {name: x.dtype for name, x in arguments.items()} == {"text": tf.string}
    for one in (serve, text):
        kinds = {name: (x.dtype, x.shape.rank) for name, x in one.structured_outputs.items()}
        assert kinds == {
            "logits": (tf.float32, 2),
            "probabilities": (tf.float32, 2),
            "label": (tf.string, 1),
            "labels": (tf.string, 2),
        }
    assert text(tf.constant([], tf.string))["probabilities"].shape == (0, 3)


def test_a_regression_gives_a_score(tmp_path):
    one = exported(tmp_path, labels=None)
    found = signature(tmp_path / "saved" / "text", "text")(tf.constant(TEXTS))
    assert set(found) == {"logits", "score"}
    np.testing.assert_allclose(found["score"], logits_of(one, TEXTS)[:, 0], atol=1e-5)


def test_an_encoder_says_which_tokens_its_outputs_are_of(tmp_path):
    one = source.of(load_model(tiny.make_model(tmp_path / "model")))
    savedmodel.write(one, tmp_path / "saved", None)
    found = signature(tmp_path / "saved" / "text", "text")(tf.constant(["good film", "bad"]))
    assert found["attention_mask"].numpy().tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert set(found) == {*one.outputs, *INPUTS}
    ids = {name: found[name].numpy() for name in INPUTS}
    wanted = model_runner(one)(ids)
    np.testing.assert_allclose(found["sequence_output"], wanted["sequence_output"], atol=1e-5)


def test_ids_that_the_model_has_no_positions_for_are_refused(tmp_path):
    savedmodel.write(models.make(), tmp_path, None)
    ids = dict.fromkeys(INPUTS, tf.ones([1, 41], tf.int32))
    with pytest.raises(tf.errors.InvalidArgumentError, match="longer than the model"):
        signature(tmp_path, "serving_default")(**ids)


def test_weights_are_on_the_disk_once_and_moved_with_either(tmp_path):
    one = exported(tmp_path)
    name = "variables/variables.data-00000-of-00001"
    saved = tmp_path / "saved"
    assert (saved / name).samefile(saved / "text" / name)
    alone = shutil.copytree(saved / "text", tmp_path / "alone")
    shutil.rmtree(saved)
    found = signature(alone, "text")(tf.constant(TEXTS))
    np.testing.assert_allclose(found["logits"], logits_of(one, TEXTS), atol=1e-5)


def test_a_disk_without_links_has_the_weights_twice(tmp_path, monkeypatch):
    def refuse(*names):
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    one = exported(tmp_path)
    assert set(os.listdir(tmp_path / "saved" / "text")) == set(os.listdir(tmp_path / "saved")) - {
        "text"
    }
    found = signature(tmp_path / "saved" / "text", "text")(tf.constant(TEXTS))
    np.testing.assert_allclose(found["logits"], logits_of(one, TEXTS), atol=1e-5)


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "x.pb.tmp1; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(UserError, match=f"^{tmp_path}: cannot write: No space left on device$"):
        savedmodel.write(models.make(), tmp_path, None)


def test_texts_that_it_would_cut_in_another_way_are_refused(tmp_path):
    one = exported(tmp_path)
    model = model_runner(one)
    savedmodel.check_texts(one, tmp_path / "saved", model, TEXTS)
    tiny.make_classifier(tmp_path / "cased", ["bad", "good"], tokens=TOKENS, do_lower_case=False)
    other = source.of(load_model(tmp_path / "cased"))
    with pytest.raises(UserError, match="says something else of texts than the model does"):
        savedmodel.check_texts(other, tmp_path / "saved", model, TEXTS)
