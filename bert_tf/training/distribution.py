"""Where training runs: distribution strategy, precision, and this process's share of the work."""

import contextlib
import functools
import json
import os
import pathlib
import re

import tensorflow as tf
import tf_keras as keras

from bert_tf import keras_internals, locks
from bert_tf.errors import UserError
from bert_tf.packages import require_tf_models
from bert_tf.training.allocator import keep_freed_memory
from bert_tf.training.run_options import STRATEGIES


def start(options):
    """Prepares this process for a run as `RunOptions` say; returns the strategy, None for `off`.

    Call it before TensorFlow's first operation.

    Raises:
      UserError: see `make_strategy` and `check_flags`.
    """
    keep_freed_memory()
    strategy = make_strategy(options.distribution_strategy, options.num_gpus, options.tpu)
    check_flags(strategy, options)
    if not tf.config.get_visible_devices("GPU"):  # whose memory the same rewriting may save
        keras_internals.add_in_order()
    set_precision(options.precision)
    keras.utils.set_random_seed(options.seed)
    return strategy


def set_precision(precision):
    """Sets Keras' global policy: `float32`, `bfloat16` or `float16` compute, float32 variables."""
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    keras.mixed_precision.set_global_policy(policy)


def make_strategy(name="off", num_gpus=None, tpu=None):
    """Returns a `tf.distribute.Strategy`; None for `off`.

    Call it before TensorFlow's first operation: devices and clusters cannot change after it.

    Args:
      name: one of `STRATEGIES`. `multi_worker_mirrored` reads the cluster from TF_CONFIG.
      num_gpus: GPUs to use on this machine, 0 for the CPU; all of them when None.
      tpu: TPU address, for `tpu`, which tf-models-official connects to.

    Raises:
      UserError: unknown name, TF_CONFIG missing or wrong, more GPUs asked for than there are, or
        `tpu` without tf-models-official.
    """
    if name not in STRATEGIES:
        raise UserError(f"--distribution_strategy={name}: expected one of {', '.join(STRATEGIES)}")
    if name == "off":
        return None
    if name == "tpu":
        require_tf_models("--distribution_strategy=tpu")
    if name == "multi_worker_mirrored":
        _check_tf_config(os.environ.get("TF_CONFIG", ""))
    gpus = tf.config.list_physical_devices("GPU")
    count = len(gpus) if num_gpus is None else num_gpus
    if not 0 <= count <= len(gpus):
        raise UserError(f"--num_gpus={num_gpus}: this machine has {len(gpus)}")
    if name == "one_device":
        if num_gpus is not None and num_gpus > 1:
            raise UserError(f"--num_gpus={num_gpus}: --distribution_strategy=one_device takes one")
        count = min(count, 1)
    try:
        if count < len(gpus):
            tf.config.set_visible_devices(gpus[:count], "GPU")
        return _create(name, count, tpu)
    except (ValueError, RuntimeError, tf.errors.OpError) as e:
        raise UserError(f"--distribution_strategy={name}: {e}") from e


@functools.cache
def _create(name, num_gpus, tpu):
    """The strategy; one per process: a second one's collectives would collide with it."""
    if name == "tpu":
        from official.common import distribute_utils

        return distribute_utils.get_distribution_strategy(name, tpu_address=tpu)
    if name == "multi_worker_mirrored":
        return tf.distribute.MultiWorkerMirroredStrategy()
    devices = [f"device:GPU:{i}" for i in range(num_gpus)] or ["device:CPU:0"]
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy(devices[0])
    return tf.distribute.MirroredStrategy(devices)


def check_flags(strategy, options):
    """Raises `UserError` for flags of `RunOptions` that several devices cannot follow.

    The devices' sums run outside XLA, and inside a loop their shapes must not change.
    """
    if (
        strategy is None
        or strategy.num_replicas_in_sync == 1
        or options.distribution_strategy == "tpu"
    ):
        return
    several = getattr(options, "steps_per_execution", 1) > 1
    wrong = {"xla": options.xla, "steps_per_execution": several}
    for name in wrong:
        if wrong[name]:
            raise UserError(
                f"--{name} works on one device only, not on the {strategy.num_replicas_in_sync}"
                f" of --distribution_strategy={options.distribution_strategy}"
            )


def scope(strategy):
    """The strategy's scope, or an empty context for None (`off`)."""
    return strategy.scope() if strategy else contextlib.nullcontext()


def _several_workers(strategy):
    """Whether some of the strategy's replicas are those of other processes."""
    if strategy is None:
        return False
    return strategy.num_replicas_in_sync > len(strategy.extended.worker_devices)


def is_chief(strategy):
    """True where files are written: everywhere but on the other workers of a cluster."""
    if not _several_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    return resolver.task_type in (None, "chief") or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().as_dict()
    )


