"""The frozen layers' outputs, computed once per example and then read (AutoFreeze's cache)."""

import dataclasses
import functools
import pathlib
import threading
import time

import numpy as np
import tensorflow as tf
from absl import logging

from bert_tf.data.features import fingerprint
from bert_tf.freezing.activation_store import ActivationStore, StoreFault

_TRIALS = 8  # batches that `auto` measures
_MEMORY_SHARE = 0.25  # of the memory that is free, for `auto`


@dataclasses.dataclass(frozen=True)
class CacheConfig:
    """Where and how the activations are kept.

    Attributes:
      mode: `memory`, `disk`, or `auto`: in memory if they fit a quarter of what is free, else on
        disk, and not at all where reading is slower than computing.
      folder: where the files go.
      dtype: `float32`, `bfloat16` or `float16`; None takes the encoder's compute dtype, in which
        nothing is lost.
      budget_bytes: most bytes to keep; what does not fit is computed each time. None is no limit.
      keep: leave the files where they are at the end.
    """

    mode: str
    folder: pathlib.Path
    dtype: str | None = None
    budget_bytes: int | None = None
    keep: bool = False


class ActivationCache:
    """Supplies the hidden states at the frozen boundary of an encoder, for a data set.

    They are stored as training passes over the data, and read from then on. When the boundary
    moves up, the new depth is computed from the old one's entries where there are any. Whatever
    goes wrong with the storage, the states are computed instead, after one warning.

    Args:
      encoder: `BertEncoder`.
      features: `FeatureStore` of the training examples.
      config: `CacheConfig`.

    Attributes:
      seconds: {"read", "compute", "write"}: time spent so far, off the training's critical path.
    """

    def __init__(self, encoder, features, config):
        self.encoder = encoder
        self.features = features
        self.config = config
        self.dtype = config.dtype or encoder.compute_dtype
        self.seconds = {"read": 0.0, "compute": 0.0, "write": 0.0}
        self._stores = []  # the current depth's, and the one below while it is of use
        self._prefixes = {}  # {(start, stop): traced function}
        self._broken = False
        self._over_budget = False
        self._trial = _Trial() if config.mode == "auto" else None

    def at(self, depth):
        """Moves to a depth and returns what `make_dataset` takes as `activations`.

        Args:
          depth: frozen encoder layers, 1 or more.

        Returns:
          callable (ids, inputs) -> hidden states [b, t, hidden] of the encoder's compute dtype,
          with `ids` int [b] and `inputs` the `FeatureStore.batch` of these examples.
        """
        if not self._stores or self._stores[0].depth != depth:
            self._open(depth)
        # With stores of its own: the thread of a dataset that is given up may still be at work.
        batch = functools.partial(self._hidden, depth, list(self._stores))
        batch.dtype = tf.as_dtype(self.encoder.compute_dtype)
        batch.hidden_size = self.encoder.config.hidden_size
        return batch

    def close(self):
        """Removes what is stored, unless it is to be kept."""
        self._keep_only([], remove=not self.config.keep)

    def _open(self, depth):
        """Opens a depth's store; those of lower depths stay while they save computing."""
        started_here = bool(self._stores)
        self._keep_only([s for s in self._stores if s.depth < depth and s.filled])
        if self._broken:
            return
        width = self.encoder.config.hidden_size
        size = np.dtype(tf.as_dtype(self.dtype).as_numpy_dtype).itemsize
        total = int(self.features.lengths.sum(dtype=np.int64)) * width * size
        budget = self.config.budget_bytes
        on_disk = self.config.mode == "disk" or (
            self.config.mode == "auto" and min(total, budget or total) > _free_memory()
        )
        folder = self.config.folder if on_disk else None
        try:
            if folder and not started_here:
                self._take_over(folder, depth)
            if budget is not None and sum(s.bytes_used for s in self._stores) + total > budget:
                self._keep_only([])
                self._warn_of_budget(depth, total)
            store = self._make_store(depth, folder)
        except StoreFault as e:
            self._break(e)
            return
        logging.info(
            "activation cache: outputs of layer %d, %s, up to %.2f GB %s, %d of %d examples there",
            depth, self.dtype, total / 1e9, "on disk" if on_disk else "in memory",
            store.filled, len(self.features),
        )  # fmt: skip
        self._stores = [store, *self._stores]

    def _make_store(self, depth, folder):
        return ActivationStore(
            self.features.lengths,
            self.encoder.config.hidden_size,
            depth,
            self.dtype,
            self._fingerprint(depth),
            folder,
            self.config.budget_bytes,
        )

    def _take_over(self, folder, depth):
        """Opens the lower depths' files that a killed process left, of this run or another."""
        for lower in range(depth - 1, 0, -1):
            if any(folder.glob(f"depth-{lower}-*.json")):
                store = self._make_store(lower, folder)
                if store.filled:
                    self._stores.append(store)
                else:
                    store.close()

    def _keep_only(self, kept, remove=True):
        # Out of the list first: what another thread still asks of a closed store is no fault.
        closed = [store for store in self._stores if store not in kept]
        self._stores = list(kept)
        for store in closed:
            store.close(remove)

    def _warn_of_budget(self, depth, total):
        budget = self.config.budget_bytes
        if total > budget and not self._over_budget:
            self._over_budget = True
            logging.warning(
                "activation cache: layer %d's outputs are %.2g GB, the budget is %.2g GB:"
                " what does not fit is computed each time", depth, total / 1e9, budget / 1e9,
            )  # fmt: skip

    def _fingerprint(self, depth):
        """Of all that the hidden states depend on."""
        encoder = self.encoder
        layers = encoder.encoder_layers[:depth]
        weights = [v for layer in (encoder.embeddings, *layers) for v in layer.weights]
        return fingerprint(
            self.features.fingerprint,
            encoder.config.to_dict(),
            encoder.compute_dtype,
            *(part for v in weights for part in (v.name, v.numpy())),
        )

    def _hidden(self, depth, stores, ids, inputs):
        ids = np.asarray(ids)
        length = inputs["input_word_ids"].shape[1]
        dtype = tf.as_dtype(self.encoder.compute_dtype).as_numpy_dtype
        found = np.empty([len(ids), length, self.encoder.config.hidden_size], dtype)
        left = np.ones(len(ids), bool)
        for store in stores:  # the deepest first
            rows = np.flatnonzero(left)
            if len(rows):
                rows = rows[store.has(ids[rows])]
            states = self._read(store, ids[rows], length) if len(rows) else None
            if states is None:
                continue
            if store.depth < depth:
                states = self._compute(inputs, rows, store.depth, depth, states)
            found[rows] = states
            left[rows] = False
            if store.depth < depth:
                self._write(stores, depth, ids[rows], found[rows])
        rows = np.flatnonzero(left)
        if len(rows):
            started = time.monotonic()
            found[rows] = self._compute(inputs, rows, 0, depth)
            computing = time.monotonic() - started
            self._write(stores, depth, ids[rows], found[rows])
            self._measure(stores, depth, ids[rows], length, computing)
        return found

    def _compute(self, inputs, rows, start, stop, states=None):
        started = time.monotonic()
        batch = [inputs[name][rows] for name in ("input_mask", "input_word_ids", "input_type_ids")]
        states = batch[1] if states is None else states.astype(self.encoder.compute_dtype)
        hidden = self._prefix(start, stop)(batch[0], states, batch[2]).numpy()
        self.seconds["compute"] += time.monotonic() - started
        return hidden

    def _prefix(self, start, stop):
        """The layers from `start` up to `stop`; from 0, the embeddings before them."""
        if (start, stop) in self._prefixes:
            return self._prefixes[start, stop]
        encoder = self.encoder
        ids = tf.TensorSpec([None, None], tf.int32)
        hidden = tf.TensorSpec([None, None, encoder.config.hidden_size], encoder.compute_dtype)

        # Traced once, for every batch size and length.
        @tf.function(input_signature=[ids, hidden if start else ids, ids])
        def run(mask, states, type_ids):
            if start == 0:
                states = encoder.embed(states, type_ids, training=False)
            return encoder.transform(states, mask, range(start, stop), training=False)[1][-1]

        self._prefixes[start, stop] = run
        return run

    def _read(self, store, ids, length):
        started = time.monotonic()
        try:
            return store.read(ids, length)
        except StoreFault as e:
            self._break(e, store)
            return None
        finally:
            self.seconds["read"] += time.monotonic() - started

    def _write(self, stores, depth, ids, hidden):
        if not stores or stores[0].depth != depth:
            return
        started = time.monotonic()
        try:
            stores[0].write(ids, hidden)
        except StoreFault as e:
            self._break(e, stores[0])
        self.seconds["write"] += time.monotonic() - started
        if stores[0].complete:
            for store in stores[1:]:
                store.close()

    def _measure(self, stores, depth, ids, length, computing):
        """`auto`: compares reading with computing in the first batches, says which it uses."""
        if not self._trial or self._trial.over or not stores or stores[0].depth != depth:
            return
        if not stores[0].has(ids).all():
            return
        started = time.monotonic()
        if self._read(stores[0], ids, length) is None:
            return
        if self._trial.add(computing, time.monotonic() - started) is False:
            self._broken = True
            for store in stores:
                store.close()

    def _break(self, fault, store=None):
        if store and store not in self._stores:
            return
        if not self._broken:
            logging.warning(
                "activation cache: %s: nothing more is stored, what is not there is computed", fault
            )
        self._broken = True


class _Trial:
    """Compares the median times of reading and computing a batch; several threads may add to it.

    Attributes:
      over: whether there are enough batches.
    """

    def __init__(self):
        self.over = False
        self._times = []
        self._lock = threading.Lock()

    def add(self, computing, reading):
        """Adds a batch's seconds; with the last one says and returns whether reading is faster.

        Before and after it returns None.
        """
        with self._lock:
            self._times.append((computing, reading))
            if self.over or len(self._times) < _TRIALS:
                return None
            self.over = True
            computing, reading = np.median(self._times, axis=0)
        logging.info(
            "activation cache: reading a batch takes %.2f ms, computing it %.2f ms: %s",
            1e3 * reading, 1e3 * computing,
            "cached" if reading < computing else "not worth it, computed each time",
        )  # fmt: skip
        return bool(reading < computing)


def _free_memory():
    """Bytes that `auto` may take of memory; 0 where the system does not tell how much is free."""
    try:
        lines = pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration, ValueError):
        return 0
    return int(free * _MEMORY_SHARE)
