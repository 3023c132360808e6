"""Marks of tests for what an installation may lack: they are skipped there, with the reason."""

import importlib.util

import pytest

_NO_TF_MODELS = "tf-models-official is not installed"

HAS_TF_MODELS = importlib.util.find_spec("official") is not None
tf_models = pytest.mark.skipif(not HAS_TF_MODELS, reason=_NO_TF_MODELS)


def each_of(names):
    """Parameters of a test, one for each name; formats and optimizers of the library are marked."""
    return [
        pytest.param(name, marks=tf_models if "tf_models" in name or "lamb" in name else [])
        for name in names
    ]


def tf_models_modeling():
    """Returns the library's `modeling` package; the module that asks is skipped without it."""
    return pytest.importorskip("official.nlp.modeling", reason=_NO_TF_MODELS)
