"""Tiny exported models."""

import json
import types

from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.export import artefact, onnx_model, source, tokenizer
from tests import tiny

TOKENS = [*tiny.TOKENS, *"abcdefgh", *(f"##{x}" for x in "abcdefgh"), "深", "度", "?"]
FLAGS = {
    "format": "onnx",
    "precision": "float32",
    "embedding_precision": "float32",
    "keep": (),
    "opset": 20,
}


def export(folder, model_dir, **changes):
    """Writes what serving reads of an export of a model folder, `export.json` with changes."""
    exported = source.of(load_model(model_dir))
    folder.mkdir()
    onnx_model.write(exported, folder, types.SimpleNamespace(**FLAGS))
    tokenizer.write(tokenizer_of(exported.model), folder / "tokenizer.json")
    about = {
        "format": "onnx",
        "kind": exported.kind,
        "labels": exported.labels,
        "pairs": exported.pairs,
        "max_seq_length": exported.max_seq_length,
        "truncation": exported.truncation,
        "files": {x.name: {"sha256": artefact.sha256(x)} for x in folder.iterdir()},
    }
    (folder / "export.json").write_text(json.dumps({**about, **changes}), encoding="utf-8")
    return folder


def change(folder, **values):
    """Changes values of export.json."""
    path = folder / "export.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")
