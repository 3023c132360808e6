"""What the words of a text may become."""

import numpy as np
import pytest

from bert_tf.augmentation.candidates import Candidates
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from tests import tiny
from tests.augmentation.small import make_masked_lm

WORDS = {token for token in tiny.TOKENS if token.isalpha()}


def make(folder, glove_file=None, **changes):
    source = load_model(make_masked_lm(folder, **changes))
    return Candidates(source, tokenizer_of(source), 3, glove_file)


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    return make(tmp_path_factory.mktemp("model"))


def words_of(text, slots):
    return {text[slot.start : slot.end]: slot.candidates for slot in slots}


def test_words_are_predicted_or_looked_up(candidates):
    text = "The GOOD film, goods and plotly: 3 x"
    found = words_of(text, candidates.slots([text])[text])
    assert list(found) == ["GOOD", "film", "goods", "plotly", "x"]
    for word, others in found.items():
        assert len(others) == 3 and set(others) <= WORDS - {word.lower()}


def test_a_word_of_several_pieces_takes_the_nearest_to_their_mean(tmp_path):
    source = load_model(make_masked_lm(tmp_path))
    table = source.arrays["bert/embeddings/word_embeddings"]
    query = table[[tiny.TOKENS.index("good"), tiny.TOKENS.index("##s")]].mean(0)
    cosines = table @ query / np.linalg.norm(table, axis=1)
    order = [tiny.TOKENS[i] for i in np.argsort(-cosines) if tiny.TOKENS[i].isalpha()]
    found = Candidates(source, tokenizer_of(source), 3).slots(["goods"])["goods"]
    assert found[0].candidates == tuple(order[:3])


def test_glove_takes_the_place_of_the_embeddings(tmp_path):
    glove = tmp_path / "glove.txt"
    glove.write_text("goods 1 0\nwares 1 0.1\nmusic 0 1\n")
    found = make(tmp_path / "model", glove).slots(["goods plotly good"])["goods plotly good"]
    assert [slot.start for slot in found] == [0, 13]  # plotly is not in the file
    assert found[0].candidates == ("wares", "music")
    assert set(found[1].candidates) <= WORDS


@pytest.mark.parametrize("text", ["", "the it is 42 and 7.5 , was", "\t \u00a0"])
def test_stop_words_and_digits_have_none(candidates, text):
    assert candidates.slots([text]) == {text: []}


def test_other_texts_beside_it_change_nothing(candidates):
    texts = tiny.sentences(40)[0]
    together = candidates.slots(texts)
    for text in texts[::7]:
        assert candidates.slots([text])[text] == together[text]
    assert candidates.slots(texts[::-1]) == together


def test_what_is_no_word_of_the_vocabulary_is_no_candidate(tmp_path):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "##s", ".", "42", "a2"]
    alone = make(tmp_path / "alone", tokens=tokens)
    assert alone.slots(["good"]) == {"good": []}  # nothing else is left
    assert [slot.candidates for slot in alone.slots(["strange"])["strange"]] == [("good",)]


def test_a_cased_vocabulary_keeps_its_case(tmp_path):
    tokens = [*tiny.TOKENS[:5], "Good", "Fine", "film", "Story", "##s"]
    cased = make(tmp_path / "cased", tokens=tokens, extra={"do_lower_case": False})
    found = words_of("Good film", cased.slots(["Good film"])["Good film"])
    assert set(found["Good"]) == {"Fine", "film", "Story"}
    assert set(found["film"]) == {"Good", "Fine", "Story"}
