"""run_tagger.py takes the flags of run_classifier.py; its levers together: tests/test_pairs.py."""

import pytest

from tests import tiny
from tests.tiny import tags


@pytest.mark.parametrize(
    "flags",
    [
        {"model_dir": "tagger", "training_phase": "dynabertw", "width_mult_list": "0.5,1.0"},
        {"precision": "bfloat16"},
        {"pad_to_max_length": True, "train_token_budget": 128, "train_batch_size": None},
    ],
    ids=lambda flags: next(iter(flags)),
)
def test_it_takes_the_flags(flags, inputs, tagger, tmp_path):
    folders = {"tagger": tagger}
    flags = {**tags.FLAGS, **inputs, **{k: folders.get(v, v) for k, v in flags.items()}}
    flags = {name: value for name, value in flags.items() if value is not None}
    with tiny.eagerly(), tiny.without_pictures():
        results = tags.tag(**flags, output_dir=tmp_path / "out")
    assert results["global_step"] >= 8
    assert "bert/pooler/dense/kernel" not in tiny.arrays_of(tmp_path / "out")
    scalars, _ = tiny.read_events(tmp_path / "out")
    assert ("distillation_loss" in scalars) == ("tagger" in str(flags))
