"""What --list_datasets, --list_configs and --dataset_info print."""

import json

from bert_tf import packages
from bert_tf.data.sources import choosing
from bert_tf.data.sources.base import CLASSES, OTHER, Roles
from bert_tf.data.sources.opening import open_source
from bert_tf.data.sources.spec import parse_dataset
from bert_tf.data.sources.splitting import find
from bert_tf.errors import UserError

_ROWS, _CHARACTERS, _LABELS = 3, 120, 12


def answer(options):
    """Returns the text that the flags of `options` (`TaskOptions`) ask for.

    Raises:
      UserError: there is no such data set, or what lists it is not installed or reached.
    """
    if options.list_datasets:
        return _list_datasets(options)
    if options.list_configs:
        return _list_configs(options)
    return describe(open_source(options.dataset, options.data_dir), options)


def describe(source, options):
    """Returns splits, columns, label names, what is taken for what, and the first rows of a set."""
    sizes, (kinds, undecided) = source.splits(), _kinds(source, options)
    lines = [source.name]
    if source.configs:
        lines += ["", "configurations:", *_wrapped(source.configs)]
    lines += ["", "splits:"]
    lines += _aligned([[s, f"{n:,} rows", ", ".join(kinds.get(s, ()))] for s, n in sizes.items()])
    lines += undecided
    split = next((s for s, names in kinds.items() if "train" in names), next(iter(sizes)))
    columns = source.columns(split)
    lines += ["", "columns:", *_aligned([[c.name, c.type] for c in columns])]
    for column in columns:
        if column.kind == CLASSES:
            names = [json.dumps(name, ensure_ascii=False) for name in column.labels]
            more = f", ... ({len(names)} in all)" if len(names) > _LABELS else ""
            lines += ["", f"labels of {column.name}: {', '.join(names[:_LABELS])}{more}"]
    lines += ["", _roles(source, options), "", f"rows of {split}:", *_rows(source, split, columns)]
    return "\n".join(lines)


def _kinds(source, options):
    """({split of the set: [what the task takes it for]}, lines on what is not decided)."""
    found, undecided = {}, []
    for kind in ("train", "dev", "test"):
        try:
            parts = find(source, kind, getattr(options, f"{kind}_split", None))
        except UserError as e:
            undecided.append(f"  not decided: {e}")
            continue
        for name, part in parts.items():
            found.setdefault(part.split, []).append(name)
    return found, undecided


def _roles(source, options):
    try:
        return "taken for: " + choosing.guess_of(source, options, {}).text()
    except UserError as e:
        return f"not decided: {e}"


def _rows(source, split, columns):
    """The first rows as JSON, without columns of other kinds or with missing values."""
    import numpy as np

    rows = [{} for _ in range(min(_ROWS, source.splits()[split]))]
    for column in columns:
        if column.kind == OTHER:
            continue
        try:
            table = source.read(split, Roles(text=column.name), np.arange(len(rows)))
        except UserError:  # it has rows without a value
            continue
        for row, (cell,) in zip(rows, table.rows, strict=True):
            row[column.name] = _cell(cell, column)
    return ["  " + json.dumps(row, ensure_ascii=False) for row in rows]


def _cell(cell, column):
    if column.labels and cell.isdecimal() and int(cell) < len(column.labels):
        return column.labels[int(cell)]
    return cell if len(cell) <= _CHARACTERS else cell[: _CHARACTERS - 3] + "..."


def _list_configs(options):
    kind, place = parse_dataset(options.dataset)
    if kind == "hf":
        from bert_tf.data.sources import hub

        packages.require("datasets", f"--dataset={options.dataset}")
        configs = hub.find(place)[2]
    elif kind == "tfds":
        from bert_tf.data.sources import tfds

        configs = tfds.configurations(place, options.data_dir)
    else:
        raise UserError(f"--list_configs: {options.dataset} is files, which have no configurations")
    head = f"{len(configs)} configurations of {options.dataset}" if configs else ""
    lines = [head, *_wrapped(configs)]
    return "\n".join(lines) if configs else f"{options.dataset} has no configurations"


def _list_datasets(options):
    kind, place = (None, None)
    if options.dataset:
        kind, _, place = options.dataset.partition(":")
        if kind not in ("hf", "tfds"):
            raise UserError(
                "--list_datasets: with --dataset=hf:WORD or tfds:WORD it looks for WORD"
            )
    lines = []
    for name, sets in (("hf", _hub_sets), ("tfds", _tfds_sets)):
        try:
            lines += sets(place, options.data_dir) if kind in (None, name) else []
        except UserError as e:
            if kind == name:
                raise
            lines += [str(e), ""]  # one of the two is enough
    return "\n".join(lines)


def _hub_sets(word, _):
    from bert_tf.data.sources import hub

    cached = hub.cached_sets()
    lines = ["Hugging Face, in the cache (hf:...):"]
    lines += [f"  {name}{_of(configs)}" for name, configs in cached.items()] or ["  none"]
    if word:
        lines += ["", f"On the hub, with {word!r} in their names:", *_wrapped(hub.search(word))]
    else:
        lines += ["The hub is searched with --list_datasets --dataset=hf:WORD."]
    return [*lines, ""]


def _tfds_sets(word, data_dir):
    from bert_tf.data.sources import tfds

    known, prepared = tfds.all_sets(data_dir)
    names = [name for name in known if not word or word.lower() in name]
    lines = ["TFDS, prepared (tfds:...):"]
    lines += [f"  {name}{_of(configs)}" for name, configs in prepared.items()] or ["  none"]
    return [*lines, "", f"TFDS, {len(names):,} sets that it can prepare:", *_wrapped(names)]


def _of(configs):
    return f" ({', '.join(configs)})" if configs and configs != ["default"] else ""


def _wrapped(names, width=96):
    """Names, several to a line."""
    lines, line = [], " "
    for name in names:
        if len(line) + len(name) > width:
            lines.append(line)
            line = " "
        line += f" {name}"
    return [*lines, line] if names else []


def _aligned(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
