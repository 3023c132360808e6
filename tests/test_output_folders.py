"""A folder holds one model: what each program does with an output folder that is in use."""

import contextlib
import itertools
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

import convert_checkpoint
import factorize
import remove_mask
from bert_tf import files, pretraining
from bert_tf.checkpoints.convert import convert
from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from bert_tf.finetuning import job
from bert_tf.pretraining.options import PretrainingOptions
from bert_tf.pruning import factorization, removal
from tests import needs, tiny
from tests.test_folders import content, fail_at

TASK = {"task_name": "sst-2", "labels": ["0", "1"], "max_seq_length": 16, "do_lower_case": True}
FLAGS = {"do_train": True, "task_name": "sst-2", "max_seq_length": 16, "train_batch_size": 8,
         "num_train_epochs": 1.0}  # fmt: skip


def digest(folder):
    """{path: bytes} of all files below a folder."""
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def classifier(folder, seed, task=TASK):
    """Writes a tiny classifier; returns its `LoadedModel`."""
    model = load_model(tiny.make_model(folder.parent / f"{folder.name}-pretrained", seed=seed))
    rng = np.random.default_rng(seed)
    heads = {
        "output_weights": rng.normal(size=(2, 16)).astype(np.float32),
        "output_bias": np.full(2, seed, np.float32),
    }
    arrays = {**model.arrays, **heads}
    return load_model(save_model_folder(folder, model.config, arrays, model.vocab_file, task))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models of one shape: an older one with a task, a newer one without."""
    root = tmp_path_factory.mktemp("models")
    return classifier(root / "old", 1), classifier(root / "new", 2, task=None)


@pytest.fixture(scope="module")
def paths(models):
    old, new = (pathlib.Path(model.vocab_file).parent for model in models)
    return {"old": old, "new": new}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


def program(module, **values):
    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in values.items()}
    module.main(module.Options(given=frozenset(values), **values))


def masked(model):
    """(config, arrays) of the model with open gates."""
    config, arrays, report = factorization.factorize(model.config, model.arrays)
    return config, {
        **arrays,
        **{f"{s}_g/log_alpha": np.full(len(x), 5, np.float32) for s, x in report.scores.items()},
    }


def write_removed(model, folder):
    removed = removal.remove_masks(*masked(model))
    removal.save(removed, folder, model.vocab_file, model.task)


WRITERS = {
    "google": lambda model, folder: convert(model, folder, "google"),
    "huggingface": lambda model, folder: convert(model, folder, "huggingface"),
    "tf_models": lambda model, folder: convert(model, folder, "tf_models"),
    "factorize": lambda model, folder: program(
        factorize, model_dir=model.source.split(" (")[0], output_dir=folder, finetuned=True
    ),
    "remove_mask": write_removed,
}

NAMES = needs.each_of(WRITERS)

SLOW_WRITERS = {"tf_models": 3, "remove_mask": 4}  # every which of their calls fails in a test


def same(found, expected):
    """Whether two loaded models are one and the same."""
    return (
        (found.config, found.task, found.vocab_file is None)
        == (expected.config, expected.task, expected.vocab_file is None)
        and found.arrays.keys() == expected.arrays.keys()
        and all(np.array_equal(found.arrays[n], expected.arrays[n]) for n in expected.arrays)
    )


@pytest.mark.parametrize("first", NAMES)
@pytest.mark.parametrize("second", NAMES)
def test_an_output_is_replaced_whole_by_its_own_writer_alone(models, tmp_path, first, second):
    old, new = models
    WRITERS[first](old, tmp_path / "out")
    before = digest(tmp_path / "out")
    if first != second:
        with pytest.raises(UserError, match=r"out: holds a .*one model: name another folder"):
            WRITERS[second](new, tmp_path / "out")
        assert digest(tmp_path / "out") == before
        return
    WRITERS[second](new, tmp_path / "out")
    WRITERS[second](new, tmp_path / "expected")
    assert set(os.listdir(tmp_path / "out")) == set(os.listdir(tmp_path / "expected"))
    assert same(load_model(tmp_path / "out"), load_model(tmp_path / "expected"))


@pytest.mark.parametrize("writer", NAMES)
def test_a_failed_write_leaves_the_old_model(models, tmp_path, monkeypatch, writer):
    old, new = models
    WRITERS[writer](old, tmp_path / "out")
    before, failures = digest(tmp_path / "out"), 0
    for call in itertools.count(0, SLOW_WRITERS.get(writer, 1)):
        with monkeypatch.context() as patch:
            left = fail_at(patch, call)
            with contextlib.suppress(UserError):
                WRITERS[writer](new, tmp_path / "out")
            failed = left[0] < 0
        failures += failed
        assert [p.name for p in tmp_path.iterdir()] == ["out"]
        if not failed:
            break
        assert digest(tmp_path / "out") == before
    assert failures > 3 and digest(tmp_path / "out") != before


FOREIGN = {
    "task.json": "files already \\(task.json and no bert_config.json\\)",
    "notes.md": "files already \\(notes.md, not of this program\\)",
    "training_state.json": "a training run already",
    "config.json": "a Hugging Face model already",
}


@pytest.mark.parametrize("file", FOREIGN)
@pytest.mark.parametrize("kind", ["convert", "factorize", "remove_mask"])
def test_files_of_others_are_refused_before_any_work(models, paths, tmp_path, kind, file):
    out = tmp_path / "out"
    out.mkdir()
    (out / file).write_text("{}")
    call = {
        "convert": lambda: program(convert_checkpoint, input=tmp_path / "no", output=out),
        "factorize": lambda: program(factorize, model_dir=tmp_path / "no", output_dir=out),
        "remove_mask": lambda: program(
            remove_mask, model_dir=tmp_path / "no", output_folder_dir=out
        ),
    }
    with pytest.raises(UserError, match=rf"--output\w*={out}: holds {FOREIGN[file]}"):
        call[kind]()  # the input is not even there
    assert content(out) == {file: "{}"}
    with pytest.raises(UserError, match=rf"{file}: is a file, expected a folder"):
        program(convert_checkpoint, input=paths["new"], output=out / file)


def test_a_name_of_a_checkpoint_stays_a_name_in_a_folder(paths, tmp_path):
    for _ in range(2):  # the second replaces the first
        program(factorize, model_dir=paths["old"], output_dir=tmp_path / "f" / "a.ckpt")
    assert load_model(tmp_path / "f").task == TASK
    with pytest.raises(UserError, match=r"f: holds a model already \(a.ckpt.data-"):
        program(factorize, model_dir=paths["old"], output_dir=tmp_path / "f" / "b.ckpt")


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("link", [False, True])
def test_no_program_overwrites_its_input(models, tmp_path, monkeypatch, prefix, link):
    monkeypatch.chdir(tmp_path)
    classifier(tmp_path / "m", 3)
    (tmp_path / "link").symlink_to("m")
    before = digest(tmp_path / "m")
    given = "m/bert_model.ckpt" if prefix else "m"
    output = "link" if link else "./m/"
    for module, flags in (
        (convert_checkpoint, {"input": given, "output": output}),
        (factorize, {"checkpoint" if prefix else "model_dir": given, "output_dir": output}),
        (remove_mask, {"checkpoint": given, "output_folder_dir": output}),
    ):
        with pytest.raises(UserError, match="holds the model to start from"):
            program(module, **flags)
    start = "init_checkpoint" if prefix else "model_dir"
    more = {"bert_config_file": "m/bert_config.json", "vocab_file": "m/vocab.txt"}
    with pytest.raises(UserError, match="holds the model to start from"):
        tiny.run(**FLAGS, **{start: given}, **(more if prefix else {}), output_dir=output,
                 data_dir="no")  # fmt: skip
    with pytest.raises(UserError, match="holds the model to start from"):
        pretraining.run(PretrainingOptions(
            do_train=True, model_dir=given.removesuffix("/bert_model.ckpt"), data_dir="no",
            output_dir=output, budget="2steps",
        ))  # fmt: skip
    assert digest(tmp_path / "m") == before


# The output folder of a training run: state and events lie beside the model.


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_sst2(tmp_path_factory.mktemp("data") / "sst2")


@pytest.mark.parametrize(
    "stale",
    ["task.json", "bert_config.json", "vocab.txt", "bert_model.ckpt.index", "config.json",
     "model.safetensors", "pytorch_model.bin", "tf_model.h5", "mask_scores.npz", "checkpoint",
     "tokenizer_config.json", "tokenizer.json",
     "model.ckpt-200.index", "best"],
)  # fmt: skip
def test_training_does_not_start_beside_another_model(paths, data, tmp_path, stale):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / stale).write_text("{}")
    with pytest.raises(UserError, match=rf"--output_dir={tmp_path}/out: holds .*{stale}"):
        tiny.run(**FLAGS, model_dir=paths["new"], data_dir=data, output_dir=tmp_path / "out")
    with pytest.raises(UserError, match=rf"--output_dir={tmp_path}/out: holds .*{stale}"):
        tiny.pretrain(data_dir="no", output_dir=tmp_path / "out", budget="2steps")
    assert content(tmp_path / "out") == {stale: "{}"}


def test_markers_of_another_run_are_not_taken_over(tmp_path):
    tiny.make_model(tmp_path / "out" / "marker-0.5")
    with pytest.raises(UserError, match=r"out: holds files already \(marker-0.5\)"):
        tiny.pretrain(data_dir="no", output_dir=tmp_path / "out", budget="2steps")


def test_a_runs_own_files_do_not_stop_it(paths, data, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(paths["new"] / "bert_config.json", out)
    shutil.copy(paths["new"] / "vocab.txt", out)
    flags = {
        **FLAGS,
        "bert_config_file": out / "bert_config.json",
        "vocab_file": out / "vocab.txt",
        "data_dir": data,
        "output_dir": out,
    }
    tiny.run(**flags)
    before = digest(out)
    tiny.run(**flags)  # the same command again
    tiny.assert_same_bits(tiny.arrays_of(out), load_model(out).arrays)
    assert set(before) <= set(digest(out))
    (out / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds a Hugging Face model already \(config.json\)"):
        tiny.run(**flags)


def test_a_failed_write_leaves_a_runs_old_model(models, data, paths, tmp_path, monkeypatch):
    out = tmp_path / "out"
    flags = {**FLAGS, "model_dir": paths["new"], "data_dir": data, "output_dir": out}
    tiny.run(**flags)
    expected, names = load_model(out), sorted(os.listdir(out))
    other = models[0]
    (out / "task.json").write_text(json.dumps({**expected.task, "labels": ["b", "a"]}))
    expected = load_model(out)
    for call in itertools.count():
        with monkeypatch.context() as patch:
            left = fail_at(patch, call)
            with contextlib.suppress(UserError):
                save_model_folder(out, other.config, other.arrays)
            failed = left[0] < 0
        if not failed:
            break
        assert same(load_model(out), expected)
        assert sorted(os.listdir(out)) == names
    assert call > 8
    found = load_model(out)
    assert (found.task, found.vocab_file) == (None, None)  # of the older model, none is left
    tiny.assert_same_bits(found.arrays, other.arrays)
    assert files.read_json(out / "training_state.json", "state")["step"] == 5


def test_the_best_of_a_run_is_whole_at_any_moment(paths, data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    flags = {**FLAGS, "do_eval": True, "keep_best": True, "save_checkpoints_steps": 1,
             "model_dir": paths["new"], "data_dir": data, "output_dir": out}  # fmt: skip
    written = []

    def failing(folder, config, arrays, *more):
        written.append({name: array.copy() for name, array in arrays.items()})
        save_model_folder(folder, config, arrays, *more)
        if len(written) == 2:
            raise UserError("the disk is gone")

    monkeypatch.setattr(job, "save_model_folder", failing)
    with pytest.raises(UserError, match="the disk is gone"):
        tiny.run(**flags, learning_rate=1e-2)
    tiny.assert_same_bits(tiny.arrays_of(out / "best"), written[0])
    assert not list(out.glob(".best*"))
