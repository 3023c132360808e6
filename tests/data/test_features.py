import concurrent.futures
import dataclasses
import os
import shutil
import threading

import numpy as np
import pytest
from absl import logging

from bert_tf.data import features
from bert_tf.data.examples import Examples
from bert_tf.data.features import build_features
from bert_tf.errors import UserError


def same(a, b):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name)) and getattr(a, name).dtype == dtype
        for name, dtype in [
            ("ids", np.int32), ("offsets", np.int64), ("first_lengths", np.int32),
            ("labels", np.int32), ("lengths", np.int32),
        ]
    )  # fmt: skip


def test_batches_are_padded_masked_and_typed(tokenizer, examples):
    store = build_features(examples, tokenizer, 16)
    assert len(store) == 3
    assert store.lengths.tolist() == [7, 6, 4]
    inputs, labels = store.batch([2, 0])
    assert inputs["input_word_ids"].tolist() == [[2, 3, 11, 3, 0, 0, 0], [2, 13, 13, 15, 3, 11, 3]]
    assert inputs["input_mask"].tolist() == [[1, 1, 1, 1, 0, 0, 0], [1] * 7]
    assert inputs["input_type_ids"].tolist() == [[0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1]]
    assert {array.dtype for array in inputs.values()} == {np.dtype(np.int32)}
    assert labels.tolist() == [1, 1]


def test_padded_lengths(tokenizer, examples):
    store = build_features(examples, tokenizer, 16)
    assert store.batch([2])[0]["input_mask"].shape == (1, 4)
    assert store.batch([0, 1], pad_multiple=4)[0]["input_mask"].shape == (2, 8)
    assert store.batch([2], pad_multiple=4)[0]["input_mask"].shape == (1, 4)
    assert store.batch([2], pad_to=16)[0]["input_mask"].shape == (1, 16)
    with pytest.raises(ValueError, match="7 tokens does not fit pad_to=5"):
        store.batch([0], pad_to=5)


def test_some_examples_are_a_store_of_their_own(tokenizer, examples):
    store = build_features(examples, tokenizer, 16)
    taken = store.taken([2, 0])
    (found, labels), (expected, wanted) = taken.batch([0, 1]), store.batch([2, 0])
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in expected.items()}
    assert labels.tolist() == wanted.tolist() and len(taken) == 2
    prints = {store.fingerprint, taken.fingerprint, store.taken([0, 2]).fingerprint}
    assert len(prints) == 3 and len(store.taken([])) == 0


def test_a_store_is_built_once(tmp_path, tokenizer, examples):
    first = build_features(examples, tokenizer, 16, tmp_path / "cache")
    again = build_features(examples, tokenizer, 16, tmp_path / "cache")
    assert tokenizer.calls == 1
    assert same(first, again)
    assert first.fingerprint == again.fingerprint
    assert isinstance(again.ids, np.memmap)
    assert same(first, build_features(examples, tokenizer, 16))


@pytest.mark.parametrize(
    "what", ["text", "boundary", "label", "length", "cut", "tokenizer", "no_pair"]
)
def test_a_change_builds_another_store(tmp_path, tokenizer, examples, what):
    first = build_features(examples, tokenizer, 16, tmp_path)
    length, cut = 16, "head"
    if what == "text":
        examples = dataclasses.replace(examples, text_a=["one two three", "five", ""])
    elif what == "boundary":  # the same characters, in other texts
        examples = dataclasses.replace(examples, text_a=["one two thre", "efour", ""])
    elif what == "label":
        examples = dataclasses.replace(examples, labels=np.array([1, 1, 1], np.int32))
    elif what == "length":
        length = 5
    elif what == "cut":
        cut = "tail"
    elif what == "tokenizer":
        tokenizer.fingerprint = "words-2"
    else:
        examples = dataclasses.replace(examples, text_b=None)
    second = build_features(examples, tokenizer, length, tmp_path, cut)
    assert (tokenizer.calls, tokenizer.truncation) == (2, cut)
    assert first.fingerprint != second.fingerprint
    assert len(os.listdir(tmp_path)) == 2  # the first one stays for whoever uses it


