"""Entities and their F1: an independent count of hand-made and random predictions."""

import itertools
import types

import numpy as np
import pytest

from bert_tf.tagging import entities, metrics

# conlleval.pl's rules, word by word, as its two functions have them.


def chunk_ends(before, kind_before, prefix, kind):
    if before in ("E", "S", "L", "U"):
        return True
    if before in ("B", "I") and prefix in ("B", "S", "U", "O"):
        return True
    return before != "O" and kind_before != kind


def chunk_starts(before, kind_before, prefix, kind):
    if prefix in ("B", "S", "U"):
        return True
    if before in ("E", "S", "L", "U", "O") and prefix in ("E", "I", "L"):
        return True
    return prefix != "O" and kind_before != kind


def chunks(sentences):
    """{(sentence, first, last, type)} by a walk over the words."""
    found = set()
    for number, labels in enumerate(sentences):
        before, kind_before, begin = "O", "", None
        for place, label in enumerate([*labels, "O"]):
            prefix, _, kind = label.partition("-")
            if begin is not None and chunk_ends(before, kind_before, prefix, kind):
                found.add((number, begin, place - 1, kind_before))
                begin = None
            if chunk_starts(before, kind_before, prefix, kind):
                begin = place
            before, kind_before = prefix, kind
    return found


def scores(wanted, found):
    right = len(wanted & found)
    precision = right / len(found) if found else 0.0
    recall = right / len(wanted) if wanted else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def expected(gold, predicted):
    wanted, found = chunks(gold), chunks(predicted)
    kinds = {label.partition("-")[2] for labels in gold + predicted for label in labels} - {""}
    flat = [itertools.chain(*side) for side in (gold, predicted)]
    pairs = [a == b for a, b in zip(*flat, strict=True)]
    result = {**scores(wanted, found), "accuracy": sum(pairs) / len(pairs)}
    for kind in kinds:
        parts = [{chunk for chunk in x if chunk[3] == kind} for x in (wanted, found)]
        result |= {f"{name}_{kind}": value for name, value in scores(*parts).items()}
    return result


def computed(gold, predicted, scheme="iob2"):
    labels = sorted({label for labels in gold + predicted for label in labels})
    places = {label: i for i, label in enumerate(labels)}
    task = types.SimpleNamespace(labels=labels, scheme=scheme)
    offsets = np.cumsum([0, *map(len, gold)])
    flat = [np.array([places[x] for x in itertools.chain(*side)]) for side in (gold, predicted)]
    return metrics.compute(task, offsets, *flat)


HAND_MADE = {
    "all right": (["B-PER I-PER O B-LOC"], ["B-PER I-PER O B-LOC"]),
    "a word too few, and one too many": (
        ["B-PER I-PER O", "O B-LOC"],
        ["B-PER O O", "B-LOC I-LOC"],
    ),
    "another type": (["B-PER I-PER"], ["B-ORG I-ORG"]),
    "type changes inside": (["B-PER I-PER I-PER"], ["B-PER I-ORG I-PER"]),
    "IOB1, two that touch": (["I-PER I-PER B-PER O"], ["I-PER B-PER B-PER O"]),
    "I without B": (["O B-PER I-PER"], ["O I-PER I-PER"]),
    "over a sentence's end": (["O I-PER", "I-PER O"], ["O B-PER", "I-PER O"]),
    "IOBES": (["B-A I-A E-A S-A S-B"], ["B-A E-A S-A S-A S-B"]),
    "BILOU": (["B-A I-A L-A U-A U-B"], ["B-A L-A U-A U-A O"]),
    "nothing predicted": (["B-A I-A"], ["O O"]),
    "nothing there": (["O O O"], ["B-A O O"]),
    "a hyphen in the type": (["B-A-B I-A-B O"], ["B-A-B O O"]),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_hand_made_predictions_score_as_conlleval_counts(name):
    gold, predicted = ([text.split() for text in side] for side in HAND_MADE[name])
    assert computed(gold, predicted) == pytest.approx(expected(gold, predicted))


def test_numbers_that_were_counted_by_hand():
    gold = ["B-PER I-PER O B-LOC", "B-LOC O"]
    predicted = ["B-PER I-PER O B-PER", "B-LOC B-LOC"]
    found = computed([x.split() for x in gold], [x.split() for x in predicted])
    assert found["precision"] == 2 / 4 and found["recall"] == 2 / 3
    assert found["f1"] == pytest.approx(4 / 7) and found["accuracy"] == 4 / 6
    assert (found["precision_PER"], found["recall_PER"]) == (1 / 2, 1.0)
    assert (found["precision_LOC"], found["recall_LOC"]) == (1 / 2, 1 / 2)


@pytest.mark.parametrize("letters", ["BI", "BIES", "BILU"])
def test_random_labels_score_as_conlleval_counts(letters):
    rng = np.random.default_rng(len(letters))
    labels = ["O", *(f"{letter}-{kind}" for letter in letters for kind in ("A", "B"))]
    for _ in range(50):
        lengths = rng.integers(1, 9, rng.integers(1, 6))
        gold = [list(rng.choice(labels, n)) for n in lengths]
        found = [[x if rng.random() < 0.6 else str(rng.choice(labels)) for x in y] for y in gold]
        assert computed(gold, found) == pytest.approx(expected(gold, found))


def test_labels_of_no_entities_have_an_accuracy_only():
    assert computed([["NN", "VB"]], [["NN", "NN"]], "none") == {"accuracy": 0.5}


@pytest.mark.parametrize(
    ("texts", "scheme"),
    [
        (["O I-PER I-PER O", "I-PER B-PER"], "iob1"),
        (["O B-PER I-PER O", "B-PER B-PER"], "iob2"),
        (["O B-PER O"], "iob2"),
        (["S-PER O B-LOC E-LOC"], "iobes"),
        (["U-PER O B-LOC L-LOC"], "bilou"),
        (["NN VB NN"], "none"),
        (["O O O"], "none"),
        (["O B-PER NN"], "none"),
        (["S-A L-A"], "none"),
    ],
)
def test_the_scheme_is_recognised(texts, scheme):
    sentences = [text.split() for text in texts]
    offsets = np.cumsum([0, *map(len, sentences)])
    assert entities.recognise(list(itertools.chain(*sentences)), offsets) == scheme


@pytest.mark.parametrize(
    ("scheme", "text", "wrong"),
    [
        ("iob1", "I-A B-A I-A O B-A B-B", [4, 5]),
        ("iob2", "B-A I-A I-B O I-A", [2, 4]),
        ("iobes", "B-A I-A E-A S-A O B-A", [5]),
        ("iobes", "B-A S-A I-A E-B O E-A", [0, 2, 3, 5]),
        ("bilou", "B-A L-A U-A I-A L-A", [3]),
        ("none", "a b", []),
    ],
)
def test_what_breaks_a_scheme_is_found(scheme, text, wrong):
    labels = text.split()
    known = sorted(set(labels))
    numbers = np.array([known.index(label) for label in labels])
    alphabet = entities.Alphabet.of(known)
    found = entities.violations(numbers, alphabet, [0, len(labels)], scheme)
    assert found.tolist() == wrong
