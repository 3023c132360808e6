"""Bad input ends in one clear line that names file, row or flag, and nothing is lost."""

import hashlib
import json
import pathlib
import re
import resource
import shutil

import numpy as np
import pytest

from bert_tf.errors import UserError
from tests import tiny

DATA = "bert_model.ckpt.data-00000-of-00001"
INDEX = "bert_model.ckpt.index"
FLAGS = {"task_name": "sst-2", "max_seq_length": 16}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture
def job(tmp_path):
    """Flags of a training run on files that a test may damage: model/, data/ and, absent, out/."""
    return {
        **FLAGS,
        "do_train": True,
        "do_eval": True,
        "model_dir": tiny.make_model(tmp_path / "model"),
        "data_dir": tiny.make_sst2(tmp_path / "data"),
        "output_dir": tmp_path / "out",
    }


def contents(folder):
    """{path: digest} of all files below `folder` but those of the feature cache."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file() and "features" not in path.parts
    }


def check_refused(expected, flags):
    """Runs the program: a UserError that matches, in one line, and no file changed."""
    root = pathlib.Path(flags["model_dir"] if "model_dir" in flags else flags["output_dir"]).parent
    before = contents(root)
    with pytest.raises(UserError, match=expected) as error:
        tiny.run(**flags)
    assert len(str(error.value)) < 700
    assert contents(root) == before


def truncate(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share) - 1])


def corrupt(path):
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(255 - b for b in data[middle : middle + 8])
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [remove, truncate, corrupt, empty])
@pytest.mark.parametrize("file", [INDEX, DATA])
def test_damaged_checkpoint(job, file, damage):
    damage(job["model_dir"] / file)
    check_refused(r"model/bert_model\.ckpt\.(index|data)", job)


def test_no_checkpoint(job):
    for file in (INDEX, DATA):
        (job["model_dir"] / file).unlink()
    check_refused(r"model: no bert_model\.ckpt", job)


@pytest.mark.parametrize(
    "change", [{"hidden_size": 32}, {"num_hidden_layers": 2}, {"max_position_embeddings": 16}]
)
def test_checkpoint_of_another_shape(job, tmp_path, change):
    other = tiny.make_model(tmp_path / "other", **change)
    shutil.copy(other / "bert_config.json", job["model_dir"] / "bert_config.json")
    check_refused(r"bert_model\.ckpt: variable bert/\S+ .*configuration", job)


@pytest.mark.parametrize("lines", [12, 200])
def test_vocabulary_of_the_wrong_size(job, lines):
    vocab = [*tiny.TOKENS, *(f"w{i}" for i in range(200))][:lines]
    (job["model_dir"] / "vocab.txt").write_text("\n".join(vocab) + "\n")
    check_refused(rf"vocab\.txt has {lines} tokens, .*vocab_size {len(tiny.TOKENS)}", job)


def test_vocabulary_without_cls(job):
    path = job["model_dir"] / "vocab.txt"
    path.write_text(path.read_text().replace("[CLS]", "[XLS]"))
    check_refused(r"vocab\.txt: the vocabulary has no \[CLS\]", job)


@pytest.mark.parametrize("recorded", [True, False])
def test_case_flag_against_the_record_of_the_model(job, tmp_path, recorded):
    job["model_dir"] = tiny.make_model(tmp_path / "m", extra={"do_lower_case": recorded})
    job["do_lower_case"] = not recorded
    check_refused(f"--do_lower_case={str(not recorded).lower()} contradicts", job)


@pytest.mark.parametrize(
    ("name", "flag"), [("uncased_L-2_H-128_A-2", False), ("cased_L-12_H-768_A-12", True)]
)
def test_case_flag_against_googles_folder_name(job, tmp_path, name, flag):
    job["model_dir"] = shutil.copytree(job["model_dir"], tmp_path / name)
    check_refused(
        f"--do_lower_case={str(flag).lower()} contradicts", {**job, "do_lower_case": flag}
    )


def line(number, text, file="train.tsv"):
    """Damage: the 1-based line of a data file becomes `text` (bytes)."""

    def damage(folder):
        lines = (folder / file).read_bytes().split(b"\n")
        lines[number - 1] = text
        (folder / file).write_bytes(b"\n".join(lines))

    return damage


def without_header(folder):
    path = folder / "train.tsv"
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1])


DAMAGED_DATA = {
    "empty file": (lambda d: empty(d / "train.tsv"), r"train\.tsv: the file is empty"),
    "no rows": (lambda d: (d / "dev.tsv").write_text("sentence\tlabel\n"), r"dev\.tsv: no rows"),
    "no file": (lambda d: remove(d / "dev.tsv"), r"dev\.tsv: no such file"),
    "no header": (without_header, r"train\.tsv:1: the header is missing"),
    "too few columns": (line(7, b"a film"), r"train\.tsv:7: found 1 of at least 2 columns"),
    "unknown label": (line(9, b"a film\t7"), r"train\.tsv:9: .*'7'"),
    "unknown dev label": (line(3, b"a film\tgood", "dev.tsv"), r"dev\.tsv:3: .*'good'"),
    "invalid UTF-8": (line(5, b"a f\xfflm\t1"), r"train\.tsv:5: found byte 0xff"),
    "NUL": (line(5, b"a f\0lm\t1"), r"train\.tsv:5: found a NUL byte"),
    "10 MB line": (line(5, b"film " * 2_000_000 + b"\t1"), r"train\.tsv:5: a line of 10000002"),
}


@pytest.mark.parametrize("kind", DAMAGED_DATA)
def test_damaged_data(job, kind):
    damage, expected = DAMAGED_DATA[kind]
    damage(job["data_dir"])
    check_refused(expected, job)


@pytest.mark.parametrize("score", [b"high", b"", b"nan", b"7.5"])
def test_score_that_is_none(job, tmp_path, score):
    data = tiny.make_stsb(tmp_path / "stsb")
    line(4, b"2\tthe film\ta story\t" + score)(data)
    check_refused(r"train\.tsv:4: ", {**job, "task_name": "sts-b", "data_dir": data})


def test_tfrecord_of_another_model(job, tmp_path):
    wide = tiny.make_model(tmp_path / "wide", [*tiny.TOKENS, *(f"w{i}" for i in range(50))])
    (job["data_dir"] / "train.tsv").write_text("sentence\tlabel\nw40 good\t1\nbad w41\t0\n")
    written = tmp_path / "out2"
    with pytest.raises(UserError, match="no full batch"):
        tiny.run(**{**job, "model_dir": wide, "output_dir": written}, write_tfrecord=True)
    del job["data_dir"]
    check_refused(r"train\.tf_record: found token id", {**job, "tfrecord_dir": written})


@pytest.mark.parametrize("damage", [truncate, corrupt, empty])
def test_damaged_tfrecord(job, damage):
    with pytest.raises(UserError, match="no full batch"):
        tiny.run(**job, write_tfrecord=True, train_batch_size=512)
    damage(job["output_dir"] / "train.tf_record")
    del job["data_dir"]
    check_refused(r"train\.tf_record", {**job, "tfrecord_dir": job["output_dir"]})


def test_output_folder_that_cannot_be(job, tmp_path):
    (tmp_path / "file").write_text("kept")
    job["output_dir"] = tmp_path / "file" / "out"
    check_refused(r"--output_dir=\S+file/out: cannot write", job)


def test_feature_folder_that_cannot_be(job, tmp_path):
    (tmp_path / "file").write_text("kept")
    check_refused(r"file/f\S*: cannot write", {**job, "feature_dir": tmp_path / "file" / "f"})


# What is wrong with the flags; the message names the first one.
WRONG_FLAGS = [
    ({"task_name": "sst-3"}, "--task_name=sst-3: unknown task"),
    ({"task_name": None}, "--task_name is required"),
    ({"data_dir": None}, "--data_dir is required"),
    ({"data_dir": "/no/such"}, "--data_dir=/no/such: no such folder"),
    ({"model_dir": "/no/such"}, "/no/such"),
    ({"model_dir": None}, "--model_dir"),
    ({"output_dir": None}, "--output_dir is required"),
    ({"do_train": False, "do_eval": False}, "--do_train, --do_eval, --do_predict"),
    ({"max_seq_length": 33}, "--max_seq_length=33: .*position table.* 32 rows"),
    ({"max_seq_length": 2}, "--max_seq_length=2"),
    ({"truncation": "middle"}, "truncation=middle: expected one of head, tail, head_tail"),
    ({"init_checkpoint": "x"}, "--model_dir and --init_checkpoint"),
    ({"train_batch_size": 8, "train_token_budget": 64}, "--train_token_budget and --train_batch"),
    ({"train_token_budget": 3}, "--train_token_budget=3: example"),
    ({"gradient_accumulation_steps": 3}, "--gradient_accumulation_steps=3 must divide"),
    ({"train_batch_size": 64, "num_train_epochs": 1.0}, "no full batch of --train_batch_size=64"),
    ({"train_batch_size": 0}, "--train_batch_size=0"),
    ({"learning_rate": -1.0}, "--learning_rate=-1.0"),
    ({"num_train_epochs": 0.0}, "--num_train_epochs=0.0"),
    ({"warmup_proportion": 1.0}, "--warmup_proportion=1.0"),
    ({"save_checkpoints_steps": 0}, "--save_checkpoints_steps=0"),
    ({"seed": -1}, "--seed=-1"),
    (
        {"optimizer": "lamb", "adam_bias_correction": False},
        "--adam_bias_correction has no effect without --optimizer=adamw",
    ),
    ({"tpu": "local"}, "--tpu has no effect without --distribution_strategy=tpu"),
    ({"num_gpus": 1}, "--num_gpus has no effect without --distribution_strategy"),
    ({"num_gpus": 99, "distribution_strategy": "mirrored"}, "--num_gpus=99"),
    ({"do_eval": False, "keep_best": True}, "--keep_best has no effect without --do_eval"),
    ({"do_eval": False, "early_stopping_patience": 1}, "--early_stopping_patience has no effect"),
    ({"do_train": False, "learning_rate": 1e-4}, "--learning_rate has no effect"),
    ({"do_train": False, "max_train_examples": 4}, "--max_train_examples has no effect"),
    ({"predict_batch_size": 4}, "--predict_batch_size has no effect without --do_predict"),
    ({"text_column": "a"}, "--text_column has no effect without --task_name=custom"),
    ({"xnli_language": "de"}, "--xnli_language has no effect without --task_name=xnli"),
    ({"task_name": "custom"}, "--data_dir has no effect on the custom task"),
    ({"task_name": "custom", "data_dir": None}, "--text_column is required"),
    ({"tfrecord_dir": "x"}, "--data_dir has no effect with --tfrecord_dir"),
    ({"tfrecord_dir": "/no/such", "data_dir": None}, "/no/such/train.tf_record: no such file"),
    ({"do_train": False}, "holds no classifier"),
]


@pytest.mark.parametrize(("change", "expected"), WRONG_FLAGS, ids=lambda x: str(x)[:50])
def test_wrong_flags(job, change, expected):
    flags = {k: v for k, v in {**job, **change}.items() if v is not None}
    root = job["data_dir"].parent
    before = contents(root)
    with pytest.raises(UserError, match=expected):
        tiny.run(**flags)
    assert contents(root) == before


def test_the_starting_model_is_never_overwritten(job):
    check_refused("--output_dir=.*overwritten", {**job, "output_dir": job["model_dir"]})


def test_evaluation_of_no_weights_at_all(job):
    flags = {k: v for k, v in job.items() if k not in ("do_train", "model_dir")}
    flags["bert_config_file"] = job["model_dir"] / "bert_config.json"
    flags["vocab_file"] = job["model_dir"] / "vocab.txt"
    check_refused("--init_checkpoint", flags)


# The program itself: exit status, one line on stderr, no traceback.


def check_script_refuses(expected, **flags):
    done = tiny.run_script(**flags)
    errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert done.returncode == 1
    assert len(errors) == 1, done.stderr
    assert re.search(expected, errors[0])
    assert "Traceback" not in done.stderr + done.stdout


def test_program_with_an_unknown_flag(job):
    check_script_refuses("learning_rat", **job, learning_rat=1)


def test_program_with_an_unknown_label(job):
    line(9, b"a film\t7")(job["data_dir"])
    check_script_refuses(r"train\.tsv:9: .*'7'", **job)


def test_program_with_a_truncated_checkpoint(job):
    truncate(job["model_dir"] / DATA)
    check_script_refuses(r"bert_model\.ckpt\.data", **job)


@pytest.fixture
def full_disk():
    """From the call on, no file may grow over `limit` bytes, which to a writer is a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_full_disk_while_training_leaves_the_checkpoint_before(job, full_disk, monkeypatch):
    from bert_tf.training.state import RunState

    job |= {"train_batch_size": 8, "num_train_epochs": 1.0, "save_checkpoints_steps": 2}
    real = RunState.save

    def save(self, step):
        if step == 4:
            full_disk(20_000)
        real(self, step)

    monkeypatch.setattr(RunState, "save", save)
    with pytest.raises(UserError, match=r"checkpoints/state-4: cannot write .*step 4"):
        tiny.run(**job)
    full_disk(resource.RLIM_INFINITY)
    monkeypatch.undo()
    assert not list((job["output_dir"] / "checkpoints").glob("state-4*"))
    assert tiny.run(**job)["global_step"] == 5


