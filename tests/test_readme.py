"""The README's snippet on any Keras model runs as it is printed."""

import pathlib
import re

import numpy as np

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"
HEADING = "## Prune any Keras model\n"


def snippet():
    """The first block of code under the heading."""
    section = README.read_text(encoding="utf-8").split(HEADING)[1]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def test_the_snippet_prunes_a_keras_model(capsys):
    code = snippet()
    assert len(code.splitlines()) <= 20
    variables = {}
    exec(compile(code, str(README), "exec"), variables)
    model, small = variables["model"], variables["small"]
    sizes = [sum(int(np.prod(v.shape)) for v in m.trainable_variables) for m in (model, small)]
    assert sizes[1] < 0.25 * sizes[0]
    printed = capsys.readouterr().out.splitlines()
    before, after = map(float, printed[-1].split())
    assert before > 0.85 and after > before - 0.05
