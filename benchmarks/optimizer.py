"""Measures the optimizer alone: time of one update of a BERT-sized set of variables.

    python -m benchmarks.optimizer --vocab_size=30522 --hidden_size=384 --layers=6

Variants run interleaved; the table has the median of each and its ratio to tf_keras' AdamW. The
gradient of the embedding table is sparse, as in fine-tuning, the other gradients are dense.
"""

import os
import statistics
import time

import numpy as np
from absl import app, flags

import bert_tf  # noqa: F401

FLAGS = flags.FLAGS
flags.DEFINE_integer("vocab_size", 30522, "Rows of the embedding table.")
flags.DEFINE_integer("hidden_size", 384, "Width of the model.")
flags.DEFINE_integer("layers", 6, "Encoder layers.")
flags.DEFINE_integer("tokens", 512, "Tokens in a batch: rows in the sparse gradient.")
flags.DEFINE_integer("runs", 20, "Updates measured per variant.")
flags.DEFINE_bool("keep_memory", False, "Call bert_tf.training.allocator.keep_freed_memory first.")


def shapes():
    """Names and shapes of the variables, the table first."""
    h, i = FLAGS.hidden_size, 4 * FLAGS.hidden_size
    yield "word_embeddings", (FLAGS.vocab_size, h)
    yield "position_embeddings", (512, h)
    for layer in range(FLAGS.layers):
        for name in ("query", "key", "value", "attention/output/dense"):
            yield f"layer_{layer}/{name}/kernel", (h, h)
            yield f"layer_{layer}/{name}/bias", (h,)
        yield f"layer_{layer}/intermediate/dense/kernel", (h, i)
        yield f"layer_{layer}/intermediate/dense/bias", (i,)
        yield f"layer_{layer}/output/dense/kernel", (i, h)
        yield f"layer_{layer}/output/dense/bias", (h,)
        for name in ("attention", "output"):
            yield f"layer_{layer}/{name}/LayerNorm/gamma", (h,)
            yield f"layer_{layer}/{name}/LayerNorm/beta", (h,)


def make_update(tf, optimizer, clip):
    """Returns a function that looks the table up, makes gradients and updates once."""
    weights = [tf.Variable(tf.random.normal(s, stddev=0.02), name=n) for n, s in shapes()]
    dense = [tf.random.normal(w.shape, stddev=1e-3) for w in weights[1:]]
    rng = np.random.default_rng(0)
    rows = tf.constant(rng.integers(0, FLAGS.vocab_size, FLAGS.tokens))

    @tf.function
    def update():
        # As in a model, the lookup comes first: it decides how the table may be updated.
        values = tf.gather(weights[0], rows)
        grads = [tf.IndexedSlices(values, rows, weights[0].shape), *dense]
        if clip:
            grads, _ = clip(grads, 1.0)
        optimizer.apply_gradients(zip(grads, weights, strict=True))

    return update


def main(argv):
    """Runs the variants in turn and prints their medians."""
    del argv
    import tensorflow as tf
    import tf_keras as keras

    from bert_tf.training import allocator
    from bert_tf.training.optimization import AdamW, clip_by_global_norm

    if FLAGS.keep_memory:
        allocator.keep_freed_memory()
    keras_adamw = keras.optimizers.AdamW(1e-5, weight_decay=0.01)
    keras_adamw.exclude_from_weight_decay(var_names=["LayerNorm", "bias"])
    variants = {
        "tf_keras AdamW": make_update(tf, keras_adamw, None),
        "plain operations": make_update(tf, AdamW(1e-5, fused=False), None),
        "fused": make_update(tf, AdamW(1e-5), None),
        "fused, gradients clipped": make_update(tf, AdamW(1e-5), clip_by_global_norm),
    }
    times = {name: [] for name in variants}
    for run in range(FLAGS.runs + 2):
        for name, update in variants.items():
            start = time.perf_counter()
            update()
            if run >= 2:
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(t) * 1e3 for name, t in times.items()}
    base = next(iter(medians.values()))
    devices = [d.name for d in tf.config.list_logical_devices()]
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} CPU cores, {devices}, {FLAGS.runs} runs")
    for name, ms in medians.items():
        print(f"{ms:8.1f} ms  {base / ms:5.2f}x  {name}")


if __name__ == "__main__":
    app.run(main)
