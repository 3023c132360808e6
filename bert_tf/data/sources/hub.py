"""Data sets of Hugging Face `datasets`: saved on disk, in its cache, or on its hub."""

import contextlib
import os
import pathlib
import re
import sys

from absl import logging

from bert_tf import packages
from bert_tf.data.sources import network
from bert_tf.data.sources.base import CLASSES, Collector, Column, Source
from bert_tf.errors import UserError

_SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves
_BATCH_ROWS = 1024
_UNKNOWN = (401, 403, 404)  # what the hub answers to the name of no set, or of a closed one
_MAX_LISTED = 40


def open_set(name):
    """Returns the `Source` of `hf:NAME`.

    Args:
      name: of a set with or without its configuration (glue, glue/mrpc, nyu-mll/glue/mrpc), or a
        folder of `save_to_disk` or of data files.

    Raises:
      UserError: `datasets` is not installed, there is no such set, it needs a configuration or the
        network, or it is damaged.
    """
    packages.require("datasets", f"--dataset=hf:{name}")
    if os.path.isdir(name) and any((pathlib.Path(name) / file).exists() for file in _SAVED):
        return HubSet(f"hf:{name}", None, [], _load_saved(name))
    repository, config, configs = find(name)
    if config is None and len(configs) > 1 and "default" not in configs:
        raise UserError(
            f"--dataset=hf:{name}: name one of its configurations, as hf:{name}/{configs[0]}:"
            f" {listed(configs)}"
        )
    if config is not None and configs and config not in configs:
        raise UserError(
            f"--dataset=hf:{name}: no configuration {config!r}: expected one of {listed(configs)}"
        )
    loaded = _load(name, repository, config)
    return HubSet(f"hf:{name}", config, configs, loaded)


def listed(names):
    """Returns the first of some names (list), for messages."""
    return ", ".join(names[:_MAX_LISTED]) + (", ..." if len(names) > _MAX_LISTED else "")


def find(name):
    """Returns (repository or folder, configuration or None, all configurations) of `hf:NAME`.

    Raises:
      UserError: there is none, or that is not known without the network.
    """
    head, _, tail = name.rstrip("/").rpartition("/")
    choices = [(name.rstrip("/"), None), *([(head, tail)] if head else [])]
    for repository, config in choices:
        if os.path.isdir(repository):
            logging.info("hf:%s: is the folder %s", name, os.path.abspath(repository))
            return repository, config, _configs_of(name, repository)
    if name.startswith((".", "/", "~")) or name.count("/") > 2:
        raise UserError(f"--dataset=hf:{name}: no such folder")
    choices = [choice for choice in choices if choice[0].count("/") <= 1]
    cached = cached_sets()
    if _unreachable():
        for repository, config in choices:
            if found := _cached(cached, repository):
                return found, config, cached[found]
        known = f" The cache has {listed(sorted(cached))}." if cached else ""
        raise UserError(
            f"--dataset=hf:{name}: is not in the cache ({_cache()}), and {_endpoint()} cannot be"
            f" reached: download it where there is a network and copy the cache (HF_HOME), or give"
            f" a folder of save_to_disk.{known}"
        )
    for repository, config in choices:
        if _status(f"datasets/{repository}") not in _UNKNOWN:
            return repository, config, _configs_of(name, repository)
    raise UserError(
        f"--dataset=hf:{name}: unknown to {_endpoint()}, or not open to you: look for it with"
        f" --list_datasets --dataset=hf:{choices[-1][0].rpartition('/')[2]}"
    )


def cached_sets():
    """Returns {repository: [configuration]} of the sets in the cache of `datasets`.

    Raises:
      UserError: it is not installed.
    """
    packages.require("datasets", "--list_datasets")
    found = {}
    for info in sorted(_cache().glob("*/*/*/*/dataset_info.json")):
        folder, config = info.parts[-5:-3]
        configs = found.setdefault(folder.replace("___", "/"), [])
        if config not in configs:
            configs.append(config)
    return found


