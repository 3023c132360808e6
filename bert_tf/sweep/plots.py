"""Pictures of a sweep: the metric of each task against the values of a flag."""

from bert_tf import files
from bert_tf.sweep.plan import setting_name, shown

_COLORS = ("#0969da", "#1a7f37", "#8250df", "#bf3989", "#bc4c00", "#59636e", "#9a6700", "#0a7ea4")
_DPI = 120
_LOG_FACTOR = 20


def plot_path(output_dir, flag):
    """Returns the path of the picture of a flag in the folder of the sweep (`pathlib.Path`)."""
    return output_dir / f"plot_{flag}.png"


def curves(table, flag):
    """Returns what is drawn: {(problem, title): {setting of the other flags: [`Row`]}}.

    Args:
      table: `Table`.
      flag: name of a flag that settings differ in; rows without a value of it, or without a run
        that is done, are left out.
    """
    panels = {}
    for row in table.rows:
        if flag not in row.setting or not row.values:
            continue
        others = {name: value for name, value in row.setting.items() if name != flag}
        lines = panels.setdefault((row.problem, f"{row.task}: {row.metric}"), {})
        lines.setdefault(setting_name(others), []).append(row)
    return panels


def write_plot(table, flag, path):
    """Writes a PNG: medians over the seeds, bars from the lowest to the highest.

    Numbers are on an axis of numbers, logarithmic where they span a factor of 20; other values are
    side by side. A task has a panel, each setting of the other flags a line.

    Args:
      table, flag: see `curves`.
      path: the file.
    """
    from matplotlib.figure import Figure

    panels = curves(table, flag)
    if not panels:
        return
    figure = Figure(figsize=(4.6 * len(panels), 3.9), layout="constrained")
    axes_of = figure.subplots(1, len(panels), squeeze=False)[0]
    values = list(dict.fromkeys(row.setting[flag] for row in table.rows if flag in row.setting))
    for axes, ((_, title), lines) in zip(axes_of, panels.items(), strict=True):
        place = _axis(axes, values)
        for index, (label, rows) in enumerate(lines.items()):
            _line(axes, sorted(rows, key=lambda row: place(row.setting[flag])), flag, place, label,
                  _COLORS[index % len(_COLORS)])  # fmt: skip
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(flag)
        axes.grid(color="#d1d9e0", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    labels = {label for lines in panels.values() for label in lines}
    if labels != {""}:
        handles, names = axes_of[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def _axis(axes, values):
    """Prepares the x axis; returns callable (value) -> its place there."""
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in values)
    if numbers and min(values) > 0 and max(values) > _LOG_FACTOR * min(values):
        axes.set_xscale("log")
    places = values if numbers else range(len(values))
    axes.set_xticks(list(places), [shown(value) for value in values])
    axes.minorticks_off()
    return dict(zip(values, places, strict=True)).__getitem__


def _line(axes, rows, flag, place, label, color):
    medians = [row.median for row in rows]
    low = [row.median - row.spread[0] for row in rows]
    high = [row.spread[1] - row.median for row in rows]
    x = [place(row.setting[flag]) for row in rows]
    axes.errorbar(x, medians, yerr=[low, high], label=label, color=color, marker="o", capsize=3)
