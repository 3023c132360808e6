"""Exported models that the tests read."""

import pytest

from tests import tiny
from tests.serving import exported


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A model folder with three labels."""
    folder = tmp_path_factory.mktemp("model") / "classifier"
    return tiny.make_classifier(folder, ["bad", "so-so", "good"], tokens=exported.TOKENS)


@pytest.fixture(scope="session")
def classifier_folder(tmp_path_factory, model):
    """An export of `model`, fine-tuned on single texts."""
    return exported.export(tmp_path_factory.mktemp("export") / "classifier", model, pairs=False)


@pytest.fixture(scope="session")
def regression_folder(tmp_path_factory):
    """An export of a regression."""
    folder = tmp_path_factory.mktemp("regression")
    model = tiny.make_classifier(folder / "model", None, tokens=exported.TOKENS)
    return exported.export(folder / "exported", model)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """An export of an encoder."""
    folder = tmp_path_factory.mktemp("encoder")
    model = tiny.make_model(folder / "model", tokens=exported.TOKENS)
    return exported.export(folder / "exported", model, max_seq_length=12)