def test_the_choice_of_a_cut_left_older_stores_valid(tokenizer, examples):
    texts = (examples.text_a, examples.text_b, examples.labels)
    before = features.fingerprint(1, tokenizer.fingerprint, 16, *texts)
    assert build_features(examples, tokenizer, 16).fingerprint == before
    assert build_features(examples, tokenizer, 16, truncation="head").fingerprint == before


@pytest.mark.parametrize("file", ["ids.npy", "offsets.npy", "labels.npy", "store.json"])
@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped", "missing"])
def test_a_damaged_store_is_built_again_with_one_warning(
    tmp_path, tokenizer, examples, monkeypatch, file, damage
):
    first = build_features(examples, tokenizer, 16, tmp_path)
    expected = np.array(first.ids)
    path = next(tmp_path.iterdir()) / file
    data = path.read_bytes()
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda *args: warnings.append(args))
    path.unlink()
    if damage != "missing":
        flipped = data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]
        damaged = {"truncated": data[: len(data) // 2], "emptied": b"", "flipped": flipped}
        path.write_bytes(damaged[damage])
    again = build_features(examples, tokenizer, 16, tmp_path)
    assert len(warnings) == 1
    assert np.array_equal(again.ids, expected)
    build_features(examples, tokenizer, 16, tmp_path)
    assert (tokenizer.calls, len(warnings)) == (2, 1)


def test_builders_that_find_the_same_damage_remove_it_once(
    tmp_path, tokenizer, examples, monkeypatch
):
    expected = np.array(build_features(examples, tokenizer, 16, tmp_path).ids)
    (folder,) = tmp_path.iterdir()
    (folder / "ids.npy").write_bytes(b"damaged")
    load, rmtree, removed, builders = features._load, shutil.rmtree, [], threading.Barrier(4)

    def load_together(path):
        try:
            return load(path)
        except ValueError:
            if not removed and not any(tmp_path.glob(".*.lock")):
                builders.wait(10)  # all have found the damage before one does anything about it
            raise

    def watched(path, **kwargs):
        removed.extend([path] if path == folder else [])
        rmtree(path, **kwargs)

    monkeypatch.setattr(features, "_load", load_together)
    monkeypatch.setattr(features.shutil, "rmtree", watched)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        stores = list(
            pool.map(lambda _: build_features(examples, tokenizer, 16, tmp_path), range(4))
        )
    assert all(np.array_equal(store.ids, expected) for store in stores)
    assert removed == [folder]
    assert list(tmp_path.iterdir()) == [folder]


def test_concurrent_builders_do_not_clash(tmp_path, tokenizer, examples):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        stores = list(
            pool.map(lambda _: build_features(examples, tokenizer, 16, tmp_path), range(8))
        )
    assert all(same(store, stores[0]) for store in stores)
    assert len(os.listdir(tmp_path)) == 1  # no temporary folder is left


def test_a_store_survives_the_removal_of_its_folder(tmp_path, tokenizer, examples):
    store = build_features(examples, tokenizer, 16, tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    assert store.batch([1])[0]["input_word_ids"].tolist() == [[2, 14, 3, 12, 13, 3]]


def test_an_unwritable_folder_is_named(tmp_path, tokenizer, examples):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot write the features"):
        build_features(examples, tokenizer, 16, tmp_path / "file" / "cache")


def test_unlabelled_and_scored_examples(tmp_path, tokenizer):
    plain = Examples(["0"], ["a b"], None, None, "x")
    for _ in range(2):
        inputs, labels = build_features(plain, tokenizer, 8, tmp_path).batch([0])
        assert labels is None
        assert inputs["input_type_ids"].tolist() == [[0, 0, 0, 0]]
    scored = dataclasses.replace(plain, labels=np.array([2.5], np.float32))
    labels = build_features(scored, tokenizer, 8, tmp_path).batch([0])[1]
    assert (labels.tolist(), labels.dtype) == ([2.5], np.float32)


def test_fingerprints_tell_order_and_kind_apart():
    values = [("a", "b"), ("ab",), (["a", "b"],), (["b", "a"],), (None,), (1,), ("1",),
              (np.array([1]),), (np.array([1.0]),), (np.array([1], np.int32),)]  # fmt: skip
    assert len({features.fingerprint(*parts) for parts in values}) == len(values)
