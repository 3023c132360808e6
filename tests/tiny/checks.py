"""What a run has written, read back, and what has to agree of two runs."""

import json
import pathlib

import numpy as np
import pytest

from tests.tiny.runs import run, run_on_two_replicas

WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
"""Flags of runs that split a batch otherwise, and so draw other dropout masks."""

# Of results.json and of TensorBoard: what the machine and the session say, not the run.
_OF_THE_SESSION = ("seconds", "cache_seconds", "spent_seconds", "expected_seconds", "phases",
                   "examples_per_second", "options", "command", "environment")  # fmt: skip


def arrays_of(folder):
    """Returns {name: array} of the model in `folder`."""
    from bert_tf.checkpoints import google

    return google.read_checkpoint(pathlib.Path(folder) / "bert_model.ckpt")


def assert_same_bits(found, expected):
    """Asserts that two array dictionaries are equal bit for bit."""
    assert set(found) == set(expected)
    different = [name for name in found if found[name].tobytes() != expected[name].tobytes()]
    assert not different


def read_events(folder):
    """Returns ({tag: [(step, value)]} of all scalars, {tag: summary value} of the others)."""
    import tensorflow as tf
    from tensorboard.compat.proto import event_pb2

    scalars, others = {}, {}
    for path in sorted(pathlib.Path(folder).glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    number = float(tf.make_ndarray(value.tensor))
                    scalars.setdefault(value.tag, []).append((event.step, number))
                else:
                    others[value.tag] = value
    return scalars, others


def results_of(folder):
    """Returns the content of results.json in `folder` (`pathlib.Path`)."""
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def assert_same_run(found, expected, atol=0.0, rtol=0.0):
    """Asserts that two runs have trained, measured and decided the same.

    That is the weights, the best ones included, and all of results.json but times and places, the
    reports of the levers included; if bits count, eval_results.txt and logs of decisions, too.

    Args:
      found, expected: output folders (`pathlib.Path`).
      atol: how far weights and other numbers may be apart; 0: the weights are equal bit for bit.
      rtol: the same relative to them, of the other numbers only.
    """
    for name in ("", "best") if (expected / "best").exists() else ("",):
        _assert_same_weights(arrays_of(found / name), arrays_of(expected / name), atol)
    ours, theirs = (_of_the_run(results_of(folder)) for folder in (found, expected))
    _assert_alike(ours, theirs, atol, rtol, "results.json")
    if not atol:
        for path in [*expected.glob("eval_results.txt"), *expected.glob("*.jsonl")]:
            assert (found / path.name).read_text() == path.read_text(), path.name


def assert_same_scalars(found, expected, atol=0.0, rtol=0.0):
    """Asserts that TensorBoard shows the same of two runs, update by update, but for times.

    Of what a killed run logged, lost and did again the later counts. Arguments as above.
    """
    ours, theirs = (_scalars(folder) for folder in (found, expected))
    _assert_alike(ours, theirs, atol, rtol, "TensorBoard")


def check_resume(flags, folder, at, unbroken=None, atol=0.0):
    """Checks that a killed run, continued by the same command, ends as if nothing had happened.

    Args:
      flags: dict, flags of run_classifier.py, or of another `program` of `run`, but for output_dir.
        `log_steps` is to be 1: what is shown is a mean since the last time, and a process begins a
        new one.
      folder: for the outputs (`pathlib.Path`).
      at: update (from 0) before which the run is killed.
      unbroken: output folder of the run that nobody disturbed, made in folder/unbroken if None.
      atol: see `assert_same_run`; above 0 where a cache lost what it had, and batches are others.

    Returns:
      The content of results.json of the resumed run.
    """
    from tests.killer import Killed, KilledBefore

    unbroken = unbroken or _run(flags, folder / "unbroken")
    with pytest.raises(Killed):
        run([KilledBefore(at)], **flags, output_dir=folder / "resumed")
    results = run(**flags, output_dir=folder / "resumed")
    _assert_same(folder / "resumed", unbroken, atol)
    return results


def check_accumulation(flags, folder, whole=None, atol=1e-5):
    """Checks that a batch in two micro-batches makes the update of the whole batch.

    Args:
      flags: see `check_resume`; dropout is switched off.
      folder: for the outputs (`pathlib.Path`).
      whole: output folder of the run in whole batches, made in folder/whole if None.
      atol: see `assert_same_run`.

    Returns:
      The content of results.json of the run in micro-batches.
    """
    flags = {**flags, **WITHOUT_DROPOUT}
    whole = whole or _run(flags, folder / "whole")
    results = run(**flags, gradient_accumulation_steps=2, output_dir=folder / "parts")
    _assert_same(folder / "parts", whole, atol, rtol=1e-4)
    return results


def check_two_replicas(flags, folder, one=None, two=None, atol=1e-5):
    """Checks that a run on two replicas ends as on one, and both replicas with the same weights.

    Args:
      flags: see `check_resume`; dropout is switched off.
      folder: for the outputs (`pathlib.Path`).
      one: output folder of the run on one replica, made in folder/one if None.
      two: output folder of the run on two, made in a process of its own if None. To have one
        process for several runs, give what `run_on_two_replicas` returned of each.
      atol: see `assert_same_run`.

    Returns:
      The content of results.json of the run on two replicas.
    """
    flags = {**flags, **WITHOUT_DROPOUT}
    one = one or _run(flags, folder / "one")
    two = two or run_on_two_replicas({"two": flags}, folder)["two"]
    with np.load(two.with_suffix(".npz")) as saved:
        names = {key.split(":", 1)[1] for key in saved}
        replicas = [{name: saved[f"{index}:{name}"] for name in names} for index in range(2)]
    assert_same_bits(*replicas)
    _assert_same(two, one, atol, rtol=1e-4)
    return results_of(two)


def check_lever(flags, folder, at, two=None, atol=0.0):
    """Checks what every lever has to pass: resume, accumulation and two replicas.

    Args:
      flags: see `check_resume`; the batches of the run can be halved.
      folder: for the outputs (`pathlib.Path`).
      at: see `check_resume`.
      two: see `check_two_replicas`.
      atol: see `check_resume`.

    Returns:
      The content of results.json of the resumed run.
    """
    results = check_resume(flags, folder, at, atol=atol)
    whole = _run({**flags, **WITHOUT_DROPOUT}, folder / "whole")
    check_accumulation(flags, folder, whole)
    check_two_replicas(flags, folder, whole, two)
    return results


def _run(flags, folder):
    run(**flags, output_dir=folder)
    return folder


def _assert_same(found, expected, atol, rtol=0.0):
    assert_same_run(found, expected, atol, rtol)
    assert_same_scalars(found, expected, atol, rtol)


def _assert_same_weights(found, expected, atol):
    if not atol:
        return assert_same_bits(found, expected)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=atol, err_msg=name)


def _of_the_run(value):
    """The JSON value without what is `_OF_THE_SESSION`."""
    if isinstance(value, dict):
        return {k: _of_the_run(v) for k, v in value.items() if k not in _OF_THE_SESSION}
    return value


def _scalars(folder):
    """{tag: {step: value}} but for times."""
    found = read_events(folder)[0]
    return {k: dict(v) for k, v in found.items() if k not in _OF_THE_SESSION}


def _assert_alike(found, expected, atol, rtol, where):
    """Asserts that two nested values are equal, their floats as far as `assert_same_run` says."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            _assert_alike(found[key], value, atol, rtol, f"{where}: {key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for index, value in enumerate(expected):
            _assert_alike(found[index], value, atol, rtol, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert abs(found - expected) <= atol + rtol * abs(expected), f"{where}: {found}, {expected}"
    else:
        assert found == expected, where
