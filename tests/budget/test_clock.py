import json

import pytest

from bert_tf.budget import Clock, process_seconds
from bert_tf.errors import UserError


class Time:
    """A clock that only goes when told to."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def now():
    return Time()


def test_wall_counts_everything(tmp_path, now):
    clock = Clock(tmp_path, "wall", age=7.0, now=now)
    now.seconds += 3
    clock.start()
    now.seconds += 10
    clock.stop()
    now.seconds += 5
    assert clock.spent == 25


def test_train_counts_the_training_alone(tmp_path, now):
    clock = Clock(tmp_path, "train", age=7.0, now=now)
    now.seconds += 3
    clock.start()
    now.seconds += 10
    clock.stop()
    now.seconds += 5
    clock.start()
    clock.start()
    now.seconds += 2
    assert clock.spent == 12


@pytest.mark.parametrize(("counts", "expected"), [("wall", 7290.0), ("train", 7200.0)])
def test_the_time_between_two_processes_is_free(tmp_path, now, counts, expected):
    """Spec: 7200 s saved, 5 h gap, 90 s start-up: 2 h spent. (Its start-up is free; on the wall
    clock ours is charged, so that all processes together take the budget and no more.)"""
    clock = Clock(tmp_path, counts, now=now)
    clock.run_heartbeat()
    clock.start()
    now.seconds += 7200
    clock.close()
    now.seconds += 5 * 3600
    again = Clock(tmp_path, counts, age=90.0, now=now)
    assert again.spent == expected


def test_work_lost_in_a_crash_stays_charged(tmp_path, now):
    clock = Clock(tmp_path, now=now, heartbeat=2.0)
    now.seconds += 50
    clock.save()
    now.seconds += 1  # and then kill -9
    assert Clock(tmp_path, now=now, heartbeat=2.0).spent == 52


def test_the_heartbeat_writes_between_checkpoints(tmp_path, now):
    clock = Clock(tmp_path, now=now, heartbeat=0.01)
    clock.run_heartbeat()
    now.seconds += 30
    while json.loads((tmp_path / "clock.json").read_text())["spent_seconds"] < 30:
        pass
    clock.close()
    assert json.loads((tmp_path / "clock.json").read_text())["closed"] is True


def test_a_clock_that_never_began_to_beat_writes_nothing(tmp_path, now):
    clock = Clock(tmp_path, age=20.0, now=now)
    clock.close()
    assert not list(tmp_path.iterdir())


def test_a_worker_that_does_not_write_leaves_nothing(tmp_path, now):
    clock = Clock(None, now=now)
    clock.run_heartbeat()
    now.seconds += 1
    clock.close()
    assert clock.spent == 1
    assert not list(tmp_path.iterdir())


def test_what_counts_does_not_change_within_a_run(tmp_path, now):
    Clock(tmp_path, "train", now=now).save()
    with pytest.raises(UserError, match=r"clock\.json: .*budget_counts=train, this command wall"):
        Clock(tmp_path, "wall", now=now)


@pytest.mark.parametrize("text", ["{}", '{"counts": "wall", "spent_seconds": "x", "closed": true}'])
def test_a_damaged_file_is_named(tmp_path, now, text):
    (tmp_path / "clock.json").write_text(text)
    with pytest.raises(UserError, match=r"clock\.json: expected counts, spent_seconds and closed"):
        Clock(tmp_path, now=now)


def test_the_age_of_this_process_includes_the_interpreter():
    first = process_seconds()
    assert 0 <= first <= process_seconds() < 24 * 3600
