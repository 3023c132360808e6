"""Data sets of tensorflow-datasets: prepared in its folder, or downloaded into it."""

import contextlib
import difflib
import os
import pathlib
import re
import urllib.parse

import numpy as np

from bert_tf import packages
from bert_tf.data.sources import network
from bert_tf.data.sources.base import (
    CLASSES,
    INTEGER,
    NUMBER,
    OTHER,
    TEXT,
    Collector,
    Column,
    Source,
)
from bert_tf.data.sources.hub import listed
from bert_tf.errors import UserError

_BATCH_ROWS = 1024
_INFO = "dataset_info.json"


def open_set(name, data_dir=None):
    """Returns the `Source` of `tfds:NAME`.

    Args:
      name: of a set with or without its configuration and version (glue/mrpc, imdb_reviews:1.0.0),
        or a folder that holds one, prepared.
      data_dir: folder of prepared sets; None takes TFDS's own (TFDS_DATA_DIR).

    Raises:
      UserError: tensorflow-datasets is not installed, there is no such set, it needs a
        configuration or the network, or it is damaged.
    """
    packages.require("tensorflow_datasets", f"--dataset=tfds:{name}")
    import tensorflow_datasets as tfds

    if os.path.isdir(name):
        with _faults(name):
            return TfdsSet(f"tfds:{name}", None, [], tfds.builder_from_directory(_prepared(name)))
    place = _folder(data_dir)
    plain, config, configs = _find(name, place)
    if config is None and len(configs) > 1:
        raise UserError(
            f"--dataset=tfds:{name}: name one of its configurations, as tfds:{plain}/{configs[0]}:"
            f" {listed(configs)}"
        )
    if config is not None and configs and config.partition(":")[0] not in configs:
        raise UserError(
            f"--dataset=tfds:{name}: no configuration {config!r}: expected one of {listed(configs)}"
        )
    if config is None and len(configs) == 1 and ":" not in name:
        full = f"{plain}/{configs[0]}"
    else:
        full = name
    with _faults(name):
        builder = tfds.builder(full, data_dir=str(place), try_gcs=False)
        if not builder.is_prepared():
            _download(name, builder, place)
    return TfdsSet(f"tfds:{name}", config, configs, builder)


def all_sets(data_dir=None):
    """Returns (names of the sets that TFDS can prepare, {name: configurations} of the prepared)."""
    packages.require("tensorflow_datasets", "--list_datasets")
    import tensorflow_datasets as tfds

    return tfds.list_builders(with_community_datasets=False), prepared_sets(_folder(data_dir))


def prepared_sets(place):
    """Returns {name: [configuration]} of the sets in a folder of TFDS."""
    found = {}
    for info in sorted([*place.glob(f"*/*/{_INFO}"), *place.glob(f"*/*/*/{_INFO}")]):
        parts = info.relative_to(place).parts
        configs = found.setdefault(parts[0], [])
        if len(parts) == 4 and parts[1] not in configs:
            configs.append(parts[1])
    return found


def configurations(name, data_dir=None):
    """Returns the names (list) of the configurations of a set."""
    packages.require("tensorflow_datasets", f"--dataset=tfds:{name}")
    return _find(name, _folder(data_dir))[2]


class TfdsSet(Source):
    """A prepared set, read in the order of its files."""

    def __init__(self, name, config, configs, builder):
        self.name, self.config, self.configs = name, config, configs
        self._builder = builder

    def splits(self):
        return {str(name): info.num_examples for name, info in self._builder.info.splits.items()}

    def columns(self, split):
        features = self._builder.info.features
        if not hasattr(features, "items"):
            raise UserError(f"{self.name}: has no columns, but {features}")
        return [_column(name, feature) for name, feature in features.items()]

    def read(self, split, roles, rows=None):
        with _faults(self.name):
            collector = Collector(roles.names, rows)
            return collector.table(f"{self.name} {split}", self._batches(split, roles.names))

    def _batches(self, split, names):
        import tensorflow_datasets as tfds

        rows = self._builder.as_dataset(
            split=split,
            shuffle_files=False,
            # One file after the other, so that rows have numbers.
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
            decoders=tfds.decode.PartialDecoding(dict.fromkeys(names, True)),
        )
        for batch in tfds.as_numpy(rows.batch(_BATCH_ROWS)):
            yield [batch[name] for name in names]


