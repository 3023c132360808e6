"""Google's instances: the original's, number by number."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from bert_tf.data.pretraining.google_instances import (
    GoogleRecipe,
    InstanceMaker,
    read_documents,
    to_example,
)
from bert_tf.data.pretraining.text import TextReader
from bert_tf.errors import UserError
from tests.data.pretraining import google_text


@pytest.fixture
def instances(tokenizer, tmp_path):
    path = google_text.write(tmp_path / "text.txt")

    def make(recipe):
        documents = read_documents(TextReader([path], "blank_lines").lines(), tokenizer)
        return InstanceMaker(documents, tokenizer.vocab, recipe).instances()

    return make


# Made with the pairing of tf-models-official's create_pretraining_data.py and the masking of
# google-research/bert's, on the text of google_text.
@pytest.mark.parametrize(
    ("recipe", "count", "first", "digest"),
    [
        (
            GoogleRecipe(32, 5, 0.15, False, 0.1, 5, 12345),
            121,
            ([2, 5, 3, 25, 4, 29, 5, 30, 5, 6, 9, 8, 4, 12, 17, 3], 3, [4, 12], [22, 9], True),
            "06939b26b529959e5a20d8f8fcbfc3cd95b9d823e3c6e5e1f350fc348c4676f9",
        ),
        (
            GoogleRecipe(24, 20, 0.3, True, 0.5, 3, 7),
            97,
            (
                [2, 4, 22, 25, 4, 11, 3, 22, 29, 5, 30, 6, 11, 18, 4, 29, 4, 4, 3],
                7, [1, 4, 14, 15, 16, 17], [21, 1, 16, 29, 12, 25], True,
            ),
            "cd51c117d64e20c3d7adff66dba64b9d339ff8e8827eb13282b60118db621512",
        ),
    ],
)  # fmt: skip
def test_instances_are_the_originals(instances, recipe, count, first, digest):
    found = [dataclasses.astuple(instance) for instance in instances(recipe)]
    assert len(found) == count
    assert found[0] == first
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest() == digest


def test_examples_are_padded(instances):
    recipe = GoogleRecipe(max_seq_length=32, max_predictions_per_seq=5, dupe_factor=1)
    for instance in instances(recipe):
        example = to_example(instance, recipe)
        length = int(example["input_mask"].sum())
        assert example["input_ids"][:length].tolist() == instance.input_ids
        assert not example["input_ids"][length:].any()
        assert example["segment_ids"].sum() == length - instance.first_length
        count = int(example["masked_lm_weights"].sum())
        assert count == min(5, max(1, round(0.15 * length)))
        assert example["masked_lm_positions"][:count].tolist() == instance.positions
        assert not example["masked_lm_ids"][count:].any()
        assert {name: value.dtype for name, value in example.items()} == {
            **dict.fromkeys(
                ["input_ids", "input_mask", "segment_ids", "masked_lm_positions",
                 "masked_lm_ids", "next_sentence_labels"], np.int64,
            ),
            "masked_lm_weights": np.float32,
        }  # fmt: skip


def test_no_text(tokenizer):
    with pytest.raises(UserError, match="the corpus is empty"):
        read_documents([None, None], tokenizer)
