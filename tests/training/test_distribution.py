"""Distribution strategies in one process, and the clear errors of wrong ones."""

import types

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.classification.model import SequenceClassifier
from bert_tf.errors import UserError
from bert_tf.training import distribution
from tests import tiny

DEVICES = 2


def make_job(root, name, devices, folder=None, stop_at=0, dropout=False, **options):
    """One entry of the list that tests/distributed_jobs.py runs; dropout is off unless asked."""
    model = root / ("model" if dropout else "model_without_dropout")
    flags = {
        "do_train": True,
        "do_eval": True,
        "task_name": "sst-2",
        "model_dir": str(model),
        "data_dir": str(root / "SST-2"),
        "max_seq_length": 32,
        "learning_rate": 1e-2,
        "num_train_epochs": 1.0,
        "output_dir": str(root / (folder or name)),
        **options,
    }
    if "train_token_budget" not in flags:
        flags.setdefault("train_batch_size", 8)
    weights = str(root / f"{name}.npz")
    return {"options": flags, "weights": weights, "devices": devices,
            "dropout": dropout, "stop_at": stop_at}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder with the results of all jobs, run by one process (starting one takes seconds)."""
    root = tmp_path_factory.mktemp("distribution")
    tiny.make_sst2(root / "SST-2")
    tiny.make_model(root / "model")
    tiny.make_model(
        root / "model_without_dropout", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    resumed = {"folder": "resumed", "dropout": True, "save_checkpoints_steps": 2}
    odd = {
        "train_token_budget": 17,
        "num_train_epochs": 0.5,
        "gradient_accumulation_steps": 2,
    }
    jobs = [
        # 17 tokens: batches of 1 to 3 examples for two devices and their micro-batches.
        make_job(root, "mirrored", DEVICES, **odd),
        make_job(root, "single", 1, **odd),
        make_job(root, "unbroken", DEVICES, dropout=True, save_checkpoints_steps=2),
        make_job(root, "broken", DEVICES, stop_at=3, **resumed),
        make_job(root, "resumed", DEVICES, **resumed),
    ]
    tiny.run_jobs(jobs, root / "jobs.json")
    return root


def weights(root, name):
    """Returns [{variable: array}], one for each replica of the process that ran the job."""
    with np.load(root / f"{name}.npz") as saved:
        replicas = [{} for _ in range(1 + max(int(key.split(":")[0]) for key in saved))]
        for key, value in saved.items():
            index, variable = key.split(":", 1)
            replicas[int(index)][variable] = value
    return replicas


def test_two_devices_end_with_the_weights_of_one(runs):
    first, second = weights(runs, "mirrored")
    (expected,) = weights(runs, "single")
    tiny.assert_same_bits(first, second)
    for variable, value in expected.items():
        np.testing.assert_allclose(first[variable], value, rtol=0, atol=1e-5, err_msg=variable)


def test_two_devices_report_what_one_reports(runs):
    found, expected = (tiny.results_of(runs / name) for name in ("mirrored", "single"))
    for split, metrics in expected["metrics"].items():
        assert found["metrics"][split] == pytest.approx(metrics, abs=1e-4)
    events = [tiny.read_events(runs / name)[0] for name in ("mirrored", "single")]
    for tag in ("loss", "grad_norm"):
        np.testing.assert_allclose(*(np.array(e[tag]) for e in events), rtol=1e-4)


def test_a_run_on_two_devices_resumes_bit_for_bit(runs):
    assert not (runs / "broken.npz").exists()
    found, expected = weights(runs, "resumed"), weights(runs, "unbroken")
    for mine, theirs in zip(found, expected, strict=True):
        tiny.assert_same_bits(mine, theirs)


def test_an_empty_share_has_no_loss_and_no_gradient(tmp_path):
    folder = tiny.make_model(tmp_path / "model")
    from bert_tf.checkpoints.model_folder import load_model

    model = SequenceClassifier(load_model(folder).config, num_outputs=2)
    names = ("input_word_ids", "input_mask", "input_type_ids")
    inputs = {name: np.zeros([0, 5], np.int32) for name in names}
    data = (inputs, np.zeros([0], np.int32))
    with tf.GradientTape() as tape:
        total, logged = model.objective(data, 1.0, model.task_pass(), {})
    gradients = tape.gradient(total, model.trainable_variables)
    assert float(total) == float(logged["loss"]) == 0
    assert all(not np.any(getattr(g, "values", g)) for g in gradients)


def test_off_is_no_strategy_and_this_process_is_the_chief():
    strategy = distribution.make_strategy("off")
    assert strategy is None
    assert distribution.is_chief(strategy)
    assert distribution.value_of_chief(strategy, 7) == 7


@pytest.mark.parametrize("flag", [{"xla": True}, {"steps_per_execution": 2}])
def test_flags_that_several_devices_cannot_follow(flag):
    options = tiny.options(distribution_strategy="mirrored", **flag)
    distribution.check_flags(types.SimpleNamespace(num_replicas_in_sync=1), options)
    with pytest.raises(UserError, match=f"--{next(iter(flag))} works on one device only"):
        distribution.check_flags(types.SimpleNamespace(num_replicas_in_sync=2), options)


def test_unknown_strategy():
    with pytest.raises(UserError, match="--distribution_strategy=mirror: expected one of off"):
        distribution.make_strategy("mirror")


@pytest.mark.parametrize("count", [-1, 1000])
def test_more_gpus_than_there_are(count):
    with pytest.raises(UserError, match=f"--num_gpus={count}: this machine has"):
        distribution.make_strategy("mirrored", num_gpus=count)


def test_missing_tf_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match=r"TF_CONFIG is not set: expected \{\"cluster\""):
        distribution.make_strategy("multi_worker_mirrored")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_wrong_tf_config(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=r"TF_CONFIG: expected .*; found"):
        distribution.make_strategy("multi_worker_mirrored")
