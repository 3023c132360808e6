"""Which words of a text may be replaced."""

import pytest

from bert_tf.augmentation.words import STOP_WORDS, content_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("The film was 3 hours, and it is 42!", ["film", "hours"]),
        ("it is what it was: 2 of 2", []),
        ("DON'T miss rock'n'roll", ["miss", "rock", "n", "roll"]),
        ("well-made\tplot_twist a/b", ["well", "made", "plot", "twist", "b"]),
        ("3D mp3 x86 H2O ok", ["ok"]),
        ("naïve café Ärger", ["naïve", "café", "Ärger"]),
        ("cafe\u0301 ok", ["ok"]),  # a combining mark is no letter
        ("soft\u00adhyphen zero\u200bwidth ok", ["ok"]),
        ("price€ x² ok", ["ok"]),
        ("“quoted” (good).", ["quoted", "good"]),
        ("中国 film中", ["中", "国", "film", "中"]),
        ("a\u00a0line\u2028end", ["line", "end"]),
    ],
)
def test_words_of_letters_that_are_no_stop_words(text, expected):
    spans = content_words(text)
    assert [text[start:end] for start, end in spans] == expected
    assert spans == sorted(spans)


def test_stop_words_are_words_of_letters():
    assert len(STOP_WORDS) > 140
    assert all(word.isalpha() and word.islower() for word in STOP_WORDS)
    assert not STOP_WORDS & {"good", "film", "like", "never"}
