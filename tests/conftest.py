"""Settings common to all tests: tf_keras is chosen before any test imports TensorFlow."""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The checkout wins over an installed copy, here and in the scripts that tests start.
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
)

import pytest  # noqa: E402

import bert_tf  # noqa: E402, F401


@pytest.fixture(autouse=True)
def _float32():
    """A run in half precision sets Keras' policy for the whole process: not for the next test."""
    yield
    if "tf_keras" in sys.modules:
        sys.modules["tf_keras"].mixed_precision.set_global_policy("float32")
