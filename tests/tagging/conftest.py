"""A tiny model, tagged sentences, and a tagger that has learnt them."""

import pytest

from tests import tiny
from tests.tiny import tags


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    return {
        "model_dir": tiny.make_model(folder / "model", num_hidden_layers=2),
        "data_dir": tags.make_conll(folder / "conll"),
    }


@pytest.fixture(scope="session")
def tagger(inputs, tmp_path_factory):
    """Output folder of a tagger that has learnt."""
    folder = tmp_path_factory.mktemp("tagger")
    flags = {**tags.FLAGS, "num_train_epochs": 12.0, "learning_rate": 2e-2, "do_predict": True}
    flags |= {"save_checkpoints_steps": 100, "log_steps": 20}  # what it learns is asked at the end
    tags.tag(**{**flags, **inputs, **tiny.WITHOUT_DROPOUT, "output_dir": folder})
    return folder
