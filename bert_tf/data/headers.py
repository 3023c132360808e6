"""Headers that stand where there should be none: in files whose columns are given by number."""

import dataclasses
import re

from bert_tf.data.table import other_separator
from bert_tf.errors import UserError, shown

_NAME = re.compile(r"[^\W\d][^\W\d .-]{0,30}")
_NUMBER = re.compile(r"\s*[+-]?[0-9]+(\.[0-9]+)?\s*")
_REMEDY = "is the line a header? Then give the columns by name, such as --text_column=text"


def check_first_row(table, labels, *, text, label=None, ids=None):
    """Returns the table without header, with a remark if its first row looks like one after all.

    Args:
      table: `Table`.
      labels: names of the classes, None for scores.
      text, label, ids: positions of these columns, None where there is none. A test file may lack
        the column of the label.

    Raises:
      UserError: the first row has no label or id, and all others have.
    """
    if len(table) < 2:
        return table
    if table.width == 1 and (remark := other_separator(table)):
        table = dataclasses.replace(table, remarks=[*table.remarks, remark])
    known = frozenset(labels or ())
    checks = (
        (label, lambda cell: cell.strip() in known if known else _NUMBER.fullmatch(cell)),
        (ids, _NUMBER.fullmatch),
    )
    for column, fits in checks:
        if column is None or column >= table.width:
            continue
        first, *others = table.column(column)
        if not fits(first) and _NAME.fullmatch(first.strip()) and all(map(fits, others)):
            raise UserError(
                f"{table.where(0)}: found {shown(first)} in column {column}, and none like it"
                f" below: {_REMEDY}"
            )
    numbers = list(map(str, range(table.width)))
    if table.rows[0] in (numbers, ["", *numbers[:-1]]):
        remark = (
            f"line {table.numbers[0]} is {shown(', '.join(table.rows[0]))}, as pandas writes a"
            " header of columns without names, and is read as a row: delete it if it is none"
        )
        return dataclasses.replace(table, remarks=[*table.remarks, remark])
    first, *others = table.column(text)
    if re.fullmatch(r"[^\W\d]\w*", first) and all(" " in other for other in others):
        remark = f"line {table.numbers[0]} has the text {shown(first)}: {_REMEDY}"
        return dataclasses.replace(table, remarks=[*table.remarks, remark])
    return table
