"""A text for Google's instances: the golden numbers were made with it."""

from tests import tiny

_WORDS = [*tiny.GOOD, *tiny.BAD, *tiny.PLAIN, "films", "actors", "goodly", "strange"]


def documents():
    """Documents (list of lists of sentences), 1 to 7 sentences of 1 to 12 words each."""
    return [
        [
            " ".join(_WORDS[(7 * d + 3 * s + i * i) % len(_WORDS)] for i in range(1 + (d + s) % 12))
            for s in range(1 + 3 * d % 7)
        ]
        for d in range(12)
    ]


def write(path):
    """Writes it in Google's layout."""
    path.write_text("\n\n".join("\n".join(d) for d in documents()) + "\n", encoding="utf-8")
    return str(path)