def search(text):
    """Returns names (list of str) on the hub that have `text` in them, the most used first.

    Raises:
      UserError: the hub cannot be reached.
    """
    packages.require("datasets", "--list_datasets")
    if _unreachable():
        raise UserError(f"--list_datasets: {_endpoint()} cannot be reached")
    from huggingface_hub import HfApi

    with _faults(text):
        found = HfApi(endpoint=_endpoint()).list_datasets(search=text, sort="downloads", limit=50)
        return [one.id for one in found]


class HubSet(Source):
    """A `DatasetDict` of `datasets`, whose rows stay in its files until they are read."""

    def __init__(self, name, config, configs, loaded):
        self.name, self.config, self.configs = name, config, configs
        self._splits = loaded

    def splits(self):
        return {str(split): part.num_rows for split, part in self._splits.items()}

    def columns(self, split):
        from bert_tf.data.sources import arrow

        features = self._splits[split].features
        return [_column(found, features) for found in arrow.columns_of(features.arrow_schema)]

    def read(self, split, roles, rows=None):
        from bert_tf.data.sources import arrow

        names = roles.names
        part = self._splits[split].select_columns(names)
        if rows is not None:
            part = part.select(rows)
        with _faults(self.name):
            batches = part.with_format("arrow").iter(batch_size=_BATCH_ROWS)
            return Collector(names).table(
                f"{self.name} {split}",
                (arrow.values_of(batch, names) for batch in batches),
                None if rows is None else [int(row) + 1 for row in rows],
            )


def _column(found, features):
    feature = features[found.name]
    names = getattr(feature, "names", None)
    if type(feature).__name__ == "ClassLabel" and names:
        return Column(found.name, "classes", CLASSES, tuple(map(str, names)))
    return found


def _load_saved(folder):
    import datasets

    with _faults(folder):
        try:
            loaded = datasets.load_from_disk(folder)
        except (TypeError, AttributeError) as e:  # JSON of another form
            raise ValueError(f"its JSON files are damaged: {e}") from e
    if isinstance(loaded, datasets.Dataset):
        return {str(loaded.split or "train"): loaded}
    return loaded


def _load(name, repository, config):
    """The splits of a set; those of the cache where the hub cannot be reached."""
    import datasets

    with _faults(name):
        return datasets.load_dataset(repository, config)


def _configs_of(name, repository):
    import datasets

    with _faults(name):
        return list(datasets.get_dataset_config_names(repository))


@contextlib.contextmanager
def _faults(name):
    """Context: whatever `datasets` cannot do is one `UserError`."""
    import datasets
    import pyarrow as pa

    kinds = (
        datasets.exceptions.DatasetsError, pa.ArrowException, OSError, ValueError, KeyError,
        RuntimeError, NotImplementedError,
        getattr(sys.modules.get("httpx"), "HTTPError", OSError),  # of a download that breaks off
    )  # fmt: skip
    try:
        yield
    except UserError:
        raise
    except kinds as e:
        fault = re.sub(r"\s+", " ", str(e)).strip() or type(e).__name__
        raise UserError(f"--dataset=hf:{name}: `datasets` cannot read it: {fault[:300]}") from e


def _unreachable():
    """Whether the hub does not answer; `datasets` then looks in its cache, without waiting."""
    import datasets
    import huggingface_hub

    if not datasets.config.HF_HUB_OFFLINE and _status("datasets?limit=1") is not None:
        return False
    datasets.config.HF_HUB_OFFLINE = datasets.config.HF_DATASETS_OFFLINE = True
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    return True


def _status(path):
    """What the hub answers, to a user who is logged in as that; None if it cannot be reached."""
    from huggingface_hub.utils import build_hf_headers

    return network.status_of(f"{_endpoint()}/api/{path}", build_hf_headers())


def _endpoint():
    import datasets

    return datasets.config.HF_ENDPOINT.rstrip("/")


def _cache():
    """The folder of prepared sets (HF_HOME, HF_DATASETS_CACHE)."""
    import datasets

    return pathlib.Path(datasets.config.HF_DATASETS_CACHE).expanduser()


def _cached(cached, repository):
    """The set of the cache that a name means, whoever it is of; None if it is not certain."""
    if repository in cached:
        return repository
    same = [name for name in cached if name.rpartition("/")[2] == repository]
    return same[0] if len(same) == 1 else None
