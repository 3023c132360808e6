"""What report.py runs: folders in, a page out."""

import datetime
import os

from bert_tf import files
from bert_tf.options import refuse_if
from bert_tf.report import compare, markdown, page
from bert_tf.report.entry import UNFINISHED, UNREADABLE
from bert_tf.report.gather import gather


def run(options):
    """Writes the report that `ReportOptions` ask for; returns a summary (str).

    Raises:
      UserError: wrong flags, a run that is not there, or a file that cannot be written.
    """
    options.check()
    outputs = [path for path in (options.output_file, options.markdown) if path]
    given = {os.path.realpath(path) for path in options.runs}
    for path in outputs:
        refuse_if(
            os.path.realpath(path) in given,
            f"{path}: is a run of the report, which would be overwritten: name another file",
        )
    refuse_if(
        len({os.path.realpath(path) for path in outputs}) < len(outputs),
        f"--markdown={options.markdown}: is the page's file, too: name another one",
    )
    entries = gather(options.runs)
    rows, others = compare.rows(entries, options.baseline), compare.others(entries)
    counted = _counted(entries)
    now = datetime.datetime.now().astimezone()
    made = f"{counted}; {now:%Y-%m-%d %H:%M %Z}."
    files.write_text(options.output_file, page.page(options.title, rows, others, made))
    if options.markdown:
        files.write_text(options.markdown, markdown.text(options.title, rows, others, made))
    return f"{counted}\nWritten to {' and '.join(outputs)}"


def _counted(entries):
    """How many there are of each kind, and of those that are not finished."""
    kinds = {}
    for entry in entries:
        name = entry.status if entry.status in (UNFINISHED, UNREADABLE) else entry.kind
        kinds[name] = kinds.get(name, 0) + 1
    total = f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
    return f"{total}: " + ", ".join(f"{count} {name}" for name, count in kinds.items())
