"""What names of files, splits and columns are taken for, and what is left to the user."""

import numpy as np
import pytest

from bert_tf.data.sources.base import CLASSES, INTEGER, OTHER, TEXT, Column
from bert_tf.data.sources.guesses import guess
from bert_tf.data.sources.opening import open_source
from bert_tf.data.sources.paths import collect
from bert_tf.data.sources.spec import Slice, parse_dataset, parse_splits
from bert_tf.data.sources.splitting import Draw, draw, find
from bert_tf.errors import UserError
from tests.data.sources import sets


def files(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text,label\na,0\nb,1\n", encoding="utf-8")
    return folder


def collected(kind, place):
    return {split: [path.name for path in paths] for split, paths in collect(kind, place).items()}


def test_files_belong_to_the_split_that_they_are_named_after(tmp_path):
    names = ["train-00000-of-00002.csv", "train-00001-of-00002.csv", "dev_matched.tsv", "test.csv"]
    files(tmp_path, *names, "validation/part-0.csv", ".hidden/train.csv", "notes.md")
    assert collected("csv", tmp_path) == {
        "train": names[:2], "dev_matched": ["dev_matched.tsv"], "test": ["test.csv"],
        "validation": ["part-0.csv"],
    }  # fmt: skip
    assert collected("csv", f"{tmp_path}/train-*.csv") == {"train": names[:2]}


def test_folders_of_a_pattern_are_splits(tmp_path):
    """Test rows must not become training rows because a pattern found them."""
    files(tmp_path, "train/part-0.csv", "test/part-0.csv", "part-1.csv")
    splits = collect("csv", f"{tmp_path}/*/part-*.csv")
    assert {split: [p.parent.name for p in paths] for split, paths in splits.items()} == {
        "test": ["test"], "train": ["train"],
    }  # fmt: skip


def test_shards_that_are_named_by_their_content(tmp_path):
    names = [f"train-0000{i}-of-00002-a09b74b3ef9c3b5{i}.csv" for i in range(2)]
    files(tmp_path, *names)
    assert collected("csv", tmp_path) == {"train": names}


def test_files_without_the_name_of_a_split_train(tmp_path):
    files(tmp_path / "a", "part-0.csv", "part-1.csv")
    assert collected("csv", tmp_path / "a") == {"train": ["part-0.csv", "part-1.csv"]}
    files(tmp_path / "b", "train.csv", "extra-1.csv", "training.csv", "latest.csv", "sst2.test.csv")
    assert list(collected("csv", tmp_path / "b")) == [
        "extra", "latest", "test", "train", "training",
    ]  # fmt: skip


def test_missing_files(tmp_path):
    with pytest.raises(UserError, match=r"--dataset=csv:.*: no file .csv, .tsv, .txt in it"):
        collect("csv", tmp_path)
    with pytest.raises(UserError, match="--dataset=parquet:nothing: no such file or folder"):
        collect("parquet", "nothing")


@pytest.mark.parametrize("text", ["glue", "glue/mrpc", "s3:x", "hf:", ":x", "csv: "])
def test_what_is_no_data_set(text):
    with pytest.raises(UserError, match="expected hf:glue/mrpc, tfds:glue/mrpc, csv:PATH"):
        parse_dataset(text)


def test_slices():
    parts = parse_splits("train[:10%], test[-5:],dev", "dev_split")
    assert parts == [Slice("train", None, "10%"), Slice("test", "-5"), Slice("dev")]
    assert [part.rows(50) for part in parts] == [range(5), range(45, 50), range(50)]
    assert [str(part) for part in parts] == ["train[:10%]", "test[-5:]", "dev"]
    for text in ("train[", "train[1]", "", "a b", "train[:x]"):
        with pytest.raises(UserError, match="expected splits such as"):
            parse_splits(text, "dev_split")


def test_splits_that_could_be_either(tmp_path):
    source = open_source(f"csv:{files(tmp_path, 'train.csv', 'dev.csv', 'validation.csv')}")
    with pytest.raises(UserError, match="both validation and dev could be the dev split: name one"):
        find(source, "dev", None)
    assert list(find(source, "dev", "dev")) == ["dev"]
    with pytest.raises(UserError, match="--train_split=train,dev: expected one split, found 2"):
        find(source, "train", "train,dev")


def test_a_split_without_rows_is_none(tmp_path):
    files(tmp_path, "train.jsonl", "test.csv")
    (tmp_path / "train.jsonl").write_text('{"text": "a"}\n')
    source = open_source(f"json:{tmp_path}")
    source.splits = lambda: {"train": 1, "test": 0}
    assert find(source, "test", None) == {}
    with pytest.raises(UserError, match="test: has no rows"):
        find(source, "test", "test")


def test_a_drawn_dev_set_has_each_label_alike():
    labels = ["a"] * 100 + ["b"] * 40 + ["c"]
    train, dev = draw(labels, Draw(0.1, 5))
    assert [sum(labels[i] == x for i in dev) for x in "abc"] == [10, 4, 0]
    assert sorted([*train, *dev]) == list(range(141))
    again, other = draw(labels, Draw(0.1, 5))[1], draw(labels, Draw(0.1, 6))[1]
    assert np.array_equal(dev, again)
    assert not np.array_equal(dev, other)
    scores = [str(i / 10) for i in range(60)]
    assert len(draw(scores, Draw(0.1, 5))[1]) == 6


def columns(**kinds):
    return [
        Column(name, kind, kind, ("x", "y") if kind == CLASSES else None)
        for name, kind in kinds.items()
    ]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"sentence": TEXT, "label": CLASSES, "idx": INTEGER}, ("sentence", None, "label", "idx")),
        (
            {"premise": TEXT, "hypothesis": TEXT, "label": CLASSES},
            ("premise", "hypothesis", "label", None),
        ),
        (
            {"hypothesis": TEXT, "premise": TEXT, "gold_label": TEXT},
            ("premise", "hypothesis", "gold_label", None),
        ),
        ({"review": TEXT, "user_id": TEXT, "stars": INTEGER}, ("review", None, "stars", None)),
        ({"text": TEXT, "image": OTHER}, ("text", None, None, None)),
        ({"words": TEXT, "label": OTHER, "kind": CLASSES}, ("words", None, "kind", None)),
    ],
)
def test_columns_by_their_names(kinds, expected):
    roles = guess("x", columns(**kinds), {}).roles
    assert (roles.text, roles.pair, roles.label, roles.ids) == expected


