"""Answers from logits: by hand, and against Google's program; texts as the file has them."""

import json
import types

import numpy as np
import pytest

from bert_tf.spans.data import read_questions
from bert_tf.spans.decoding import Decoding, Guess, decode, probabilities
from bert_tf.spans.evaluation import window_losses, write_predictions
from bert_tf.spans.windows import WindowShape, build_windows
from tests import needs, tiny
from tests.spans.test_windows import Theirs

CONTEXT = "Die  CAFÉ-Bar\u00a0war “the Film”, very\tgood\u0301!"


def store_of(questions, tokenizer, shape=None):
    return build_windows(questions, tokenizer, shape or WindowShape(64, 16, 8), labelled=False)


def logits_for(store, *answers, null=0.0):
    """Logits that answer: ((first piece, last piece of the context), score)."""
    logits = np.full([int(store.offsets[-1]), 2], -5.0, np.float32)
    logits[store.offsets[:-1]] = null / 2
    for window, (first, last), score in answers:
        begin = store.offsets[window] + store.first_lengths[window] - store.windows[window, 1]
        logits[begin + first, 0] = logits[begin + last, 1] = score / 2
    return logits


def test_answers_are_the_texts_own(squad, tokenizer):
    store = store_of(squad(tiny.paragraph(CONTEXT, ("q", "was it", []))), tokenizer)
    texts = [CONTEXT[a:b] for a, b in store.spans_of(0)]
    assert texts == [
        "Die", "CAFÉ", "-", "Bar", "war", "“", "the", "Film", "”", ",", "very", "good\u0301", "!",
    ]  # fmt: skip
    for (first, last), expected in {
        (1, 3): "CAFÉ-Bar",
        (0, 4): "Die  CAFÉ-Bar\u00a0war",
        (6, 8): "the Film”",
        (10, 11): "very\tgood\u0301",
    }.items():
        found = decode(store, logits_for(store, (0, (first, last), 8.0)), Decoding())[0]
        assert found.answer == found.n_best[0].text == expected
        assert found.null_odds is None
        assert (found.n_best[0].start_logit, found.n_best[0].end_logit) == (4.0, 4.0)


def test_long_answers_are_passed_over(squad, tokenizer):
    store = store_of(squad(tiny.paragraph(CONTEXT, ("q", "was it", []))), tokenizer)
    logits = logits_for(store, (0, (1, 3), 6.0), (0, (6, 11), 8.0))
    assert decode(store, logits, Decoding(max_answer_length=6))[0].answer.startswith("the Film")
    assert decode(store, logits, Decoding(max_answer_length=3))[0].answer == "CAFÉ-Bar"


def test_a_window_where_no_best_end_follows_a_best_start(squad, tokenizer):
    """Google answers `empty`; there is an answer, though none of the best pairs is one."""
    store = store_of(squad(tiny.paragraph("the film was good", ("q", "was", []))), tokenizer)
    logits = logits_for(store)
    begin = store.first_lengths[0]
    logits[begin + 3, 0] = logits[begin, 1] = 3.0
    logits[begin + 3, 1] = -4.0
    found = decode(store, logits, Decoding(n_best_size=1))[0]
    assert found.answer == "good" and len(found.n_best) == 1


def test_no_answer(squad, tokenizer):
    store = store_of(
        squad(
            tiny.paragraph("the film was good", ("a", "was", []), ("b", "was", [])),
            tiny.paragraph("\u200b", ("c", "was", [])),
        ),
        tokenizer,
    )
    logits = logits_for(store, (0, (3, 3), 4.0), (1, (3, 3), 4.0), null=3.0)
    decoding = Decoding(with_negative=True)
    found = decode(store, logits, decoding)
    assert [one.answer for one in found] == ["good", "good", ""]
    assert [one.null_odds for one in found] == [-1.0, -1.0, 0.0]
    assert [guess.text for guess in found[0].n_best[:2]] == ["good", ""]
    strict = Decoding(with_negative=True, null_score_diff_threshold=-1.5)
    assert [one.answer for one in decode(store, logits, strict)] == ["", "", ""]
    assert decode(store, logits, strict)[0].non_null == "good"
    few = decode(store, logits_for(store, (0, (3, 3), 1.0), null=3.0), Decoding(1, 30, True))[0]
    assert (few.answer, few.non_null, few.null_odds) == ("", "good", 2.0)
    assert few.n_best == [Guess("", 1.5, 1.5)]
    assert [one.answer for one in decode(store, logits, Decoding())] == ["good", "good", ""]


def test_the_window_with_most_context_answers(squad, tokenizer):
    """Of two windows that have a piece, the one where it stands at the edge may not begin there."""
    context = "the film was a story and plot"
    store = store_of(
        squad(tiny.paragraph(context, ("q", "was", []))), tokenizer, WindowShape(9, 2, 1)
    )
    assert store.windows[:, 1].tolist() == [0, 2]
    logits = logits_for(store, (0, (4, 4), 8.0), (1, (4, 4), 2.0))
    assert decode(store, logits, Decoding())[0].n_best[0] == Guess("story", 1.0, 1.0)


