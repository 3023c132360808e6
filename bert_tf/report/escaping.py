"""Text of anybody, such as the name of a folder, as HTML and as Markdown."""

import html
import re


def escaped(text):
    """Returns text as HTML, for elements and quoted attributes."""
    return html.escape(_usable(str(text), "\ufffd"), quote=True)


def markdown(text):
    """Returns text that Markdown shows as it is, in a cell of a table."""
    found = " ".join(_usable(str(text), " ").split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", found)


def code(text):
    """Returns text as Markdown's code, in a cell of a table."""
    shown = " ".join(_usable(text, " ").split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{shown}{space}{fence}"


def _usable(text, instead):
    """Text without control characters and halves of surrogate pairs."""
    return "".join(c if c in "\t\n" or c.isprintable() else instead for c in text)