def _column(name, feature):
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.ClassLabel):
        names = feature.names or list(map(str, range(feature.num_classes or 0)))
        return Column(name, "classes", CLASSES, tuple(names)) if names else _plain(name, feature)
    return _plain(name, feature)


def _plain(name, feature):
    kind = type(feature).__name__
    if getattr(feature, "shape", None) != ():
        return Column(name, kind, OTHER)
    dtype = np.dtype(feature.np_dtype)
    if dtype == np.bool_ or np.issubdtype(dtype, np.integer):
        return Column(name, dtype.name, INTEGER)
    if np.issubdtype(dtype, np.floating):
        return Column(name, dtype.name, NUMBER)
    return Column(name, kind.lower(), TEXT if dtype.kind in "OSU" else OTHER)


def _find(name, place):
    """(name without configuration and version, configuration or None, all configurations)."""
    import tensorflow_datasets as tfds

    plain, _, config = name.partition("/")
    plain = plain.partition(":")[0]
    on_disk = prepared_sets(place)
    try:
        configs = list(tfds.builder_cls(plain).builder_configs)
    except (tfds.core.DatasetNotFoundError, ImportError, ValueError) as e:
        if plain in on_disk:
            return plain, config or None, on_disk[plain]
        known = tfds.list_builders(with_community_datasets=False)
        near = difflib.get_close_matches(plain, [*known, *on_disk], 3)
        hint = f": did you mean {' or '.join(near)}?" if near else ": see --list_datasets"
        raise UserError(
            f"--dataset=tfds:{name}: unknown to tensorflow-datasets, and not in {place}{hint}"
        ) from e
    return plain, config or None, [str(one) for one in configs]


def _prepared(folder):
    """The folder below `folder`, or itself, in which a set is prepared."""
    root = pathlib.Path(folder)
    found = sorted(info.parent for info in root.glob(f"**/{_INFO}"))
    if len(found) == 1:
        return str(found[0])
    if not found:
        raise UserError(f"--dataset=tfds:{folder}: no {_INFO} in it, expected a prepared set")
    raise UserError(
        f"--dataset=tfds:{folder}: holds several sets or versions, name one of"
        f" {listed([str(one) for one in found])}"
    )


def _folder(data_dir):
    found = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(found).expanduser()


def _download(name, builder, place):
    """Prepares the set, where its servers answer."""
    hosts = {f"{u.scheme}://{u.netloc}" for u in map(urllib.parse.urlsplit, builder.url_infos)}
    some = sorted(hosts)[:3] or ["https://storage.googleapis.com"]
    if all(network.status_of(host) is None for host in some):
        raise UserError(
            f"--dataset=tfds:{name}: is not prepared in {place}, and {', '.join(some)} cannot be"
            " reached: prepare it where there is a network, copy the folder, and name it with"
            " --data_dir or TFDS_DATA_DIR"
        )
    try:
        builder.download_and_prepare()
    except Exception as e:  # what a download may raise has no common class
        fault = re.sub(r"\s+", " ", str(e)).strip() or type(e).__name__
        raise UserError(
            f"--dataset=tfds:{name}: tensorflow-datasets cannot prepare it: {fault[:300]}"
        ) from e


@contextlib.contextmanager
def _faults(name):
    """Context: whatever TFDS cannot do is one `UserError`."""
    import tensorflow as tf

    try:
        yield
    except UserError:
        raise
    except (tf.errors.OpError, OSError, ValueError, KeyError, AssertionError, RuntimeError) as e:
        fault = re.sub(r"\s+", " ", str(e)).strip() or type(e).__name__
        place = name.removeprefix("tfds:")
        raise UserError(
            f"--dataset=tfds:{place}: tensorflow-datasets cannot read it: {fault[:300]}"
        ) from e
