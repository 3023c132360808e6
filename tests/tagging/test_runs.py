"""A tagger's run: killed and resumed, in micro-batches, on two replicas."""

import pytest

from tests import tiny
from tests.killer import Killed, KilledBefore
from tests.tiny import tags

SHORT = {"num_train_epochs": 1.0, "save_checkpoints_steps": 2}


def test_killed_and_resumed_it_ends_the_same(inputs, tmp_path):
    flags = {**tags.FLAGS, **inputs, **SHORT, "keep_best": True}
    with tiny.eagerly():
        tags.tag(**flags, output_dir=tmp_path / "unbroken")
        with pytest.raises(Killed):
            tags.tag([KilledBefore(3)], **flags, output_dir=tmp_path / "resumed")
        tags.tag(**flags, output_dir=tmp_path / "resumed")
        tiny.assert_same_run(tmp_path / "resumed", tmp_path / "unbroken")
        whole = {**flags, **tiny.WITHOUT_DROPOUT}
        tags.tag(**whole, output_dir=tmp_path / "whole")
        tags.tag(**whole, gradient_accumulation_steps=2, output_dir=tmp_path / "parts")
        tiny.assert_same_run(tmp_path / "parts", tmp_path / "whole", atol=1e-5, rtol=1e-3)


def test_two_replicas_end_as_one(inputs, tmp_path):
    flags = {**tags.FLAGS, **inputs, **SHORT, **tiny.WITHOUT_DROPOUT}
    job = {
        "options": {**flags, "output_dir": tmp_path / "two"}, "tags": True, "devices": 2,
        "weights": tmp_path / "two.npz",
    }  # fmt: skip
    tiny.run_jobs([job], tmp_path / "jobs.json")
    tags.tag(**flags, output_dir=tmp_path / "one")
    tiny.assert_same_run(tmp_path / "two", tmp_path / "one", atol=1e-5, rtol=1e-3)
