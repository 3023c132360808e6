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
    place = os.path.expanduser(place)
    if data_dir is not None and kind != "tfds":
        raise UserError(
            f"--data_dir has no effect with --dataset={dataset}: it is the folder of prepared sets"
            " of tfds:"
        )
    if kind == "tfds":
        from bert_tf.data.sources import tfds

        return tfds.open_set(place, data_dir)
    if kind == "hf":
        from bert_tf.data.sources import hub

        return hub.open_set(place)
    if kind == "parquet":
        packages.require("pyarrow", f"--dataset={dataset}")
        from bert_tf.data.sources.arrow import ParquetFiles

        return ParquetFiles(kind, place)
    from bert_tf.data.sources.file_sets import TextFiles

    return TextFiles(kind, place)