@pytest.mark.parametrize(
    ("kinds", "given", "message"),
    [
        (
            {"title": TEXT, "content": TEXT, "label": CLASSES},
            {},
            "could be the text, .*: title, content",
        ),
        (
            {"text": TEXT, "coarse": CLASSES, "fine": CLASSES},
            {},
            "could be the label, .*: coarse, fine",
        ),
        (
            {"a": INTEGER, "label": CLASSES},
            {},
            r"no column could be the text: a \(integer\), label",
        ),
        (
            {"text": TEXT, "words": OTHER},
            {"text": "words"},
            "--text_column=words: x has other in it",
        ),
        (
            {"text": TEXT, "tags": OTHER},
            {"label": "tags"},
            "--label_column=tags: x has other in it",
        ),
    ],
)
def test_columns_that_the_user_has_to_name(kinds, given, message):
    with pytest.raises(UserError, match=message):
        guess("x", columns(**kinds), given)


def test_flags_go_before_the_model_and_the_model_before_names():
    kinds = {"title": TEXT, "content": TEXT, "label": CLASSES, "other": CLASSES}
    saved = {"text": "content", "pair": "gone", "label": "other"}
    found = guess("x", columns(**kinds), {"label": "label"}, saved)
    assert (found.roles.text, found.roles.pair, found.roles.label) == ("content", None, "label")
    found = guess("x", columns(**kinds), {"text": "title", "pair": "content", "label": "label"})
    assert found.guessed == ()
    pairs = {"premise": TEXT, "hypothesis": TEXT, "label": CLASSES}
    with pytest.raises(UserError, match="could be the text"):
        guess("x", columns(**pairs), {"pair": ""})


def test_rows_of_files_are_numbered_as_in_them(tmp_path):
    sets.write("csv", tmp_path, {"train-0": sets.rows_of(0, 5), "train-1": sets.rows_of(1, 5)})
    (tmp_path / "csv" / "train-1.csv").write_text("sentence,label\ngood,1\nbad\n")
    with pytest.raises(UserError, match=r"train-1.csv:3: columns: found 1, expected 2"):
        read(tmp_path, slice(None))
    (tmp_path / "csv" / "train-1.csv").write_text("sentence,label\ngood,1\nbad,0\n")
    table = read(tmp_path, slice(4, 7))
    assert [table.where(i).rpartition("/")[2] for i in range(3)] == [
        "train-0.csv:6", "train-1.csv:2", "train-1.csv:3",
    ]  # fmt: skip
    kept = table.select([2])
    assert (kept.rows, kept.where(0)[-13:]) == ([["bad", "0"]], "train-1.csv:3")


def read(folder, part):
    source = open_source(f"csv:{folder / 'csv'}")
    roles = guess("x", source.columns("train"), {"ids": ""}).roles
    return source.read("train", roles, np.arange(7)[part])
