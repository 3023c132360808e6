"""The report as Markdown: its tables, without the plots."""

from bert_tf.report import columns, escaping
from bert_tf.report.entry import MISSING


def text(title, rows, others, made):
    """Returns the Markdown (str); the arguments are those of `page.page`."""
    rows = columns.by_value(rows)
    shown = columns.of_rows(rows)
    parts = [f"# {escaping.markdown(title)}", escaping.markdown(made)]
    if rows:
        cells = [
            [_bold(row, i, column.text(row)) for i, column in enumerate(shown)] for row in rows
        ]
        parts += ["## Runs", _table([column.title for column in shown], cells)]
    if others:
        lines = [[name, x.status, x.note, x.lever, x.task or MISSING] for name, x in others]
        parts += ["## Not finished", _table(["run", "state", "why", "levers", "task"], lines)]
    parts.append("## What was run")
    named = [(row.name, row.entry) for row in rows] + others
    lines = [
        [
            name,
            (escaping.code(entry.command) if entry.command else MISSING)
            + (" (rebuilt from its flags)" if entry.rebuilt else ""),
            columns.machine(entry.environment) or MISSING,
            str(entry.environment.get("time", MISSING)),
        ]
        for name, entry in named
    ]
    parts.append(_table(["run", "command", "machine", "ended"], lines, raw=(1,)))
    return "\n\n".join(parts) + "\n"


def _bold(row, index, shown):
    """The name of a baseline is bold, by a mark that `_table` leaves."""
    return _Marked(f"**{escaping.markdown(shown)}**") if row.is_baseline and not index else shown


class _Marked(str):
    """A text that is Markdown already."""


def _table(heads, lines, raw=()):
    def cells(line):
        shown = [
            x if isinstance(x, _Marked) or i in raw else escaping.markdown(x)
            for i, x in enumerate(line)
        ]
        return f"| {' | '.join(shown)} |"

    return "\n".join([cells(heads), "|" + "---|" * len(heads), *map(cells, lines)])
