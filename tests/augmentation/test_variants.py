"""Variants of a text: what is replaced, how often, and what stays."""

import re

import pytest

from bert_tf.augmentation.variants import Slot, variants

TEXT = "  A Good  film,\tvery good. "
SLOTS = [Slot(4, 8, ("fine", "nice", "great")), Slot(10, 14, ("story", "plot")),
         Slot(21, 25, ("poor",))]  # fmt: skip


@pytest.mark.parametrize("row", range(5))
def test_a_text_has_up_to_as_many_variants_as_attempts_and_none_is_itself(row):
    found = variants(TEXT, SLOTS, 30, 0.4, (42, row))
    assert 1 <= len(found) <= 30
    assert len(set(found)) == len(found) and TEXT not in found


def test_all_but_the_words_stays_as_it_is_written():
    pattern = r"  A (Good|fine|nice|great)  (film|story|plot),\tvery (good|poor)\. "
    found = variants(TEXT, SLOTS, 200, 0.5, (0, 0))
    assert all(re.fullmatch(pattern, text) for text in found)
    assert len(found) == 4 * 3 * 2 - 1  # each of them comes up in 200 attempts


def test_the_probability_is_that_of_each_word():
    every = variants(TEXT, SLOTS, 50, 1.0, (0, 0))
    assert len(every) == 6
    assert not any("Good" in text or "film" in text or "good" in text for text in every)
    slots = [Slot(i, i + 1, ("y",)) for i in range(0, 400, 2)]
    (text,) = variants("x " * 200, slots, 1, 0.4, (1, 2))
    assert 55 < text.count("y") < 105


def test_the_draws_are_those_of_the_stream():
    first = variants(TEXT, SLOTS, 5, 0.4, (42, 3, 0))
    assert first == variants(TEXT, SLOTS, 5, 0.4, (42, 3, 0))
    others = [
        variants(TEXT, SLOTS, 5, 0.4, stream) for stream in ((42, 4, 0), (42, 3, 1), (7, 3, 0))
    ]
    assert first not in others
    # More attempts go on where fewer end.
    assert variants(TEXT, SLOTS, 9, 0.4, (42, 3, 0))[: len(first)] == first


def test_a_text_without_slots_has_none():
    assert variants("it is what it is", [], 30, 0.4, (0, 0)) == []
