"""The lines of an artefact's README run the model, whatever it is and comes with."""

import dataclasses
import importlib.util
import types

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.export import readme, source
from bert_tf.export.check import Check
from bert_tf.export.computation import model_runner
from bert_tf.export.options import ExportOptions
from bert_tf.export.program import export
from tests import tiny
from tests.export import models

RUNTIMES = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "litert": "ai_edge_litert",
    "savedmodel": "tensorflow_text",
}
LENGTH = 16
PAIRS = {"task_name": "custom", "text_pair_column": "other"}
MODELS = {  # (kind, task)
    "classification": ("classification", {"labels": ["no", "yes", "maybe"]}),
    "pairs": ("classification", {"labels": ["no", "yes", "maybe"], **PAIRS}),
    "regression": ("regression", {"labels": None}),
    "pairs' regression": ("regression", {"labels": None, **PAIRS}),
    "masked_lm": ("masked_lm", None),
    "encoder": ("encoder", None),
}


def save(folder, kind, task=None, vocabulary=True):
    """Writes a random model folder of this kind; returns it as it is read back."""
    one = models.make("hugging_face", kind)
    unused = one.config.vocab_size - len(tiny.TOKENS)
    tokens = [*(f"[unused{i}]" for i in range(unused)), *tiny.TOKENS]
    folder.mkdir()
    vocab = folder.parent / "vocab.txt"
    vocab.write_text("\n".join(tokens) + "\n", "utf-8")
    task = task and {"task_name": "custom", **task, "max_seq_length": LENGTH}
    save_model_folder(folder, one.config, one.arrays, vocab if vocabulary else None, task)
    return load_model(folder)


def write(folder, format=None, **flags):
    """Exports a model folder, for all runtimes that are here; returns {format: folder}."""
    here = [name for name, package in RUNTIMES.items() if importlib.util.find_spec(package)]
    flags |= {"format": format or ",".join(here), "model_dir": str(folder)}
    flags["output_dir"] = str(folder.with_name("exported"))
    with tiny.eagerly():
        found = export(ExportOptions(given=frozenset(flags), **flags))
    return {x.format: x.folder for x in found}


def page_of(folder):
    return (folder / "README.md").read_text("utf-8")


def run(folder, monkeypatch):
    """Runs the lines of a README in its folder; returns the one value that they print."""
    monkeypatch.chdir(folder)
    lines = page_of(folder).split("```python\n")[1].split("```")[0]
    shown = []
    exec(lines.replace("path/of/this/folder", "."), {"print": shown.append})
    [found] = shown
    return found


def wanted(model, texts, others):
    """What the model makes of the texts of the READMEs, by its main output."""
    exported = source.of(model)
    length = exported.max_seq_length
    inputs = tokenizer_of(model).encode(texts, others if exported.pairs else None, length)
    ids = zip(source.INPUTS, (x.numpy().astype(np.int64) for x in inputs.values()), strict=True)
    inputs = dict(ids)
    return model_runner(exported)(inputs)[exported.main_output], inputs["attention_mask"]


def array_of(found, kind):
    """What is printed as an array: the main output, probabilities or vectors."""
    if isinstance(found, list) and kind == "regression":
        return np.array([[x.score] for x in found])
    if isinstance(found, list):
        return np.array([list(x.probabilities.values()) for x in found])
    if isinstance(found, dict):
        return found["sequence_output" if kind == "encoder" else "logits"].numpy()
    return np.asarray(found)


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("what", MODELS)
def test_texts_and_pairs_of_every_kind(tmp_path, monkeypatch, what):
    kind, task = MODELS[what]
    model = save(tmp_path / "model", kind, task)
    for name, folder in write(tmp_path / "model").items():
        found = run(folder, monkeypatch)
        several = name == "savedmodel" or (name == "onnx" and kind != "masked_lm")
        count = 2 if several else 1
        texts, others = ["a text", "another one"][:count], ["its pair", "and its own"][:count]
        expected, mask = wanted(model, texts, others)
        if name == "onnx" and kind == "classification":
            expected = softmax(expected)
        if name == "onnx" and kind == "encoder":
            expected = (expected * mask[..., None]).sum(1) / mask.sum(1)[:, None]
        np.testing.assert_allclose(array_of(found, kind), expected, atol=1e-4)


