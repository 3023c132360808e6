"""Files of SQuAD's form are read whole, or refused in one line that names the place."""

import json

import pytest

from bert_tf.errors import UserError
from bert_tf.spans.data import Answer, read_questions
from tests import tiny

CONTEXT = "The film was Great, so great."


def one(**changes):
    """A file's dict with one question, whose keys are changed; None removes one."""
    qa = {**tiny.question("q1", "What was it?", CONTEXT, ["Great"]), **changes}
    qa = {k: v for k, v in qa.items() if v is not None}
    return {"data": [{"paragraphs": [{"context": CONTEXT, "qas": [qa]}]}]}


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_questions_of_both_versions(tmp_path):
    context = "Die Café-Bar\u00a0in 今天 öffnet 😀 um 8."
    path = tiny.write_squad(
        tmp_path / "dev.json",
        [
            tiny.paragraph(context, ("a", "Wann?", ["um 8", "8"]), ("b", "Wo?", ["今天"])),
            tiny.paragraph("Leer.", ("c", "Wer?", [])),
            {"context": "Test.", "qas": [tiny.question("d", "Was?", answers=None)]},
            {"context": "", "qas": []},
        ],
    )
    found = read_questions(path)
    assert len(found) == 4 and len(found.contexts) == 4
    assert found.questions[0].answers == (Answer("um 8", 28), Answer("8", 31))
    assert [q.answers for q in found.questions[2:]] == [(), None]
    assert found.context_of(found.questions[1]) == context
    assert len(found.first(2)) == 2 and found.first(2).contexts == found.contexts


def test_what_answers_are_needed_for(tmp_path):
    path = tiny.write_squad(tmp_path / "f.json", [tiny.paragraph("Leer.", ("c", "Wer?", []))])
    questions = read_questions(path)
    questions.require_answers(True, "do_train")
    with pytest.raises(UserError, match="'c' has no answer: give --version_2_with_negative"):
        questions.require_answers(False, "do_train")
    unlabelled = read_questions(write(tmp_path / "u.json", one(answers=None)))
    with pytest.raises(UserError, match="'q1' has no answers, which --do_eval needs"):
        unlabelled.require_answers(True, "do_eval")


def answered(text, start):
    return one(answers=[{"text": text, "answer_start": start}])


PLACE = r"f\.json: data\[0\]\.paragraphs\[0\]"
BAD = {
    "broken": ('{"data": [', r"f\.json: the SQuAD file is not valid JSON"),
    "a list": ("[]", "must be a JSON object"),
    "no data": ({"dataset": []}, r"f\.json: has no key 'data', found 'dataset'"),
    "no question": ({"data": []}, "holds no question"),
    "data is text": ({"data": "x"}, "data must be a list, found 'x'"),
    "article is null": ({"data": [None]}, r"data\[0\] must be an object, found null"),
    "no paragraphs": ({"data": [{}]}, r"data\[0\] has no key 'paragraphs', found none"),
    "no context": ({"data": [{"paragraphs": [{"qas": []}]}]}, f"{PLACE} has no key 'context'"),
    "no id": (one(id=None), rf"{PLACE}\.qas\[0\] has no key 'id', found 'question', 'answers'"),
    "id is a number": (one(id=3), "id must be text, found '3'"),
    "no question text": (one(question=None), r"qas\[0\] \(id 'q1'\) has no key 'question'"),
    "blank question": (one(question=" "), "the question is empty"),
    "answers are text": (one(answers="Great"), "answers must be a list, found 'Great'"),
    "no start": (one(answers=[{"text": "Great"}]), r"answers\[0\] has no key 'answer_start'"),
    "start is text": (answered("Great", "13"), "answer_start must be a whole number, found '13'"),
    "start is true": (answered("Great", True), "must be a whole number, found true or false"),
    "off by one": (
        answered("Great", 12),
        "the context has ' Grea' at character 12, not the answer 'Great', which is at character 13",
    ),
    "far": (answered("film", 22), "has ' gre' at character 22, not the answer 'film': correct"),
    "other case": (answered("GREAT", 13), "not the answer 'GREAT', which is nowhere in it"),
    "negative": (answered("The", -3), "has '' at character -3, not the answer 'The', which is at"),
    "beyond": (answered("great.", 25), "not the answer"),
    "empty answer": (answered("", 3), "the answer is empty"),
    "impossible with answer": (one(is_impossible=True), "is_impossible is true, and there are"),
    "possible without": (one(is_impossible=False, answers=[]), "is false, and there is no answer"),
    "impossible is text": (one(is_impossible="no"), "must be true or false, found 'no'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path, name):
    value, message = BAD[name]
    with pytest.raises(UserError, match=message) as e:
        read_questions(write(tmp_path / "f.json", value))
    assert "\n" not in str(e.value)


def test_two_questions_of_one_id(tmp_path):
    value = one()
    value["data"][0]["paragraphs"].append(value["data"][0]["paragraphs"][0])
    message = (
        r"paragraphs\[1\]\.qas\[0\] and data\[0\]\.paragraphs\[0\]\.qas\[0\] are both named 'q1'"
    )
    with pytest.raises(UserError, match=message):
        read_questions(write(tmp_path / "f.json", value))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot read the SQuAD file"):
        read_questions(tmp_path / "none.json")
