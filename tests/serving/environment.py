"""An environment that has what serving needs, and no TensorFlow."""

import shutil
import subprocess
import sys

from tests import tiny


def without_tensorflow(folder):
    """Makes a virtual environment in `folder`, from the package index and this source.

    Returns:
      A callable (*arguments, **of `subprocess.run`) -> what its Python writes.
    """
    source = folder / "source"
    shutil.copytree(
        tiny.ROOT, source, ignore=shutil.ignore_patterns(".*", "*.egg-info", "__pycache__")
    )
    environment = {k: v for k, v in tiny.environment().items() if k != "PYTHONPATH"}
    python = str(folder / "venv" / "bin" / "python")

    def run(*command, program=python, **arguments):
        return subprocess.run(
            [program, *command], cwd=folder, env=environment, check=True, capture_output=True,
            text=True, timeout=600, **arguments,
        ).stdout  # fmt: skip

    run("-m", "venv", str(folder / "venv"), program=sys.executable)
    run("-m", "pip", "install", "--quiet", "numpy", "onnxruntime", "tokenizers")
    run("-m", "pip", "install", "--quiet", "--no-deps", str(source))
    assert "tensorflow" not in run("-m", "pip", "list").lower()
    return run
