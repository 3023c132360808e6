"""The lines of Python that run an artefact, for its README."""

from bert_tf.tokenization.vocab import load_vocab

_FOLDER = "path/of/this/folder"
_GIVEN = "[2, 7, 3]"
_HUGGING_FACE = {
    "classification": ("AutoModelForSequenceClassification", "logits"),
    "regression": ("AutoModelForSequenceClassification", "logits"),
    "masked_lm": ("AutoModelForMaskedLM", "logits"),
    "encoder": ("AutoModel", "last_hidden_state"),
}
_SIDES = {"head": "right", "tail": "left", "head_tail": "right"}  # at which a text is cut


def lines(source, name, length=None):
    """Returns the lines (str) that run a text, or a pair for a model of pairs.

    Where the model has no vocabulary they run ids.

    Args:
      source: `ExportSource`.
      name: the format.
      length: the one that inputs are padded to, in tokens; None where they have any.
    """
    formats = {
        "onnx": _onnx,
        "openvino": _openvino,
        "litert": _litert,
        "savedmodel": _savedmodel,
        "huggingface": _huggingface,
    }
    return "\n".join(formats[name](source, length))


def _has_vocabulary(source):
    return source.model.vocab_file is not None


def _onnx(source, length):
    if source.kind == "masked_lm" or not _has_vocabulary(source):
        return [
            *_imports(source, "onnxruntime"),
            *_tokens(source, length),
            'model = onnxruntime.InferenceSession("model.onnx")',
            f'print(model.run(["{source.main_output}"], {_arrays("int64")})[0])',
        ]
    name, call = ("encoder", ".embed") if source.kind == "encoder" else ("classify", "")
    texts = '"a text", "another one"'
    if source.pairs:
        texts = '("a text", "its pair"), ("another one", "and its own")'
    return [
        "from bert_tf.serving import Classifier  # needs numpy, onnxruntime and tokenizers only",
        "",
        f'{name} = Classifier("{_FOLDER}")',
        f"print({name}{call}([{texts}]))",
    ]


def _openvino(source, length):
    return [
        *_imports(source, "openvino"),
        *_tokens(source, length),
        'settings = {"INFERENCE_PRECISION_HINT": "f32"}  # else bfloat16 where it can',
        'model = openvino.Core().compile_model("model.xml", "CPU", settings)',
        f'print(model({_arrays("int64")})["{source.main_output}"])',
    ]


def _litert(source, length):
    signature = f'"length_{length}"' if length else ""
    return [
        "import numpy" + ", tokenizers" * _has_vocabulary(source),
        "from ai_edge_litert.interpreter import Interpreter",
        "",
        *_tokens(source, length),
        f'model = Interpreter("model.tflite").get_signature_runner({signature})',
        f'print(model(**{_arrays("int32")})["{source.main_output}"])',
    ]


def _savedmodel(source, _):
    if not _has_vocabulary(source):
        return [
            "import tensorflow as tf",
            "",
            f'model = tf.saved_model.load("{_FOLDER}").signatures["serving_default"]',
            f"ids = tf.constant([{_GIVEN}])  # of your tokens, special ones included",
            "mask, types = tf.ones_like(ids), tf.zeros_like(ids)",
            "print(model(input_ids=ids, attention_mask=mask, token_type_ids=types))",
        ]
    pairs = ', text_pair=tf.constant(["its pair", "and its own"])' if source.pairs else ""
    return [
        "import tensorflow as tf",
        "import tensorflow_text  # the tokenizer's operators",
        "",
        f'model = tf.saved_model.load("{_FOLDER}/text").signatures["text"]',
        f'print(model(text=tf.constant(["a text", "another one"]){pairs}))',
    ]


def _huggingface(source, _):
    model, output = _HUGGING_FACE[source.kind]
    if not _has_vocabulary(source):
        return [
            "import torch",
            f"from transformers import {model}",
            "",
            f'model = {model}.from_pretrained("{_FOLDER}")',
            f"ids = torch.tensor([{_GIVEN}])  # of your tokens, special ones included",
            f"print(model(ids).{output})",
        ]
    pair = ', text_pair="its pair"' if source.pairs else ""
    return [
        f"from transformers import {model}, AutoTokenizer",
        "",
        f'tokenizer = AutoTokenizer.from_pretrained("{_FOLDER}")',
        f'tokenizer.truncation_side = "{_SIDES[source.truncation]}"',
        f'text = tokenizer("a text"{pair}, truncation=True, max_length={source.max_seq_length},'
        ' return_tensors="pt")',
        f'model = {model}.from_pretrained("{_FOLDER}")',
        f"print(model(**text).{output})",
    ]


def _imports(source, runtime):
    return [f"import numpy, {runtime}" + ", tokenizers" * _has_vocabulary(source), ""]


def _tokens(source, length):
    """Lines that make `values`, {input: list of int}."""
    if not _has_vocabulary(source):
        return _ids(length)
    side = f', direction="{_SIDES[source.truncation]}"' if source.truncation == "tail" else ""
    lines = [
        'tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")',
        f"tokenizer.enable_truncation({source.max_seq_length}{side})",
    ]
    if length:
        pad_id = load_vocab(source.model.vocab_file).pad_id
        lines.append(f"tokenizer.enable_padding(pad_id={pad_id}, length={length})")
    pair = ', "its pair"' if source.pairs else ""
    return [
        *lines,
        f'text = tokenizer.encode("a text"{pair})',
        'values = {"input_ids": text.ids, "attention_mask": text.attention_mask}',
        'values["token_type_ids"] = text.type_ids',
    ]


def _ids(length):
    """`_tokens` of a model without a vocabulary."""
    lines = [
        f"ids = {_GIVEN}  # of your tokens, special ones included",
        "mask, types = [1] * len(ids), [0] * len(ids)",
    ]
    if length:
        lines.append(
            f"ids, mask, types = (x + [0] * ({length} - len(x)) for x in (ids, mask, types))"
        )
    return [*lines, 'values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}']


def _arrays(dtype):
    return f"{{name: numpy.array([x], numpy.{dtype}) for name, x in values.items()}}"
