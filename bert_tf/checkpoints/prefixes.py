"""What other programs put before every name: `module.`, `model.`, `bert_model/`."""

import re

from bert_tf.errors import UserError

# The one variable that every BERT has once, under the names of each kind of file.
_ANCHORS = {
    "/": r"((?:.*?/)??)(?:{}/)?embeddings/word_embeddings",
    ".": r"((?:.*?\.)??)(?:{}\.)?embeddings\.word_embeddings\.weight",
}


def without_prefix(names, separator, source, model="bert"):
    """Finds what stands before the names of the model's variables and takes it away.

    Args:
      names: iterable of str; training state left out.
      separator: `/` for Google's names, `.` for PyTorch's.
      source: what to call the file in errors.
      model: the scope of the encoder, which stays.

    Returns:
      ({name: name without the prefix}, list of remarks for a report: one or none).

    Raises:
      UserError: there are several models under different prefixes, or two names become one.
    """
    names = list(names)
    anchor = re.compile(_ANCHORS[separator].format(model))
    matches = [anchor.fullmatch(name) for name in names]
    prefixes = sorted({match.group(1) for match in matches if match})
    if not prefixes or "" in prefixes:
        return {name: name for name in names}, []
    if len(prefixes) > 1:
        raise UserError(
            f"{source}: holds several models, whose names begin with {', '.join(prefixes)}:"
            " expected one: save the one to read by itself"
        )
    (prefix,) = prefixes
    renamed = {name: name.removeprefix(prefix) for name in names}
    taken = {}
    for name, new in renamed.items():
        if taken.setdefault(new, name) != name:
            raise UserError(
                f"{source}: without the prefix {prefix}, {taken[new]} and {name} have one name:"
                " rename or remove one of them"
            )
    count = sum(name != new for name, new in renamed.items())
    return renamed, [f"{count} of {len(names)} names began with {prefix}, which was taken away"]
