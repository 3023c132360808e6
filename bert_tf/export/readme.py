"""The README of an artefact: what it is, what its check found, and the lines that run it."""

import pathlib
import re

from bert_tf import __version__
from bert_tf.export import example

_STAYS = {
    "head": "the beginning stays",
    "tail": "the end stays",
    "head_tail": "the beginning and the end stay",
}
_CUT_AS_IN_TRAINING = ("onnx", "savedmodel")  # the tokenizers of others have no head_tail


def text(source, options, name, check, calibrated=0):
    """Returns the text of README.md.

    Args:
      source: `ExportSource`.
      options: `ExportOptions`.
      name: the format.
      check: `Check`.
      calibrated: training rows that its activations were calibrated on, 0 if they are not int8.
    """
    length = options.fixed_lengths[-1] if options.fixed_lengths else None
    return f"""# {pathlib.Path(source.model.path or "model").name} as {name}

{_about(source, options, calibrated)}
Checked on {check.sentence()}.

{_inputs(source, name)}

```python
{example.lines(source, name, length)}
```
"""


def _about(source, options, calibrated):
    what = f"{source.kind.replace('_', ' ').capitalize()}, {options.precision}"
    if calibrated:
        what += f" with activations calibrated on {calibrated} training rows"
    if source.labels:
        what += f", labels {', '.join(map(_code, source.labels))}"
    return f"{what}. `export.json` says from which weights; written by bert-tf {__version__}."


def _inputs(source, name):
    most = f"{source.max_seq_length} tokens at most, special ones included"
    if source.model.vocab_file is None:
        return f"The model came without a vocabulary: inputs are ids of tokens, {most}."
    what = "pairs of texts" if source.pairs else "texts"
    stays = _STAYS[source.truncation]
    if source.truncation == "head_tail" and name not in _CUT_AS_IN_TRAINING:
        stays = f"{_STAYS['head']} here, in training {stays}"
    return f"Inputs are {what}, {most}: of longer ones {stays}."


def _code(value):
    """Markdown of a label as it is, but for line ends: between more backticks than it has."""
    value = " ".join(value.split()) or '""'
    fence = "`" * (1 + max(map(len, re.findall("`+", value)), default=0))
    space = " " if value[:1] == "`" or value[-1:] == "`" else ""
    return f"{fence}{space}{value}{space}{fence}"