@pytest.mark.parametrize("kind", models.HEADS)
def test_ids_where_there_is_no_vocabulary(tmp_path, monkeypatch, kind):
    model = save(tmp_path / "model", *MODELS[kind], vocabulary=False)
    values = (np.array([x]) for x in ([2, 7, 3], [1, 1, 1], [0, 0, 0]))
    one = dict(zip(source.INPUTS, values, strict=True))
    exported = source.of(model)
    expected = model_runner(exported)(one)[exported.main_output]
    for folder in write(tmp_path / "model").values():
        page = page_of(folder)
        assert "tokenizer" not in page and "Classifier" not in page
        assert "without a vocabulary: inputs are ids" in page
        found = array_of(run(folder, monkeypatch), kind)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("vocabulary", [True, False])
def test_fixed_lengths(tmp_path, monkeypatch, vocabulary):
    pytest.importorskip("ai_edge_litert")
    save(tmp_path / "model", *MODELS["pairs"], vocabulary=vocabulary)
    folder = write(tmp_path / "model", format="litert", lengths="8,12")["litert"]
    assert "12 tokens at most" in page_of(folder)
    assert run(folder, monkeypatch).shape == (1, 3)


@pytest.mark.parametrize("vocabulary", [True, False])
@pytest.mark.parametrize("what", MODELS)
def test_hugging_face(tmp_path, monkeypatch, what, vocabulary):
    kind, task = MODELS[what]
    save(tmp_path / "model", kind, task, vocabulary)
    folder = write(tmp_path / "model", format="huggingface")["huggingface"]
    page = page_of(folder)
    model = {"masked_lm": "AutoModelForMaskedLM", "encoder": "AutoModel"}.get(
        kind, "AutoModelForSequenceClassification"
    )
    output = "last_hidden_state" if kind == "encoder" else "logits"
    assert f"= {model}.from_pretrained" in page and f").{output})" in page
    assert ("text_pair=" in page) == (vocabulary and "pairs" in what)
    assert ("tokenizer" in page) == vocabulary
    compile(page.split("```python\n")[1].split("```")[0], "README.md", "exec")
    if importlib.util.find_spec("transformers") and importlib.util.find_spec("torch"):
        assert np.isfinite(run(folder, monkeypatch).detach().numpy()).all()


def text_of(name="onnx", labels=("no", "yes", "maybe"), **changes):
    one = dataclasses.replace(models.make(), labels=list(labels), **changes)
    options = types.SimpleNamespace(precision="float32", fixed_lengths=())
    return readme.text(one, options, name, Check(1, True, 0.0, 0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("fine", "`fine`"),
        ("a`b", "``a`b``"),
        ("```", "```` ``` ````"),
        ("two\n\n```python\nlines", "````two ```python lines````"),
        ("", '`""`'),
    ],
)
def test_no_label_breaks_the_page(label, shown):
    page = text_of(labels=["no", label, "yes"])
    assert page.splitlines()[2].startswith(f"Classification, float32, labels `no`, {shown}, `yes`.")
    assert page.replace(shown, "").count("```") == 2


def test_what_stays_of_longer_texts(tmp_path):
    model = models.make().model
    (tmp_path / "vocab.txt").write_text("\n".join(tiny.TOKENS) + "\n")
    model = dataclasses.replace(model, vocab_file=str(tmp_path / "vocab.txt"))

    def page(name, truncation):
        return text_of(name, model=model, truncation=truncation, max_seq_length=24)

    assert "texts, 24 tokens at most, special ones included: of longer ones the end" in page(
        "openvino", "tail"
    )
    assert 'enable_truncation(24, direction="left")' in page("openvino", "tail")
    assert 'truncation_side = "left"' in page("huggingface", "tail")
    assert "the beginning and the end stay." in page("onnx", "head_tail")
    assert "the beginning stays here, in training the beginning and" in page("litert", "head_tail")
