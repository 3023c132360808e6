"""The words of a text that may be replaced: of letters only, and no stop words of English."""

import re
import unicodedata

_ENGLISH = """
a about above after again against ain all am an and any are aren as at be because been before
being below between both but by can couldn d did didn do does doesn doing don down during each
few for from further had hadn has hasn have haven having he her here hers herself him himself
his how i if in into is isn it its itself just ll m ma me mightn more most mustn my myself
needn no nor not now o of off on once only or other our ours ourselves out over own re s same
shan she should shouldn so some such t than that the their theirs them themselves then there
these they this those through to too under until up ve very was wasn we were weren what when
where which while who whom why will with won wouldn y you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_ENGLISH.split())
"""NLTK's list, as TinyBERT has it; contractions are the parts that punctuation leaves of them."""

# Each ideograph is a word of its own.
_IDEOGRAPHS = (
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf"
    "\U0002f800-\U0002fa1f"
)
_IDEOGRAPH = re.compile(f"[{_IDEOGRAPHS}]")
_LETTERS = re.compile(f"[{_IDEOGRAPHS}]|[^\\W\\d_{_IDEOGRAPHS}]+")


def content_words(text):
    """Returns [(start, end)] of the words in `text` (str) that may be replaced, in order.

    Words end at spaces and punctuation, as BERT's do; one with a digit, a combining mark or another
    sign in it is not of letters only.
    """
    return [match.span() for match in _LETTERS.finditer(text) if _may_be_replaced(text, match)]


def _may_be_replaced(text, match):
    word, (start, end) = match[0], match.span()
    if not word.isalpha() or word.lower() in STOP_WORDS:
        return False
    if _IDEOGRAPH.match(word):
        return True
    return (start == 0 or _parts_words(text[start - 1])) and (
        end == len(text) or _parts_words(text[end])
    )


def _parts_words(char):
    """Whether BERT's tokenizer ends a word at `char`: white space, punctuation, an ideograph."""
    if char.isascii():
        return char in "\t\n\r" or (char.isprintable() and not char.isalnum())
    return unicodedata.category(char)[0] in "PZ" or bool(_IDEOGRAPH.match(char))
