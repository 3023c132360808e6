"""Rows that a line end inside a text has broken in several lines."""

import dataclasses

from bert_tf.data.table import counted


def mend(table, texts, width=None, ids=None):
    """Joins neighbouring lines with too few columns that are the parts of one row.

    They are where the parts together have exactly the columns of the table, each break lies in a
    text, and the parts can be put together in no other way. All other rows stay as they are.

    Args:
      table: `Table` of a file without quotes.
      texts: columns (names or positions) in which a line end may be.
      width: columns of the table; those of its header if None.
      ids: the column that numbers the rows, None if there is none: a line that begins with a number
        in its place is a row of its own.

    Returns:
      `Table`, with a remark that names the lines.
    """
    width = width or len(table.header)
    breakable = {table.index_of(column) for column in texts if column is not None}
    numbered = ids is not None and table.index_of(ids) == 0
    rows, numbers, mended, start = [], [], [], 0
    while start < len(table):
        end = start
        while end < len(table) and len(table.rows[end]) < width:
            end += 1
        groups = _groups(table.rows[start:end], width, breakable, numbered)
        for first, last in groups or [(i, i + 1) for i in range(end - start)]:
            rows.append(_joined(table.rows[start + first : start + last]))
            numbers.append(table.numbers[start + first])
            if last - first > 1:
                mended.append((numbers[-1], table.numbers[start + last - 1]))
        if end < len(table):
            rows.append(table.rows[end])
            numbers.append(table.numbers[end])
        start = end + 1
    if not mended:
        return table
    lines = ", ".join(f"{a}-{b}" for a, b in mended[:5]) + (", ..." if len(mended) > 5 else "")
    broken = counted(len(mended), "row broken", "rows broken")
    remark = f"{broken} by a line end in a text, now joined with a space: lines {lines}"
    return dataclasses.replace(table, rows=rows, numbers=numbers, remarks=[*table.remarks, remark])


def _groups(rows, width, breakable, numbered):
    """(start, end) of each row that neighbouring short lines make, [] if that is not certain."""
    groups, start, columns = [], 0, 0
    for i, row in enumerate(rows):
        if columns == width:
            if len(row) == 1:
                return []  # the end of the row before, or the beginning of the next?
            groups.append((start, i))
            start, columns = i, 0
        if i > start:
            if columns - 1 not in breakable or (numbered and len(row) > 1 and row[0].isdecimal()):
                return []
            columns -= 1
        columns += len(row)
        if columns > width:
            return []
    return [*groups, (start, len(rows))] if columns == width else []


def _joined(parts):
    """The row that the parts make; what a line end has parted stands with a space between."""
    row = list(parts[0])
    for part in parts[1:]:
        row[-1] = f"{row[-1]} {part[0]}" if row[-1] and part[0] else row[-1] + part[0]
        row += part[1:]
    return row
