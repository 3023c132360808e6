"""JSON lines: an object per line, from which texts and numbers are taken as text."""

import json

from bert_tf.errors import UserError, shown

_LINES_HINT = ": write each object in a line of its own (pandas: orient='records', lines=True)"


def parse_object(line, where):
    """Returns the JSON object (dict) in `line`; `where` ('path:line') begins the messages.

    Raises:
      UserError: it is no JSON, no object, or has a key twice.
    """
    try:
        value = json.loads(line, parse_constant=_not_json, object_pairs_hook=_unique)
    except RecursionError as e:
        raise UserError(f"{where}: JSON nested too deeply, expected a flat object") from e
    except ValueError as e:
        fault = f"{e.msg} at character {e.pos + 1}" if isinstance(e, json.JSONDecodeError) else e
        hint = _LINES_HINT if line.strip()[:1] == "[" or line.strip() == "{" else ""
        raise UserError(f"{where}: not valid JSON: {fault}: {shown(line)}{hint}") from e
    if not isinstance(value, dict):
        hint = _LINES_HINT if isinstance(value, list) else ""
        raise UserError(f"{where}: expected a JSON object per line, found {shown(line)}{hint}")
    return value


def text_of(row, key, where, advice=""):
    """Returns what `row` (dict) has under `key` as text; numbers, true and false in JSON's form.

    `advice` ends the message about a key that is not there.

    Raises:
      UserError: there is no such key, or null, a list, an object or half a surrogate pair.
    """
    if key not in row:
        keys = ", ".join(shown(k) for k in list(row)[:20])
        raise UserError(f"{where}: no key {key!r}, expected in every row: found {keys}{advice}")
    value = row[key]
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as e:  # "\ud800" is JSON, but no text
            raise UserError(f"{where}: {key!r} holds half a surrogate pair, expected text") from e
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    kind = {type(None): "null", list: "a list", dict: "an object"}[type(value)]
    raise UserError(
        f"{where}: {key!r} is {kind}, expected text or a number: fill it in or delete the line"
    )


def _not_json(constant):
    raise ValueError(f"{constant} is no JSON number")


def _unique(pairs):
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is there twice")
    return values
