"""results.json says how long steps took for each number of frozen layers."""

import pytest
import tf_keras as keras

from tests import tiny


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("step_times")
    model = tiny.make_model(folder / "model", num_hidden_layers=2)
    return folder, {
        "model_dir": model,
        "data_dir": tiny.make_sst2(folder / "data"),
        "task_name": "sst-2",
        "do_train": True,
        "max_seq_length": 16,
        "train_batch_size": 4,
        "num_train_epochs": 2.0,
    }


def test_phases_follow_the_freezes(folders):
    folder, values = folders
    seen = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    options = tiny.options(
        output_dir=folder / "schedule", freeze_policy="schedule", freeze_schedule="0.25:1",
        activation_cache="memory", **values,
    )  # fmt: skip
    from bert_tf import classification

    with tiny.eagerly():
        results = classification.run(options, callbacks=[count])
    assert len(seen) == 20  # the caller's callbacks saw the whole run
    phases = {(p["frozen_layers"], p["cached"]): p for p in results["phases"]}
    assert phases[None, False]["steps"] == 5 and phases[None, False]["ceiling"] == 1
    assert sum(p["steps"] for p in phases.values()) == 20
    cold, cached = phases[1, False]["ceiling"], phases[1, True]["ceiling"]
    assert 0 < cached < cold < 1
    assert cold == pytest.approx((1 + 2 * cached) / 3)
    assert all(0 < p["median_seconds"] <= p["seconds"] for p in phases.values())
    frozen = results["freezing"]
    assert (frozen["policy"], frozen["frozen_layers"]) == ("schedule", 1)
    assert [d["frozen"] for d in frozen["decisions"]] == [1]
    assert set(frozen["cache_seconds"]) == {"read", "compute", "write"}


def test_every_evaluation_is_reported(folders):
    folder, values = folders
    with tiny.eagerly():
        results = tiny.run(
            output_dir=folder / "plain", do_eval=True, save_checkpoints_steps=10, **values
        )
    assert [e["step"] for e in results["evaluations"]] == [10, 20]
    assert results["evaluations"][-1]["metrics"] == results["metrics"]
    assert "freezing" not in results
    assert [p["frozen_layers"] for p in results["phases"]] == [None]
