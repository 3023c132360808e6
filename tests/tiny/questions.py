"""Tiny files of questions in SQuAD's form."""

import json
import pathlib

import numpy as np

from tests.tiny.files import BAD, GOOD, PLAIN


def question(name, text, context=None, answers=(), **more):
    """Returns the JSON of a question; its answers are texts, found in the context.

    Args:
      name: its id.
      text: the question.
      context: of the paragraph.
      answers: texts, or (text, answer_start); None leaves the key out.
      **more: other keys, such as `is_impossible`.
    """
    if answers is None:
        return {"id": name, "question": text, **more}
    pairs = [(a, context.index(a)) if isinstance(a, str) else a for a in answers]
    found = [{"text": a, "answer_start": start} for a, start in pairs]
    return {"id": name, "question": text, "answers": found, **more}


def paragraph(context, *questions):
    """Returns the JSON of a paragraph; questions are the arguments of `question` but context."""
    return {
        "context": context,
        "qas": [question(name, text, context, *more) for name, text, *more in questions],
    }


def write_squad(path, paragraphs, version="1.1"):
    """Writes a file of SQuAD with paragraphs of one article; returns the path."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    value = {"version": version, "data": [{"title": "Films", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def make_squad(folder, train=32, predict=16, negative=False):
    """Writes train.json and predict.json: which word of praise has the text? Returns the folder.

    Args:
      folder: where.
      train, predict: how many questions.
      negative: whether every third text has none (SQuAD 2.0).
    """
    folder = pathlib.Path(folder)
    for seed, (split, count) in enumerate((("train", train), ("predict", predict))):
        rng = np.random.default_rng(seed)
        paragraphs = []
        for i in range(count):
            words = list(rng.choice(PLAIN, rng.integers(4, 14)))
            answers = [] if negative and i % 3 == 2 else [str(rng.choice(GOOD)).capitalize()]
            for word in answers or [rng.choice(BAD)]:
                words.insert(int(rng.integers(len(words) + 1)), word)
            context = " ".join(words) + "."
            made = question(f"{split}{i}", "Was it good?", context, answers)
            if negative:
                made["is_impossible"] = not answers
            paragraphs.append({"context": context, "qas": [made]})
        write_squad(folder / f"{split}.json", paragraphs, "v2.0" if negative else "1.1")
    return folder


def span_head(hidden_size, seed=0):
    """Returns {name: array} of a head of spans whose answers differ."""
    weights = np.random.default_rng(seed).normal(size=[2, hidden_size]).astype(np.float32)
    return {
        "cls/squad/output_weights": weights,
        "cls/squad/output_bias": np.zeros(2, np.float32),
    }