def test_probabilities():
    shares = probabilities([Guess("a", 1000.0, 1.0), Guess("b", 999.0, 2.0), Guess("c", 0.0, 0.0)])
    assert shares == [0.5, 0.5, 0.0]


def test_losses_of_windows_of_different_lengths(squad, tokenizer):
    import tensorflow as tf

    from bert_tf.heads import span_losses

    questions = squad(
        tiny.paragraph("the film was a story and plot", ("q", "was", ["story"])),
        tiny.paragraph("good", ("r", "was", ["good"])),
    )
    store = build_windows(questions, tokenizer, WindowShape(9, 2, 1))
    logits = np.random.default_rng(0).normal(size=[store.offsets[-1], 2]).astype(np.float32)
    for i, loss in enumerate(window_losses(store, logits)):
        part = tf.constant(logits[None, store.offsets[i] : store.offsets[i + 1]])
        assert span_losses(store.labels[i : i + 1], part).numpy()[0] == pytest.approx(loss, 1e-5)


def test_files(squad, tokenizer, tmp_path):
    store = store_of(squad(tiny.paragraph(CONTEXT, ("z", "was", []), ("a", "it", []))), tokenizer)
    logits = logits_for(store, (0, (1, 3), 6.0), (1, (0, 0), 2.0), null=3.0)
    write_predictions(tmp_path, store, decode(store, logits, Decoding()))
    assert not (tmp_path / "null_odds.json").exists()
    write_predictions(tmp_path, store, decode(store, logits, Decoding(with_negative=True)))
    answers = json.loads((tmp_path / "predictions.json").read_text("utf-8"))
    assert list(answers.items()) == [("z", "CAFÉ-Bar"), ("a", "")]
    n_best = json.loads((tmp_path / "nbest_predictions.json").read_text("utf-8"))
    assert list(n_best["z"][0]) == ["text", "probability", "start_logit", "end_logit"]
    assert sum(guess["probability"] for guess in n_best["a"]) == pytest.approx(1)
    assert json.loads((tmp_path / "null_odds.json").read_text("utf-8")) == {"z": -3.0, "a": 1.0}


@needs.tf_models
@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_google(seed, negative, random_questions, tokenizer):
    """Predictions, n-best with logits and probabilities, and odds, on random logits."""
    from official.nlp.data import squad_lib

    path, shape = random_questions(seed, negative), WindowShape(24, 5 + seed, 8)
    examples, features = squad_lib.read_squad_examples(str(path), False, negative), []
    squad_lib.convert_examples_to_features(
        examples, Theirs(tokenizer), shape.max_seq_length, shape.doc_stride,
        shape.max_query_length, is_training=False, batch_size=1,
        output_fn=lambda feature, is_padding: None if is_padding else features.append(feature),
    )  # fmt: skip
    store = store_of(read_questions(path), tokenizer, shape)
    assert len(features) == len(store)
    # Whole numbers make ties, whose order counts, too.
    rng = np.random.default_rng(seed)
    logits = rng.integers(-6, 6, [int(store.offsets[-1]), 2]).astype(np.float32)
    logits[store.offsets[:-1]] += 3
    results = []
    for i, feature in enumerate(features):
        part = logits[store.offsets[i] : store.offsets[i + 1]].astype(float)
        padding = [-1e9] * (shape.max_seq_length - len(part))
        results.append(
            types.SimpleNamespace(
                unique_id=feature.unique_id,
                start_logits=[*part[:, 0].tolist(), *padding],
                end_logits=[*part[:, 1].tolist(), *padding],
            )
        )
    size, length, threshold = 5 + seed, 4, -1.0 * seed
    answers, n_best, odds = squad_lib.postprocess_output(
        examples, features, results, size, length, True, negative, threshold
    )
    found = decode(store, logits, Decoding(size, length, negative, threshold))
    for question, one in zip(store.questions.questions, found, strict=True):
        listed = [
            {
                "text": g.text,
                "probability": p,
                "start_logit": g.start_logit,
                "end_logit": g.end_logit,
            }
            for g, p in zip(one.n_best, probabilities(one.n_best), strict=True)
        ]
        if not {guess["text"] for guess in n_best[question.id]} - {"", "empty"}:
            continue  # where ours looks further
        assert one.answer == answers[question.id]
        assert [{**g, "probability": 0} for g in listed] == [
            {**g, "probability": 0} for g in n_best[question.id]
        ]
        np.testing.assert_allclose(
            [g["probability"] for g in listed],
            [g["probability"] for g in n_best[question.id]],
        )
        assert not negative or one.null_odds == odds[question.id]
