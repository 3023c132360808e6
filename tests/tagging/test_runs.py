"""A tagger's run: killed and resumed, in micro-batches, on two replicas."""

import signal

import pytest

from bert_tf.errors import UserError
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
        # An accuracy is no F1: the best of the two would be of neither.
        with pytest.raises(UserError, match="the run in this folder has scheme='auto'"):
            tags.tag(**flags, scheme="none", output_dir=tmp_path / "resumed")
        whole = {**flags, **tiny.WITHOUT_DROPOUT}
        tags.tag(**whole, output_dir=tmp_path / "whole")
        tags.tag(**whole, gradient_accumulation_steps=2, output_dir=tmp_path / "parts")
        tiny.assert_same_run(tmp_path / "parts", tmp_path / "whole", atol=1e-5, rtol=1e-3)


def test_two_replicas_and_one_that_was_killed_end_as_one(inputs, tmp_path):
    """Killed by SIGKILL, in a process of its own, an update after a save."""
    flags = {**tags.FLAGS, **inputs, **SHORT, **tiny.WITHOUT_DROPOUT}
    jobs = [
        {
            "options": {**flags, "output_dir": tmp_path / name}, "tags": True,
            "weights": tmp_path / f"{name}.npz", **more,
        }
        for name, more in {"two": {"devices": 2}, "killed": {"kill_at": 3}}.items()
    ]  # fmt: skip
    tiny.run_jobs(jobs, tmp_path / "jobs.json", status=-signal.SIGKILL)
    assert not (tmp_path / "killed" / "results.json").exists()
    with tiny.eagerly():
        tags.tag(**flags, output_dir=tmp_path / "killed")
        tags.tag(**flags, output_dir=tmp_path / "one")
    for name in ("two", "killed"):
        tiny.assert_same_run(tmp_path / name, tmp_path / "one", atol=1e-5, rtol=1e-3)
