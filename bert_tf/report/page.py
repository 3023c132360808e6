"""The report as one HTML file: no other file, no network."""

from bert_tf.report import assets, columns, data, plot
from bert_tf.report.entry import MISSING
from bert_tf.report.escaping import escaped

_AXES = {
    "megabytes": "size, MB",
    "latency_ms": "latency, ms",
    "seconds": "training, minutes",
}
_MINUTE = 60


def page(title, rows, others, made):
    """Returns the HTML (str).

    Args:
      title: of the page.
      rows: list of `Row`, the runs that are finished.
      others: [(name, `Entry`)] of those that are not.
      made: when, and of how many runs, a sentence.
    """
    rows = columns.by_value(rows)
    series = _series(rows)
    body = [
        f"<h1>{escaped(title)}</h1>",
        f"<p>{escaped(made)}</p>",
        *(_group(key, found, series) for key, found in columns.groups(rows).items()),
        _table(rows),
        _others(others),
        _commands([(row.name, row.entry) for row in rows] + others),
        "<footer>A number that was not recorded is "
        f"{MISSING}. A run's baseline is the dense run of its task: of the same training rows, the"
        " largest, of the same seed, unless one was named.</footer>",
    ]
    return assets.DOCUMENT.format(
        title=escaped(title), style=assets.STYLE, script=assets.SCRIPT, body="\n".join(body)
    )


def _series(rows):
    """{levers: number of their colour}, the same in all plots; the dense runs' first."""
    names = sorted({row.entry.lever for row in rows if row.entry.levers and row.group})
    return {name: number for number, name in enumerate(["dense", *names])}


def _group(key, rows, series):
    """The plots of the runs that may be compared."""
    task, rows_of, split, metric = key
    used = {row.entry.lever for row in rows}
    legend = "".join(
        f'<li><svg viewBox="-7 -7 14 14" class="swatch">{plot.marker(number)}/></svg>'
        f"{escaped(name)}</li>"
        for name, number in series.items()
        if name in used
    )
    figures = [_figure(rows, series, name, label, metric) for name, label in _AXES.items()]
    baselines = sorted({row.name for row in rows if row.is_baseline})
    named = (
        f"Ringed: the baseline, {escaped(', '.join(baselines))}."
        if baselines
        else ("No dense training of this task is among the runs: nothing to compare with.")
    )
    where = [f"on {split}" if split else "", f"of {data.shown(rows_of)}" if rows_of else ""]
    heading = " ".join(x for x in (task or "no task", metric, *where) if x)
    return (
        f'<section class="group"><h2>{escaped(heading)}</h2>'
        f'<ul class="legend">{legend}</ul><div class="figures">{"".join(figures)}</div>'
        f"<p>{named}</p></section>"
    )


def _figure(rows, series, name, label, metric):
    having = [row for row in rows if getattr(row.entry, name) is not None]
    counts = f"{len(having)} of {len(rows)} runs"
    if not having:
        return f"<figure><p>No run has a {escaped(label.partition(',')[0])}.</p></figure>"
    points = [
        plot.Point(
            getattr(row.entry, name) / (_MINUTE if name == "seconds" else 1),
            row.entry.value,
            series[row.entry.lever],
            _tooltip(row, name),
            row.is_baseline,
        )
        for row in having
    ]
    return (
        f"<figure>{plot.scatter(points, label, metric)}"
        f"<figcaption>{escaped(label)}: {counts}</figcaption></figure>"
    )


def _tooltip(row, name):
    """What a pointer over a point shows."""
    entry = row.entry
    value = getattr(entry, name)
    shown = columns.duration(value) if name == "seconds" else f"{value:.1f}"
    lines = [row.name, entry.lever, f"{entry.metric} {entry.value:.4f}", f"{name} {shown}"]
    if row.difference is not None and not row.is_baseline:
        lines.append(f"to dense {columns.signed(row.difference)}")
    if name in row.shares and not row.is_baseline:
        lines.append(f"{row.shares[name]:.2f}x of dense")
    return "\n".join(lines)


def _table(rows):
    """All finished runs; a click on a heading sorts."""
    shown = columns.of_rows(rows)
    heads = "".join(
        f'<th scope="col"{" class=n" if column.numeric else ""} title="{escaped(column.help)}">'
        f"<button type=button>{escaped(column.title)}</button></th>"
        for column in shown
    )
    lines = []
    for row in rows:
        cells = "".join(_cell(column, row) for column in shown)
        kind = " class=baseline" if row.is_baseline else ""
        lines.append(f'<tr title="{escaped(row.entry.path)}"{kind}>{cells}</tr>')
    return (
        "<section><h2>Runs</h2><p>A click on a heading sorts. Bold: baselines.</p>"
        f'<div class="scroll"><table id="runs"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _cell(column, row):
    value = column.value(row)
    if value is None:
        return f'<td class="missing" title="not recorded">{MISSING}</td>'
    kind = " class=n" if column.numeric else ""
    return f'<td{kind} data-v="{escaped(str(value))}">{escaped(column.shown(value))}</td>'


def _others(others):
    """Runs that did not end or cannot be read."""
    if not others:
        return ""
    lines = "".join(
        f'<tr title="{escaped(entry.path)}"><td>{escaped(name)}</td>'
        f"<td>{escaped(entry.status)}</td><td>{escaped(entry.note)}</td>"
        f"<td>{escaped(entry.lever)}</td><td>{escaped(entry.task or MISSING)}</td></tr>"
        for name, entry in others
    )
    return (
        '<section><h2>Not finished</h2><div class="scroll"><table id="others"><thead><tr>'
        "<th>run</th><th>state</th><th>why</th><th>levers</th><th>task</th></tr></thead>"
        f"<tbody>{lines}</tbody></table></div></section>"
    )


def _commands(named):
    """What was run, where and when."""
    lines = []
    for name, entry in named:
        command = f"<code>{escaped(entry.command)}</code>" if entry.command else MISSING
        rebuilt = " (rebuilt from its flags)" if entry.rebuilt else ""
        machine = columns.machine(entry.environment) or MISSING
        when = entry.environment.get("time", MISSING)
        lines.append(
            f"<tr><td>{escaped(name)}</td><td>{command}{rebuilt}</td>"
            f"<td>{escaped(machine)}</td><td>{escaped(str(when))}</td></tr>"
        )
    return (
        "<section><h2>What was run</h2><details><summary>Commands and machines</summary>"
        '<div class="scroll"><table id="commands"><thead><tr><th>run</th><th>command</th>'
        f"<th>machine</th><th>ended</th></tr></thead><tbody>{''.join(lines)}</tbody></table>"
        "</div></details></section>"
    )