def value_of_chief(strategy, value):
    """Returns the chief's `value` (int) on every worker, each of which waits for the chief.

    With one process it is `value`. Every worker of a cluster has to call it.
    """
    if not _several_workers(strategy):
        return value
    value = tf.constant(value if is_chief(strategy) else 0, tf.int64)

    @tf.function
    def total():
        return strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("sum", value))

    totals = strategy.experimental_local_results(total())
    return int(totals[0]) // len(totals)  # each of the chief's replicas added its value


@contextlib.contextmanager
def only_run(strategy, output_dir):
    """Context: no other run writes to output_dir meanwhile; a run that was killed is no other one.

    Every worker of a cluster has to enter it; the chief holds the lock.

    Raises:
      UserError: another run is at work there.
    """
    with contextlib.ExitStack() as stack:
        free = True
        if is_chief(strategy):
            free = stack.enter_context(locks.hold(pathlib.Path(output_dir) / ".lock"))
        if value_of_chief(strategy, int(not free)):
            raise UserError(
                f"--output_dir={output_dir}: another run is writing there: wait for its end, or"
                " give another folder"
            )
        yield


class ChiefValues:
    """Numbers of the chief, known to all workers: cheap enough for once an update.

    Args:
      strategy: `tf.distribute.Strategy` or None.
      count: how many numbers.
    """

    def __init__(self, strategy, count):
        self._strategy = strategy
        self._alone = not _several_workers(strategy)
        self._chief = is_chief(strategy)
        if self._alone:
            return

        @tf.function(input_signature=[tf.TensorSpec([count + 1], tf.float64)])
        def total(values):
            def add():
                context = tf.distribute.get_replica_context()
                first = tf.cast(context.replica_id_in_sync_group % self._local == 0, tf.float64)
                return context.all_reduce("sum", values * first)

            return strategy.run(add)

        self._local = len(strategy.extended.worker_devices)
        self._total = total

    def read(self, values, flag=False):
        """Returns ([the chief's values], whether any worker's flag is set), the same everywhere.

        Every worker of a cluster has to call it; each waits for the others.

        Args:
          values: floats, `count` of them; the chief's count.
          flag: bool.
        """
        if self._alone:
            return list(values), flag
        mine = values if self._chief else [0.0] * len(values)
        totals = self._total(tf.constant([*mine, float(flag)], tf.float64))
        *found, flags = self._strategy.experimental_local_results(totals)[0].numpy().tolist()
        return found, flags > 0


def chief_first(strategy, function):
    """Calls `function` (argument: whether this is the chief) on the chief, then on the others.

    Every worker of a cluster has to call it. Returns what `function` returned here.
    """
    chief = is_chief(strategy)
    if chief:
        result = function(True)
    value_of_chief(strategy, 0)  # the others wait here
    return result if chief else function(False)


def distribute(strategy, make_shard):
    """Builds the training dataset of every replica.

    Args:
      strategy: `tf.distribute.Strategy` or None.
      make_shard: callable (index, count) -> dataset of the index-th of `count` equal shares of
        each global batch.

    Returns:
      What `fit` takes: the whole dataset, or a distributed one that gives each replica its share.
    """
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return make_shard(0, 1)
    count = strategy.num_replicas_in_sync

    def worker_dataset(context):
        local = count // context.num_input_pipelines
        first = context.input_pipeline_id * local
        shares = [make_shard(first + i, count) for i in range(local)]
        if local == 1:
            return shares[0]
        # One element per local replica, in turn.
        return tf.data.Dataset.choose_from_datasets(shares, tf.data.Dataset.range(local).repeat())

    return strategy.distribute_datasets_from_function(worker_dataset)


def _check_tf_config(text):
    """Raises `UserError` unless `text` describes a cluster and this process's place in it."""
    expected = (
        'expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker",'
        ' "index": 0}}, with an index of its own for each process'
    )
    where = "--distribution_strategy=multi_worker_mirrored: environment variable TF_CONFIG"
    if not text:
        raise UserError(f"{where} is not set: {expected}")
    try:
        value = json.loads(text)
        cluster, task = value["cluster"], value["task"]
        kind, index = task["type"], int(task["index"])
        addresses = [address for kind in cluster for address in cluster[kind]]
        fits = (
            {"chief", "worker"}.issuperset(cluster)
            and 0 <= index < len(cluster[kind])
            and all(re.fullmatch(r".+:\d+", address) for address in addresses)
        )
    except (ValueError, KeyError, TypeError) as e:
        raise UserError(f"{where}: {expected}; found {text!r}") from e
    if not fits:
        raise UserError(f"{where}: {expected}; found {text!r}")
