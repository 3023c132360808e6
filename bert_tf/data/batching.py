"""Which examples make up which batch: a pure function of lengths, seed and batch size."""

import threading

import numpy as np

from bert_tf.errors import UserError

# Batches sorted by length among themselves: enough for little padding, few enough that a batch's
# companions change from epoch to epoch.
_GROUP = 50
_EXAMPLES, _BATCHES = 0, 1  # independent streams of random numbers


class BatchPlan:
    """The batches of a whole run, in order.

    Args:
      ids: int32 [total] positions of the examples of all batches.
      offsets: int64 [steps + 1]; batch i is ids[offsets[i]:offsets[i + 1]].
      lengths: int [n] tokens of each example.
      padded_lengths: int [n] what each example makes its batch's length at least; its tokens if
        None.

    Attributes:
      steps: number of batches.
      tokens: real tokens in all batches.
      padded_tokens: tokens with each batch padded to its longest example.
    """

    def __init__(self, ids, offsets, lengths, padded_lengths=None):
        self._ids = np.asarray(ids, np.int32)
        self._offsets = np.asarray(offsets, np.int64)
        self._num_examples = len(lengths)
        self.steps = len(self._offsets) - 1
        self.tokens = self.padded_tokens = 0
        if self.steps:
            padded_lengths = lengths if padded_lengths is None else padded_lengths
            longest = np.maximum.reduceat(padded_lengths[self._ids], self._offsets[:-1])
            self.tokens = int(lengths[self._ids].sum(dtype=np.int64))
            self.padded_tokens = int((longest * np.diff(self._offsets)).sum())

    def ids(self, step):
        """Returns int32 [b]: positions of the examples of batch `step` (from 0)."""
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of a plan of {self.steps} steps")
        return self._ids[self._offsets[step] : self._offsets[step + 1]]

    def epoch_of(self, step):
        """Returns the epochs (float) seen before batch `step`; step may be `steps`, the end."""
        return float(self._offsets[step] / self._num_examples)

    @property
    def padding_share(self):
        """Share of all tokens that are padding, in [0, 1)."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0


class EndlessPlan:
    """The batches of a run that ends by a clock: those of a plan of ever more epochs.

    Args:
      make: callable (epochs, int) -> `BatchPlan`; that of more epochs begins with that of fewer.

    Attributes:
      steps: None, there is no last batch.
    """

    steps = None

    def __init__(self, make):
        self._make = make
        self._epochs = 0
        self._lock = threading.Lock()  # the threads of a dataset ask, too
        self._plan = None
        self._with(1)

    def ids(self, step):
        """Returns int32 [b]: positions of the examples of batch `step` (from 0)."""
        return self._with(step + 1).ids(step)

    def epoch_of(self, step):
        """Returns the epochs (float) seen before batch `step`."""
        return self._with(step).epoch_of(step)

    @property
    def padding_share(self):
        """Share of all tokens that are padding, in [0, 1), of the epochs that were planned."""
        return self._plan.padding_share

    def _with(self, steps):
        """The plan, of `steps` batches at least."""
        with self._lock:
            while self._plan is None or self._plan.steps < steps:
                # By doublings, for which Google's arithmetic of steps is exact.
                self._epochs = 2 * self._epochs or 1
                self._plan = self._make(self._epochs)
            return self._plan


def train_plan(
    lengths,
    *,
    batch_size=None,
    token_budget=None,
    epochs=3.0,
    seed=0,
    bucket=True,
    pad_to=None,
    pad_multiple=1,
):
    """Returns the `BatchPlan` of a training run.

    Every epoch is a permutation of all examples that depends on seed and epoch only. Its batches
    are put together from examples of similar length within groups of about 50 batches, and the
    batches of a group are shuffled, so the order stays random.

    With `batch_size`, every batch has exactly that many examples and there are
    int(n / batch_size * epochs) of them, Google's arithmetic: where an epoch is no multiple of
    batch_size, one batch holds its last examples and the first of the next epoch, and the last
    epoch loses what fills no batch. With `token_budget`, batches are cut so that examples times
    longest example is within the budget, each epoch by itself, and nothing is lost.

    Args:
      lengths: int [n] tokens of each example.
      batch_size, token_budget: exactly one of them.
      epochs: passes over the data; the last may be a fraction.
      seed: another one gives another order.
      bucket: False takes the examples as the permutation gives them, whatever their length.
      pad_to, pad_multiple: how the batches will be padded, see `FeatureStore.padded_length`. A
        budget counts this padding; batches of `batch_size` are the same whatever it is.

    Raises:
      UserError: an example is longer than the budget.
    """
    lengths = np.asarray(lengths)
    padded = np.full_like(lengths, pad_to) if pad_to else -(-lengths // pad_multiple) * pad_multiple
    _check(padded, batch_size, token_budget)
    if batch_size is not None:
        ids, offsets = _fixed_size_batches(lengths, batch_size, epochs, seed, bucket)
    else:
        ids, offsets = _budget_batches(padded, token_budget, epochs, seed, bucket)
    return BatchPlan(ids, offsets, lengths, padded)


def eval_plan(lengths, batch_size=None, token_budget=None):
    """Returns the `BatchPlan` that sees every example once, longest first; no example is dropped.

    Args:
      lengths: int [n] tokens of each example.
      batch_size, token_budget: exactly one of them; the last batch may be smaller.

    Raises:
      UserError: an example is longer than the budget.
    """
    lengths = np.asarray(lengths)
    _check(lengths, batch_size, token_budget)
    order = np.argsort(-lengths, kind="stable")
    if batch_size is None:
        sizes = _budget_sizes(lengths[order], token_budget)
        return BatchPlan(order, np.cumsum([0, *sizes]), lengths)
    offsets = np.append(np.arange(0, len(lengths), batch_size), len(lengths))
    return BatchPlan(order, offsets, lengths)


def _check(lengths, batch_size, token_budget):
    if (batch_size is None) == (token_budget is None):
        raise ValueError("give either batch_size or token_budget")
    if not len(lengths):
        raise ValueError("no examples")
    if token_budget is not None and lengths.max() > token_budget:
        raise UserError(
            f"--train_token_budget={token_budget}: example {int(lengths.argmax())} alone has"
            f" {int(lengths.max())} tokens, expected a budget of that or more"
        )


def _permutation(count, *stream):
    """A permutation of range(count) that is the same with every version of NumPy."""
    # Raw bits are stable between versions; `Generator.permutation` need not be.
    return np.argsort(np.random.PCG64(stream).random_raw(count), kind="stable")


def _fixed_size_batches(lengths, batch_size, epochs, seed, bucket):
    n = len(lengths)
    steps = int(n / batch_size * epochs)
    num_epochs = -(-steps * batch_size // n)
    orders = [_permutation(n, seed, epoch, _EXAMPLES) for epoch in range(num_epochs)]
    ids = np.concatenate([np.zeros(0, np.int64), *orders])[: steps * batch_size]
    batches = ids.reshape(steps, batch_size).astype(np.int32)
    if bucket:
        for epoch in range(num_epochs):
            # Batches wholly inside the epoch; one that holds two epochs' examples stays as it is.
            first = -(-epoch * n // batch_size)
            last = min((epoch + 1) * n // batch_size, steps)
            for group, part in enumerate(_groups(np.arange(first, last))):
                examples = batches[part].ravel()
                examples = examples[np.argsort(lengths[examples], kind="stable")]
                order = _permutation(len(part), seed, epoch, _BATCHES, group)
                batches[part] = examples.reshape(-1, batch_size)[order]
    return batches.ravel(), np.arange(steps + 1) * batch_size


def _groups(batches):
    return np.array_split(batches, max(1, round(len(batches) / _GROUP)))


def _budget_batches(lengths, budget, epochs, seed, bucket):
    n = len(lengths)
    batches = []
    for epoch in range(int(np.ceil(epochs))):
        count = min(n, round((epochs - epoch) * n))
        order = _permutation(n, seed, epoch, _EXAMPLES)[:count].astype(np.int32)
        if not bucket:
            batches += _cut(order, lengths, budget)
            continue
        num_groups = max(1, round(int(lengths[order].sum()) / (_GROUP * budget)))
        for group, part in enumerate(np.array_split(order, num_groups)):
            cut = _cut(part[np.argsort(lengths[part], kind="stable")], lengths, budget)
            batches += [cut[i] for i in _permutation(len(cut), seed, epoch, _BATCHES, group)]
    ids = np.concatenate([np.zeros(0, np.int32), *batches])
    return ids, np.cumsum([0, *map(len, batches)])


def _cut(order, lengths, budget):
    sizes = _budget_sizes(lengths[order], budget)
    return np.split(order, np.cumsum(sizes)[:-1]) if sizes else []


def _budget_sizes(lengths, budget):
    """Sizes of consecutive batches, each the largest with rows x longest within the budget."""
    sizes, rows, longest = [], 0, 0
    for length in lengths.tolist():
        longest = max(longest, length)
        if (rows + 1) * longest > budget:
            sizes.append(rows)
            rows, longest = 0, length
        rows += 1
    return [*sizes, rows] if rows else sizes
