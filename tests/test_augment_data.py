"""augment_data.py from the command line to a run of run_classifier.py on what it wrote."""

import csv
import dataclasses
import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from bert_tf.augmentation.options import AugmentationOptions
from bert_tf.errors import UserError
from tests import tiny
from tests.augmentation.small import augment, make_masked_lm, rows_of


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_masked_lm(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    return tiny.make_classifier(folder, ["0", "1"], {"task_name": "sst-2"})


@pytest.fixture
def sst2(tmp_path):
    return tiny.make_sst2(tmp_path / "data")


def script(**values):
    flags = [f"--{name}={value}" for name, value in values.items()]
    return subprocess.run(
        [sys.executable, str(tiny.ROOT / "augment_data.py"), *flags],
        env=tiny.environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def groups_of(path, header=True):
    """The rows of each training row: itself, then its variants."""
    rows = rows_of(path)[int(header) :]
    counts = list(
        map(int, json.loads(path.with_name(f"{path.name}.json").read_text())["rows"].split())
    )
    assert sum(counts) == len(rows)
    starts = np.cumsum([0, *counts])
    return [rows[a:b] for a, b in itertools.pairwise(starts)]


def test_the_script_writes_rows_variants_and_their_description(model, sst2):
    done = script(model_dir=model, task_name="SST-2", data_dir=sst2)
    assert done.returncode == 0, done.stderr
    path = sst2 / "train_SST-2_aug.tsv"
    groups = groups_of(path)
    assert rows_of(path)[0] == ["sentence", "label"]
    assert [rows[0] for rows in groups] == rows_of(sst2 / "train.tsv")[1:]
    for rows in groups:
        texts = [text for text, _ in rows]
        assert 2 <= len(texts) == len(set(texts)) <= 21  # 20 attempts, TinyBERT's for SST-2
        assert {label for _, label in rows} == {rows[0][1]}
        assert not any("##" in text or "[" in text for text in texts)
    about = json.loads((sst2 / "train_SST-2_aug.tsv.json").read_text())
    assert about["task"] == {"task_name": "sst-2", "labels": ["0", "1"]}
    assert about["training_examples"] == 40 and about["teacher"] is None
    assert f"{about['variants']:,} variants of 40 training rows" in done.stdout
    assert (about["seed"], about["attempts"], about["flags"]["candidates"]) == (42, 20, 15)
    wrong = script(model_dir=model, task_name="SST-2", data_dir=sst2, candidates=0)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "error: --candidates=0: expected 1 or more\n"


def test_help_describes_every_flag():
    done = subprocess.run(
        [sys.executable, str(tiny.ROOT / "augment_data.py"), "--help"],
        env=tiny.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    for field in dataclasses.fields(AugmentationOptions):
        assert field.name == "given" or f"--{field.name}=" in done.stdout


def test_any_rows_in_any_order_give_the_same_variants(model, sst2, tmp_path):
    flags = {"model_dir": model, "task_name": "sst-2", "data_dir": sst2, "variants": 4}
    augment(**flags, output_file=tmp_path / "all.tsv")
    augment(**flags, output_file=tmp_path / "some.tsv", max_train_examples=7)
    augment(**flags, output_file=tmp_path / "other.tsv", seed=1)
    every, some, other = (groups_of(tmp_path / f"{n}.tsv") for n in ("all", "some", "other"))
    assert some == every[:7] and other != every
    # The draws are those of a row's number; the words' candidates are of the text alone.
    header, *rows = rows_of(sst2 / "train.tsv")
    changed = tiny.write_rows(
        tmp_path / "two" / "train.tsv", [header, *rows[:3], *rows[5:2:-1], *rows[6:]]
    )
    augment(**{**flags, "data_dir": changed.parent}, output_file=tmp_path / "two.tsv")
    two = groups_of(tmp_path / "two.tsv")
    assert two[:3] == every[:3] and two[4] == every[4] and two[6:] == every[6:]
    assert two[3][0] == every[5][0]


def test_a_text_of_stop_words_and_digits_has_only_itself(model, tmp_path):
    rows = [("sentence", "label"), ("It is  what it was, 42!", 1), ("the film", 0), ("", 1)]
    folder = tiny.write_rows(tmp_path / "data" / "train.tsv", rows).parent
    augment(model_dir=model, task_name="sst-2", data_dir=folder, variants=30)
    plain, film, empty = groups_of(folder / "train_SST-2_aug.tsv")
    assert plain == [["It is  what it was, 42!", "1"]] and empty == [["", "1"]]
    assert film[0] == ["the film", "0"] and 2 <= len(film) <= 16


def test_the_rest_of_a_text_stays_as_it_is_written(model, tmp_path):
    text = ' THE Good ,  "film"\u00a0was\r Very\u2028good '
    folder = tiny.write_rows(
        tmp_path / "data" / "train.tsv", [("sentence", "label"), (text, 1)]
    ).parent
    augment(model_dir=model, task_name="sst-2", data_dir=folder)
    (rows,) = groups_of(folder / "train_SST-2_aug.tsv")
    assert rows[0] == [text, "1"] and len(rows) > 5
    for variant, _ in rows[1:]:
        match = re.fullmatch(' THE (\\w+) ,  "(\\w+)"\u00a0was\r Very\u2028(\\w+) ', variant)
        assert set(match.groups()) <= {*tiny.TOKENS, "Good"}


def test_a_pair_varies_one_text_beside_the_other_as_it_is(model, tmp_path):
    folder = tiny.make_mnli(tmp_path / "mnli")
    augment(model_dir=model, task_name="mnli", data_dir=folder)
    for rows in groups_of(folder / "train_MNLI_aug.tsv"):
        index, first, second, label = rows[0]
        # The original program puts all variants of the second beside the first's last variant.
        assert all(a == first or b == second for _, a, b, _ in rows)
        for column in (1, 2):
            varied = [row[column] for row in rows if row[column] != rows[0][column]]
            assert 1 <= len(varied) == len(set(varied)) <= 10
        order = [row[1] == first for row in rows[1:]]
        assert order == sorted(order)  # first A, then B
        assert {(row[0], row[3]) for row in rows} == {(index, label)}


def test_every_document_task_is_label_and_text(model, tmp_path):
    (tmp_path / "ag").mkdir()
    rows = [["1", "a film", 'good, "very" good'], ["2", "so", "the plot"]]
    with open(tmp_path / "ag" / "train.csv", "w", newline="") as f:
        csv.writer(f).writerows(rows)
    augment(model_dir=model, task_name="ag", data_dir=tmp_path / "ag", replace_probability=1.0)
    one, two = groups_of(tmp_path / "ag" / "train_AG_aug.tsv", header=False)
    assert one[0] == ["1", 'a film - good, "very" good'] and two[0] == ["2", "so - the plot"]
    assert len(one) > 2
    for label, text in one[1:]:
        assert label == "1" and re.fullmatch(r'a \w+ - \w+, "very" \w+', text)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "tsv"])
def test_own_files_and_a_run_on_them(model, tmp_path, suffix):
    texts, labels = tiny.sentences(12)
    texts[:2] = ['say "good", film', "dull\u2028plot"]
    names = ["bad", "good"]
    train = tmp_path / f"train.{suffix}"
    with open(train, "w", newline="", encoding="utf-8") as f:
        rows = [{"text": t, "label": names[x]} for t, x in zip(texts, labels, strict=True)]
        if suffix == "jsonl":
            f.writelines(json.dumps(row) + "\n" for row in rows)
        elif suffix == "csv":
            writer = csv.DictWriter(f, ["text", "label"])
            writer.writeheader()
            writer.writerows(rows)
        else:
            f.writelines(f"{a}\t{b}\n" for a, b in [("text", "label"), *map(dict.values, rows)])
    flags = {
        "task_name": "custom", "train_file": train, "text_column": "text", "label_column": "label",
    }  # fmt: skip
    report = augment(model_dir=model, **flags, variants=3)
    path = tmp_path / f"train_aug.{suffix}"
    assert report.endswith(f"Written to {path}")
    about = json.loads((tmp_path / f"{path.name}.json").read_text())
    results = tiny.run(
        do_train=True, data_aug=True, model_dir=model, output_dir=tmp_path / "out",
        train_batch_size=8, num_train_epochs=1.0, max_seq_length=16, **flags,
    )  # fmt: skip
    assert 12 < results["train_examples"] <= 12 + about["variants"]


def test_a_teachers_logits_and_a_student_that_trains_on_them(model, teacher, sst2, tmp_path):
    flags = {"model_dir": model, "teacher_model_dir": teacher, "data_dir": sst2, "variants": 3}
    augment(**flags)  # the task is the teacher's
    path = sst2 / "train_SST-2_aug_with_logits.tsv"
    logits = [list(map(float, row[1].split())) for rows in groups_of(path) for row in rows]
    assert np.shape(logits)[1] == 2 and len(np.unique(np.argmax(logits, -1))) == 2
    about = json.loads((sst2 / f"{path.name}.json").read_text())
    assert about["teacher"]["model"] == str(teacher) and len(about["teacher"]["digest"]) == 32
    run = {
        "do_train": True, "do_eval": True, "task_name": "sst-2", "data_dir": sst2,
        "model_dir": model, "train_batch_size": 8, "num_train_epochs": 1.0, "max_seq_length": 16,
        "data_aug": True,
    }  # fmt: skip
    first = tiny.run(
        **run, teacher_model_dir=teacher, output_dir=tmp_path / "distilled", max_train_examples=10
    )
    some = sum(len(rows) for rows in groups_of(path)[:10])
    assert 10 < first["train_examples"] <= some
    whole = tiny.run(**run, output_dir=tmp_path / "whole")
    assert first["train_examples"] < whole["train_examples"] <= 40 + about["variants"]
    with pytest.raises(UserError, match=r"data_aug=True, this command False"):
        tiny.run(**{**run, "data_aug": False}, output_dir=tmp_path / "whole")
    augment(**flags, seed=1)  # other variants are other training rows
    with pytest.raises(UserError, match=r"the run in this folder has training data="):
        tiny.run(**run, output_dir=tmp_path / "whole")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_dir": None},
            "--model_dir is required: a pre-trained model with its masked-LM head",
        ),
        ({"task_name": None}, "--task_name is required"),
        ({"data_dir": None}, "--data_dir is required"),
        ({"data_dir": "no/such"}, "no/such: no such folder"),
        ({"variants": 0}, "--variants=0: expected 1 or more"),
        ({"replace_probability": 0.0}, r"--replace_probability=0.0: expected a number in \(0, 1\]"),
        ({"text_column": "x"}, "--text_column has no effect without --task_name=custom"),
        ({"glove_file": "no/such"}, "--glove_file=no/such: cannot be read"),
        ({"teacher_model_dir": "no/such"}, "no/such"),
    ],
)
def test_wrong_flags_write_nothing(model, sst2, changes, message):
    flags = {"model_dir": model, "task_name": "sst-2", "data_dir": sst2, **changes}
    before = sorted(sst2.iterdir())
    with pytest.raises(UserError, match=message):
        augment(**{name: value for name, value in flags.items() if value is not None})
    assert sorted(sst2.iterdir()) == before


def test_a_model_without_its_head(sst2, tmp_path):
    bare = tiny.make_model(tmp_path / "bare")
    with pytest.raises(
        UserError, match=r"of the masked-LM head that predicts words: give a pre-tr"
    ):
        augment(model_dir=bare, task_name="sst-2", data_dir=sst2)
    assert not list(sst2.glob("*aug*"))


def test_what_pretraining_writes_is_such_a_model(sst2, tmp_path):
    rows = tiny.make_rows(tmp_path / "rows")
    tiny.pretrain(data_dir=rows, output_dir=tmp_path / "pretrained", budget="2steps")
    augment(model_dir=tmp_path / "pretrained", task_name="sst-2", data_dir=sst2, variants=2)
    assert len(groups_of(sst2 / "train_SST-2_aug.tsv")) == 40
