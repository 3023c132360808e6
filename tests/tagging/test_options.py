"""The flags of run_tagger.py: which files, and what they cannot be."""

import pytest

from bert_tf.errors import UserError
from tests import tiny
from tests.tiny import tags

MODEL = {"model_dir": "m", "output_dir": "o"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "give at least one of --do_train, --do_eval, --do_predict"),
        ({"do_train": True}, "--data_dir or --train_file is required: the file to train on"),
        (
            {"do_eval": True, "do_predict": True, "dev_file": "d"},
            "--data_dir or --test_file is required: the file to predict",
        ),
        ({"do_eval": True, "dev_file": "d", "data_dir": "x"}, "--data_dir has no effect beside"),
        ({"do_eval": True, "data_dir": "x", "train_file": "t"}, "--train_file has no effect with"),
        ({"do_eval": True, "data_dir": "x", "scheme": "bio"}, "--scheme=bio: expected one of auto"),
        ({"do_eval": True, "data_dir": "x", "token_column": -1}, "--token_column=-1: expected"),
    ],
)
def test_wrong_flags_are_refused(flags, message):
    with pytest.raises(UserError, match=message):
        tags.tagger_options(**MODEL, **flags).check()


def test_a_file_for_each_split_is_enough():
    tags.tagger_options(**MODEL, do_train=True, do_eval=True, train_file="t", dev_file="d").check()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"doc_stride": 15}, "--doc_stride=15: expected 1 to 14, as a window of --max_seq_len"),
        ({"max_seq_length": 64}, "--max_seq_length=64: the model's position table .* has 32 rows"),
        ({"labels": "O,,B-G"}, "--labels=O,,B-G: expected different names"),
        ({"labels": "O,B-G"}, r"train.txt:\d+: unknown label 'B-B', expected one of O, B-G"),
        ({"scheme": "iobes"}, r"train.txt:\d+: label '[BI]-[BG]' does not follow iobes"),
        ({"label_column": 1, "token_column": 1}, "word and label in the same one"),
    ],
)
def test_flags_that_do_not_fit_the_files_are_refused(flags, message, tmp_path):
    flags = {"max_seq_length": 16, **flags}
    model = tiny.make_model(tmp_path / "model")
    with pytest.raises(UserError, match=message):
        tags.tag(
            do_train=True, data_dir=tags.make_conll(tmp_path / "conll"), model_dir=model,
            output_dir=tmp_path / "out", **flags,
        )  # fmt: skip
