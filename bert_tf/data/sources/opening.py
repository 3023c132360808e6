"""Opens the data set that `--dataset` names."""

import os

from bert_tf import packages
from bert_tf.data.sources.spec import parse_dataset
from bert_tf.errors import UserError


def open_source(dataset, data_dir=None):
    """Returns the `Source` of a value of --dataset.

    Args:
      dataset: `hf:...`, `tfds:...`, `csv:...`, `json:...` or `parquet:...`.
      data_dir: folder of prepared sets of TFDS; has no meaning for the others.

    Raises:
      UserError: there is no such data set, or it cannot be read.
    """
    kind, place = parse_dataset(dataset)
    if data_dir is not None and kind != "tfds":
        raise UserError(
            f"--data_dir has no effect with --dataset={dataset}: it is the folder of prepared sets"
            " of tfds:"
        )
    source = _OPENERS[kind](os.path.expanduser(place), data_dir)
    if not source.splits():
        raise UserError(f"--dataset={dataset}: has no splits")
    return source


def _hub(place, _):
    from bert_tf.data.sources import hub

    return hub.open_set(place)


def _tfds(place, data_dir):
    from bert_tf.data.sources import tfds

    return tfds.open_set(place, data_dir)


def _parquet(place, _):
    packages.require("pyarrow", f"--dataset=parquet:{place}")
    from bert_tf.data.sources.arrow import ParquetFiles

    return ParquetFiles("parquet", place)


def _text(kind):
    def opened(place, _):
        from bert_tf.data.sources.file_sets import TextFiles

        return TextFiles(kind, place)

    return opened


_OPENERS = {
    "hf": _hub, "tfds": _tfds, "parquet": _parquet, "csv": _text("csv"), "json": _text("json"),
}  # fmt: skip