def test_full_disk_at_the_end_leaves_the_model_that_was_there(job, full_disk, monkeypatch):
    from bert_tf.finetuning import job as job_lib

    job |= {"train_batch_size": 8, "num_train_epochs": 1.0}
    tiny.run(**job)
    before, real = tiny.arrays_of(job["output_dir"]), job_lib.save_model_folder

    def save_model_folder(*arguments):
        full_disk(10_000)
        return real(*arguments)

    monkeypatch.setattr(job_lib, "save_model_folder", save_model_folder)
    with pytest.raises(UserError, match=r"out/bert_model\.ckpt: cannot write"):
        tiny.run(**job)
    full_disk(resource.RLIM_INFINITY)
    tiny.assert_same_bits(tiny.arrays_of(job["output_dir"]), before)


# A run in the way of another.


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"learning_rate": 1e-5}, "learning_rate"),
        ({"seed": 7}, "seed"),
        ({"train_batch_size": 4}, "train_batch_size"),
        ({"num_train_epochs": 2.0}, "num_train_epochs"),
        ({"truncation": "tail"}, "truncation"),
        ({"max_train_examples": 30}, "training data"),
    ],
)
def test_resuming_with_other_flags(finished, change, named):
    before = contents(finished["output_dir"])
    with pytest.raises(UserError, match=f"training_state.json: .*{named}=.*--output_dir"):
        tiny.run(**{**finished, **change})
    assert contents(finished["output_dir"]) == before


