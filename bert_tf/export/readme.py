"""The README of an artefact: what it is, what its check found, and the lines that run it."""

import pathlib

from bert_tf import __version__
from bert_tf.tokenization.vocab import load_vocab

_ONNX = """
from bert_tf.serving import Classifier  # needs numpy, onnxruntime and tokenizers only

classify = Classifier("path/of/this/folder")
print(classify(["a text", "another one"]))
"""
_SAVEDMODEL = """
import tensorflow as tf
import tensorflow_text  # the tokenizer's operators

model = tf.saved_model.load("path/of/this/folder/text")
print(model.signatures["text"](tf.constant(["a text", "another one"])))
"""
_TOKENS = """tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation(LENGTH)
text = tokenizer.encode("a text")
values = {"input_ids": text.ids, "attention_mask": text.attention_mask}
values["token_type_ids"] = text.type_ids"""
_OPENVINO = f"""
import numpy, openvino, tokenizers

{_TOKENS}
SETTINGS = {{"INFERENCE_PRECISION_HINT": "f32"}}  # else bfloat16, where the processor has it
model = openvino.Core().compile_model("model.xml", "CPU", SETTINGS)
print(model({{name: numpy.array([x], numpy.int64) for name, x in values.items()}})["OUTPUT"])
"""
_LITERT = f"""
import numpy, tokenizers
from ai_edge_litert.interpreter import Interpreter

{_TOKENS}
model = Interpreter("model.tflite").get_signature_runner()
print(model(**{{name: numpy.array([x], numpy.int32) for name, x in values.items()}})["OUTPUT"])
"""
_HUGGINGFACE = """
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/of/this/folder")
model = AutoModelForSequenceClassification.from_pretrained("path/of/this/folder")
print(model(**tokenizer("a text", return_tensors="pt")).OUTPUT)
"""
_LINES = {
    "onnx": _ONNX,
    "openvino": _OPENVINO,
    "litert": _LITERT,
    "savedmodel": _SAVEDMODEL,
    "huggingface": _HUGGINGFACE,
}


def text(source, options, name, check, calibrated=0):
    """Returns the text of README.md.

    Args:
      source: `ExportSource`.
      options: `ExportOptions`.
      name: the format.
      check: `Check`.
      calibrated: training rows that its activations were calibrated on, 0 if they are not int8.
    """
    what = f"{source.kind.replace('_', ' ').capitalize()}, {options.precision}"
    if calibrated:
        what += f" with activations calibrated on {calibrated} training rows"
    labels = f", labels {', '.join(source.labels)}" if source.labels else ""
    lines = _LINES[name].strip().replace("OUTPUT", source.main_output)
    cut = f"tokenizer.enable_truncation({source.max_seq_length})"
    if options.fixed_lengths:  # a signature for each
        length = options.fixed_lengths[-1]
        lines = lines.replace("signature_runner()", f'signature_runner("length_{length}")')
        cut += f"\ntokenizer.enable_padding(pad_id={_pad_id(source)}, length={length})"
    lines = lines.replace("tokenizer.enable_truncation(LENGTH)", cut)
    return f"""# {pathlib.Path(source.model.path or "model").name} as {name}

{what}{labels}. `export.json` says from which weights; written by bert-tf {__version__}.
Checked on {check.sentence()}.

```python
{lines}
```
"""


def _pad_id(source):
    return load_vocab(source.model.vocab_file).pad_id if source.model.vocab_file else 0
