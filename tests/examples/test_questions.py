"""Questions made of text: they are SQuAD's form, and their answers are where they say."""

import json

import pytest

from bert_tf.errors import UserError
from bert_tf.spans.data import read_questions
from examples import make_questions

TEXT = """
 = Heading =
 The old trunk road was finished in 1926 , and John Smith walked along all of it with 12 men .
 A painter who is called Mary Ann Jones lived in the house by the lake from 1801 until her death .
 Short .
 The well @-@ known engine of the film has 1 @,@ 250 parts <unk> , and so it is said to be heavy .
"""


def test_questions_and_answers(tmp_path):
    value = make_questions.make(TEXT.splitlines(), 10)
    path = tmp_path / "squad.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    questions = read_questions(path)
    found = {q.text: q.answers[0].text for q in questions.questions}
    assert found == {
        "The old trunk road was finished in what year , and John Smith walked": "1926",
        "Jones lived in the house by the lake from what year until her death .": "1801",
        "The well-known engine of the film has how many parts X , and so": "1,250",
    }


def test_questions_without_an_answer(tmp_path):
    value = make_questions.make(TEXT.splitlines(), 10, negative_share=0.99, seed=3)
    path = tmp_path / "squad.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert [q.answers for q in read_questions(path).questions] == [(), (), ()]


def test_the_same_seed_gives_the_same_file(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    for name in ("a", "b"):
        flags = {"input_file": str(tmp_path / "text.txt"), "output_file": str(tmp_path / name)}
        make_questions.main(make_questions.Options(**flags, questions=2))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(UserError, match="cannot read the text"):
        make_questions.main(make_questions.Options(input_file="none.txt", output_file="x"))
