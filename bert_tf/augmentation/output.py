"""The file of variants and its description: both are written, or what was there stays."""

import json
import os
import pathlib
import re

from bert_tf import files
from bert_tf.data.augmented import FORMAT, description_path, digest_of_file, read_description
from bert_tf.data.readers import format_of
from bert_tf.errors import UserError

_BREAKS = re.compile(r"\t|\r?\n")  # what would end a cell or a row of tab-separated ones


def check_output(path, train_file, custom):
    """Refuses to write over anything but an earlier output, or in another format than is read.

    Args:
      path: the file to write.
      train_file: the file whose rows it will hold, with variants.
      custom: whether that is a user's own file, whose format goes by its extension.

    Raises:
      UserError: naming the flag and the file.
    """
    path = pathlib.Path(path)
    if path.resolve() == pathlib.Path(train_file).resolve():
        raise UserError(f"--output_file={path}: is the training file: name another one")
    about = read_description(path)  # raises if somebody else's file is in its place
    if path.exists() and about is None:
        raise UserError(
            f"--output_file={path}: exists, and is no file of augment_data.py"
            f" ({description_path(path).name} is missing): name another one, or move it away"
        )
    if custom and format_of(path) != format_of(train_file):
        raise UserError(
            f"--output_file={path}: expected the format of {train_file}: give it the extension"
            f" {pathlib.Path(train_file).suffix}"
        )
    files.make_output_dir(path.absolute().parent, "output_file")


def write(path, table, form, groups, about):
    """Writes rows and description; a kill leaves none of them, or a pair that is seen to be none.

    Args:
      path: the file.
      table: `Table` of the training file, for its header.
      form: "tsv", where quotes are characters like others and each tab or line end in a cell
        becomes a space; "csv", all cells in quotes; "jsonl".
      groups: iterable of lists of rows (lists of str): a training row and its variants.
      about: dict, what the description says besides.

    Returns:
      The number of rows of each group.

    Raises:
      UserError: the disk is full or not writable, or what the iteration of `groups` raises.
    """
    counts = []
    with files.atomic_path(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as f:
            if table.header is not None and form != "jsonl":
                f.write(_line(table.header, form))
            for rows in groups:
                f.writelines(_line(row, form, table.header) for row in rows)
                counts.append(len(rows))
            f.flush()
            os.fsync(f.fileno())
        description = {
            **about,
            "format": FORMAT,
            "file": digest_of_file(temporary),
            "rows": " ".join(map(str, counts)),
            "training_examples": len(counts),
            "variants": sum(counts) - len(counts),
        }
        # First: beside an older file its digest gives it away, and the next run may replace both.
        files.write_json(description_path(path), description)
    return counts


def _line(cells, form, keys=None):
    if form == "jsonl":
        return json.dumps(dict(zip(keys, cells, strict=True)), ensure_ascii=False) + "\n"
    if form == "csv":
        return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"
    return "\t".join(_BREAKS.sub(" ", cell) for cell in cells) + "\n"
