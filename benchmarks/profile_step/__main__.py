"""Says where the time of one of our training steps on real SST-2 goes.

    python -m benchmarks.profile_step --model_dir=MODEL --data_dir=glue_data/SST-2

TensorFlow's profiler times every operation while they run one at a time, so that their times add
up; the lines of our code that made an operation, and its name, tell what it is for. The floor is
what the matrix products alone would take at the rate they reach on this machine in the same run.
"""

import collections
import pathlib
import statistics
import tempfile
import time

import numpy as np
from absl import app, flags

import bert_tf  # noqa: F401
from benchmarks import environment
from benchmarks.finetune import worker
from benchmarks.finetune.worker import Setup, Trainer, Variant
from benchmarks.profile_step import trace

FLAGS = flags.FLAGS
worker.define_flags()
flags.adopt_module_key_flags(worker)  # for --help
flags.DEFINE_string("variant", "ours-bucketed-float32", "As in benchmarks.finetune.")
flags.DEFINE_integer("steps", 20, "Steps to profile.", lower_bound=1)


def make_step(tf, trainer):
    """Returns (traced training step, its batches): real ones, the mix of the whole run."""
    from bert_tf.data.pipeline import make_dataset

    plan = worker.sample_plan(trainer.plan, trainer.store.lengths, FLAGS.steps, [FLAGS.seed])
    batches = list(make_dataset(trainer.store, plan, pad_to=trainer.variant.pad_to))
    spec = make_dataset(trainer.store, plan).element_spec

    @tf.function(input_signature=spec)
    def step(inputs, labels):
        return trainer.model.train_step((inputs, labels))["loss"]

    return step.get_concrete_function(), batches


def run(step, batches):
    """Runs a step on each batch; returns the mean wall and CPU seconds of a step."""
    wall, cpu = time.perf_counter(), time.process_time()
    for inputs, labels in batches:
        # A concrete function takes its tensors flat, sorted by key.
        step(*[inputs[key] for key in sorted(inputs)], labels)
    count = len(batches)
    return (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count


def step_flops(config, batch, length):
    """Operations of the matrix products of a step, forward and backward; 2 per multiply-add.

    The last layer computes keys and values of all tokens, everything else of the first one only.
    """
    hidden, wide, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    keys_values = 2 * hidden * hidden
    others = 2 * hidden * hidden + 2 * hidden * wide  # query, attention output, feed-forward
    products = 2 * hidden * length  # scores and context, of one query
    full = length * (keys_values + others + products)
    last = length * keys_values + others + products
    pooler = hidden * hidden
    # Backward takes one product for the inputs and one for the weights.
    return 6 * batch * ((layers - 1) * full + last + pooler)


def product_rate(tf, config, rows, dtype):
    """Operations per second of the feed-forward's three products, as they are in a step."""
    hidden, wide = config.hidden_size, config.intermediate_size
    shapes = [rows, hidden], [rows, wide], [hidden, wide]
    x, dy, kernel = (tf.cast(tf.random.normal(shape), dtype) for shape in shapes)

    @tf.function
    def products():
        return (
            tf.matmul(x, kernel),
            tf.matmul(dy, kernel, transpose_b=True),
            tf.matmul(x, dy, transpose_a=True),
        )

    seconds = []
    for _ in range(22):
        start = time.perf_counter()
        products()
        seconds.append(time.perf_counter() - start)
    return 6 * rows * hidden * wide / statistics.median(seconds[2:])


def profile(tf, step, batches, table):
    """Returns {group: seconds per step} of operations run one at a time."""
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        run(step, batches)
        tf.profiler.experimental.stop()
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        times = trace.operation_seconds(path)
    by_code = trace.groups_by_code(step.graph, table)
    groups = collections.Counter()
    for operation, seconds in times.items():
        groups[trace.group_of(operation, by_code)] += seconds / len(batches)
    return groups


def main(argv):
    """Profiles the steps and prints the share of each group of operations."""
    del argv
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(1)
    variant = Variant.parse(FLAGS.variant)
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(
            FLAGS.model_dir,
            FLAGS.data_dir,
            FLAGS.feature_dir or folder,
            FLAGS.batch_size,
            FLAGS.seed,
        )
        trainer = Trainer(setup, variant)
    step, batches = make_step(tf, trainer)
    run(step, batches)
    wall, cpu = run(step, batches)
    groups = profile(tf, step, batches, trainer.model.encoder.get_embedding_table())

    config = trainer.model.config
    lengths = [inputs["input_mask"].shape[1] for inputs, _ in batches]
    flops = np.mean([step_flops(config, FLAGS.batch_size, length) for length in lengths])
    rate = product_rate(tf, config, round(FLAGS.batch_size * np.mean(lengths)), variant.precision)
    total = sum(groups.values())
    print(environment.describe())
    print(f"{variant.name}, batch {FLAGS.batch_size} x {np.mean(lengths):.1f} tokens")
    print(f"step, profiler off: {wall * 1e3:.0f} ms wall, {cpu * 1e3:.0f} ms of CPU")
    print(f"step, profiler on: {total * 1e3:.0f} ms in operations\n")
    print("| part of a step | ms | share |\n|---|---|---|")
    for name, seconds in groups.most_common():
        print(f"| {name} | {seconds * 1e3:.1f} | {seconds / total:.1%} |")
    print(
        f"\nfloor: {flops / 1e9:.1f} GFLOP of matrix products at {rate / 1e9:.0f} GFLOP/s"
        f" = {flops / rate * 1e3:.0f} ms, {flops / rate / total:.0%} of the step"
    )


if __name__ == "__main__":
    app.run(main)
