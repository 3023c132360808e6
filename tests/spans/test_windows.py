"""Windows and the places of answers: by hand, and against Google's program."""

import numpy as np
import pytest

from bert_tf.errors import UserError
from bert_tf.spans import windows as windows_lib
from bert_tf.spans.data import read_questions
from bert_tf.spans.windows import WindowShape, build_windows
from tests import needs, tiny


def pieces(store, tokenizer, i):
    ids = store.ids[store.offsets[i] : store.offsets[i + 1]]
    return " ".join(tokenizer.vocab.tokens[k] for k in ids)


def test_windows_by_hand(squad, tokenizer):
    context = "The film was a Great, lovely story."
    questions = squad(tiny.paragraph(context, ("q", "Was it very good?", ["Great, lovely"])))
    store = build_windows(questions, tokenizer, WindowShape(12, 3, 3))
    assert [pieces(store, tokenizer, i) for i in range(len(store))] == [
        "[CLS] was it very [SEP] the film was a great , [SEP]",
        "[CLS] was it very [SEP] a great , lovely story . [SEP]",
    ]
    assert store.labels.tolist() == [[0, 0], [6, 8]]
    assert store.windows.tolist() == [[0, 0], [0, 3]]
    assert store.first_lengths.tolist() == [5, 5]
    assert store.context_lengths.tolist() == [6, 6]
    spans = store.spans_of(0)
    assert [context[a:b] for a, b in spans] == [
        "The", "film", "was", "a", "Great", ",", "lovely", "story", ".",
    ]  # fmt: skip
    inputs, labels = store.batch([1, 0])
    assert inputs["input_type_ids"][0].tolist() == [0] * 5 + [1] * 7
    assert labels.tolist() == [[6, 8], [0, 0]]


def test_an_answer_of_a_part_of_a_word_takes_the_word(squad, tokenizer):
    questions = squad(tiny.paragraph("so goods.", ("q", "what", ["good"]), ("r", "what", ["ods"])))
    store = build_windows(questions, tokenizer, WindowShape(16, 8, 4))
    assert pieces(store, tokenizer, 0) == "[CLS] [UNK] [SEP] so good ##s . [SEP]"
    assert store.labels.tolist() == [[4, 4], [4, 5]]


def test_no_answer_no_context_and_no_labels(squad, tokenizer):
    paragraphs = [
        tiny.paragraph("the film", ("q", "was it good", [])),
        tiny.paragraph("\u200b ", ("r", "was it good", [])),
    ]
    store = build_windows(squad(*paragraphs), tokenizer, WindowShape(16, 8, 4))
    assert pieces(store, tokenizer, 1) == "[CLS] was it good [SEP] [SEP]"
    assert store.labels.tolist() == [[0, 0], [0, 0]]
    bare = build_windows(squad(*paragraphs), tokenizer, WindowShape(16, 8, 4), labelled=False)
    assert (bare.labels == -1).all() and bare.fingerprint != store.fingerprint


def test_an_answer_that_bert_drops_is_refused(squad, tokenizer):
    questions = squad(tiny.paragraph("so \u200bgood", ("q", "what", ["\u200b"])))
    with pytest.raises(UserError, match="question 'q': its answer '\\\\u200b' is of characters"):
        build_windows(questions, tokenizer, WindowShape(16, 8, 4))


def test_windows_are_stored_once(squad, tokenizer, tmp_path, monkeypatch):
    questions = squad(tiny.paragraph("the film was good", ("q", "was it", ["good"])))
    shape = WindowShape(8, 2, 3)
    first = build_windows(questions, tokenizer, shape, tmp_path)
    monkeypatch.setattr(windows_lib, "_encode", None)
    again = build_windows(questions, tokenizer, shape, tmp_path)
    for name in ("ids", "offsets", "labels", "windows", "spans", "span_offsets"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert again.questions is questions
    for other in (WindowShape(9, 2, 3), WindowShape(8, 1, 3), WindowShape(8, 2, 2)):
        with pytest.raises(TypeError):  # built anew
            build_windows(questions, tokenizer, other, tmp_path)


def test_the_fingerprint_is_of_all_answers(squad, tokenizer):
    """They decide the metrics of a run, which a resumed one goes on comparing."""
    shape, context = WindowShape(16, 8, 4), "so good a good film"
    every = [["good"], ["good", "film"], ["good", "film", "so"], ["good", ("good", 10)], []]
    files = [squad(tiny.paragraph(context, ("q", "was it", answers))) for answers in every]
    found = {build_windows(questions, tokenizer, shape).fingerprint for questions in files}
    assert len(found) == len(every)


@needs.tf_models
@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_google(seed, negative, random_questions, tokenizer):
    from official.nlp.data import squad_lib

    path = random_questions(seed, negative)
    shape = WindowShape(24, 5 + seed, 8)
    theirs = []
    squad_lib.convert_examples_to_features(
        squad_lib.read_squad_examples(str(path), True, negative),
        Theirs(tokenizer), shape.max_seq_length, shape.doc_stride, shape.max_query_length,
        is_training=True, output_fn=theirs.append,
    )  # fmt: skip
    store = build_windows(read_questions(path), tokenizer, shape)
    assert len(store) == len(theirs) > len(store.questions)
    inputs, labels = store.batch(np.arange(len(store)), pad_to=shape.max_seq_length)
    for name, key in (
        ("input_word_ids", "input_ids"),
        ("input_mask", "input_mask"),
        ("input_type_ids", "segment_ids"),
    ):
        np.testing.assert_array_equal(inputs[name], [getattr(f, key) for f in theirs])
    assert labels.tolist() == [[f.start_position, f.end_position] for f in theirs]
    assert store.windows[:, 0].tolist() == [f.example_index for f in theirs]


class Theirs:
    """Our tokenizer with the methods of theirs."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def tokenize(self, text):
        return self._tokenizer.tokens([text])[0]

    def convert_tokens_to_ids(self, tokens):
        return [self._tokenizer.vocab.ids[token] for token in tokens]
