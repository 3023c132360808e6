"""SQuAD's metrics against numbers by hand, and against its own scripts in tf-models-official."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf.spans.metrics import (
    best_scores,
    best_threshold,
    exact_match,
    f1,
    normalize_answer,
    squad_metrics,
)
from tests import needs


def test_normalisation():
    assert normalize_answer(" The  Cat, a Hat\tand AN (owl)! ") == "cat hat and owl"
    assert normalize_answer("theory") == "theory"
    assert normalize_answer("U.S.A.") == "usa"
    assert normalize_answer("the") == normalize_answer("...") == ""
    assert normalize_answer("l’été – 5 %") == "l’été – 5"  # ASCII punctuation alone


@pytest.mark.parametrize(
    ("gold", "prediction", "exact", "overlap"),
    [
        ("the cat", "Cat!", 1, 1),
        ("cat sat", "cat", 0, 2 / 3),
        ("cat", "dog", 0, 0),
        ("a b b c", "b b d", 0, 2 * (2 / 3) * (2 / 3) / (4 / 3)),  # the article goes
        ("b b", "b", 0, 2 / 3),
        ("1895-1943", "1895", 0, 0),
        ("", "cat", 0, 0),
        ("The", "", 1, 0),  # SQuAD 1.1: nothing shared
    ],
)
def test_scores_by_hand(gold, prediction, exact, overlap):
    assert exact_match(gold, prediction) == exact
    assert f1(gold, prediction) == pytest.approx(overlap)


def test_the_best_of_several_answers_counts():
    assert best_scores(("Denver Broncos", "Broncos", "the Broncos"), "broncos") == (1, 1)
    assert best_scores(("in 1999", "May 1999"), "1999 May") == (0, 1)


def test_questions_without_an_answer():
    assert best_scores((), "", True) == (1, 1)
    assert best_scores((), "cat", True) == (0, 0)
    assert best_scores(("the", "cat"), "", True) == (0, 0)  # 'the' is no answer beside another
    assert best_scores(("the",), "", True) == (1, 1)
    answers = [("cat",), (), ("big dog", "dog"), ()]
    found = squad_metrics(answers, ["cat", "", "big", "owl"], [0.0] * 4)
    assert found == {
        "f1": pytest.approx((1 + 1 + 2 / 3) / 4),
        "exact_match": 0.5,
        "has_answer_f1": pytest.approx((1 + 2 / 3) / 2),
        "has_answer_exact_match": 0.5,
        "no_answer_f1": 0.5,
        "no_answer_exact_match": 0.5,
    }
    assert set(squad_metrics([("cat",)], ["cat"], [0.0])) == {
        "f1", "exact_match", "has_answer_f1", "has_answer_exact_match",
    }  # fmt: skip
    assert squad_metrics([("cat",), ("dog",)], ["cat", ""]) == {"f1": 0.5, "exact_match": 0.5}


def test_the_best_threshold():
    answers, texts = [("cat",), (), ("dog",)], ["cat", "x", "dog"]
    found = best_threshold(answers, texts, [-3.0, 5.0, 1.0])
    assert found["best_f1"] == found["best_exact_match"] == 1
    assert found["best_f1_threshold"] == 1.0  # answers what is at it, not what is above
    silent = best_threshold([(), ()], ["x", "y"], [-4.0, 2.0])
    assert silent["best_f1"] == 1 and silent["best_f1_threshold"] < -4
    tied = best_threshold([("cat",), ()], ["cat", "x"], [1.0, 1.0])
    assert tied["best_f1"] == 0.5  # no threshold parts the two


WORDS = st.lists(st.sampled_from(["the", "cat", "Cat!", "a", "dog", "1895", "-", "é"]), max_size=4)
TEXTS = WORDS.map(" ".join)


@needs.tf_models
@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.lists(TEXTS, min_size=1, max_size=3), TEXTS), min_size=1, max_size=5))
def test_equal_to_the_script_of_1_1(rows):
    from official.nlp.tools import squad_evaluate_v1_1 as script

    qas = [
        {"id": str(i), "answers": [{"text": a} for a in golds]} for i, (golds, _) in enumerate(rows)
    ]
    predictions = {str(i): text for i, (_, text) in enumerate(rows)}
    theirs = script.evaluate([{"paragraphs": [{"qas": qas}]}], predictions)
    ours = squad_metrics([golds for golds, _ in rows], list(predictions.values()))
    assert ours["exact_match"] == pytest.approx(theirs["exact_match"])
    assert ours["f1"] == pytest.approx(theirs["final_f1"])


@needs.tf_models
@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.lists(TEXTS, max_size=3), TEXTS, st.floats(-5, 5, width=16)),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row[2],
    ),
    st.floats(-5, 5, width=16),
)
def test_equal_to_the_script_of_2_0(rows, threshold):
    from official.nlp.tools import squad_evaluate_v2_0 as script

    qas = [
        {"id": str(i), "answers": [{"text": a} for a in golds]}
        for i, (golds, *_) in enumerate(rows)
    ]
    names = [str(i) for i in range(len(rows))]
    texts = {name: row[1] for name, row in zip(names, rows, strict=True)}
    odds = {name: row[2] for name, row in zip(names, rows, strict=True)}
    answers = [golds for golds, *_ in rows]
    data = [{"paragraphs": [{"qas": qas}]}]
    theirs = script.evaluate(data, texts, odds)
    best = best_threshold(answers, list(texts.values()), list(odds.values()))
    assert best["best_f1"] == pytest.approx(theirs["final_f1"] / 100)
    assert best["best_exact_match"] == pytest.approx(theirs["final_exact"] / 100)
    assert math.isfinite(best["best_f1_threshold"])
    cut = {name: text if odds[name] <= threshold else "" for name, text in texts.items()}
    theirs = script.evaluate(data, cut)
    ours = squad_metrics(answers, list(cut.values()), list(odds.values()))
    names = {"f1": "f1", "exact_match": "exact"}
    wanted = {ours: theirs[key] / 100 for ours, key in names.items()}
    for prefix, part in (("has_answer", "HasAns"), ("no_answer", "NoAns")):
        if f"{part}_f1" in theirs:
            wanted |= {f"{prefix}_{n}": theirs[f"{part}_{k}"] / 100 for n, k in names.items()}
    assert ours == pytest.approx(wanted)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.lists(TEXTS.filter(normalize_answer), max_size=2), TEXTS, st.integers(-2, 2)),
        min_size=1,
        max_size=6,
    )
)
def test_the_best_threshold_gives_what_it_says(rows):
    """Answering by it has the score that was promised, equal odds included."""
    answers = [golds for golds, *_ in rows]
    texts, odds = [row[1] for row in rows], [float(row[2]) for row in rows]
    best = best_threshold(answers, texts, odds)
    by_hand = []
    for at in (-9.0, *odds):
        cut = [text if x <= at else "" for text, x in zip(texts, odds, strict=True)]
        by_hand.append(_score(answers, cut))
    assert best["best_f1"] == pytest.approx(max(by_hand))
    at = best["best_f1_threshold"]
    cut = [text if x <= at else "" for text, x in zip(texts, odds, strict=True)]
    assert _score(answers, cut) == pytest.approx(best["best_f1"])


def _score(answers, texts):
    """F1 as the threshold counts it: a silence is right where there is no answer, else wrong."""
    scores = [
        best_scores(golds, text, True)[1] if golds else float(not text)
        for golds, text in zip(answers, texts, strict=True)
    ]
    return sum(scores) / len(scores)