def test_resuming_a_run_from_before_a_flag(finished, tmp_path):
    """It had the flag's default, as the table of flags says."""
    flags = {**finished, "output_dir": shutil.copytree(finished["output_dir"], tmp_path / "run")}
    path = flags["output_dir"] / "training_state.json"
    state = json.loads(path.read_text())
    del state["identity"]["clip_norm"]
    path.write_text(json.dumps(state))
    with pytest.raises(UserError, match=r"has clip_norm=1\.0, this command 0\.5"):
        tiny.run(**flags, clip_norm=0.5)
    assert tiny.run(**flags)["global_step"] == 5


def test_resuming_from_other_weights(finished, tmp_path):
    other = tiny.make_model(tmp_path / "other", seed=1)
    with pytest.raises(UserError, match=r"training_state.json: .*initial weights"):
        tiny.run(**{**finished, "model_dir": other})


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("training_state.json", truncate),
        ("checkpoints/state-5.index", remove),
        ("checkpoints/state-5.data-00000-of-00001", truncate),
        ("checkpoints/state-5.data-00000-of-00001", corrupt),
    ],
)
def test_resuming_a_damaged_run(finished, tmp_path, file, damage):
    flags = {**finished, "output_dir": shutil.copytree(finished["output_dir"], tmp_path / "run")}
    damage(flags["output_dir"] / file)
    with pytest.raises(UserError, match=file.split(".")[0]):
        tiny.run(**flags)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The flags of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    flags = {
        **FLAGS,
        "do_train": True,
        "train_batch_size": 8,
        "num_train_epochs": 1.0,
        "model_dir": tiny.make_model(folder / "model"),
        "data_dir": tiny.make_sst2(folder / "data"),
        "output_dir": folder / "out",
    }
    tiny.run(**flags)
    return flags


def test_a_loss_that_is_no_number_names_the_remedy(job):
    arrays = tiny.arrays_of(job["model_dir"])
    name = "bert/embeddings/word_embeddings"
    arrays[name] = 3e38 * np.sign(arrays[name])  # finite; the first LayerNorm is not
    from bert_tf.checkpoints import google

    google.save_arrays(str(job["model_dir"] / "bert_model.ckpt"), arrays)
    with pytest.raises(UserError, match=r"step 5: the loss is nan: lower --learning_rate"):
        tiny.run(**job, train_batch_size=8, num_train_epochs=1.0)
