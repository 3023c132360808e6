"""Which share of a training step is its forward pass, by how much of the model is frozen."""

import dataclasses
import pathlib
import statistics
import time

from benchmarks.worker import Worker
from bert_tf import files

_BATCHES = 24
_WARM_UP = 4  # of them, in which the functions are traced and memory is first touched


def state_name(frozen_layers, cached):
    """Returns the key of a state: "none", "0" (the embeddings) or "N", with "+cache" or without."""
    name = "none" if frozen_layers is None else str(frozen_layers)
    return f"{name}+cache" if cached else name


def forward_shares(options, states):
    """Returns {`state_name`: the forward pass's share of the step}, measured where it is not yet.

    Pass and step run in turns over the first batches of the run, in a process of its own; the
    median share counts. What is measured is kept in forward.json of --work_dir.

    Args:
      options: `ClassifierOptions` of a run without freezing.
      states: set of (frozen layers or None, from cache or not).
    """
    folder = pathlib.Path(options.output_dir).parent
    path = folder / "forward.json"
    shares = files.read_json(path, "shares of the forward pass") if path.exists() else {}
    missing = [state for state in states if state_name(*state) not in shares]
    if missing:
        options = dataclasses.replace(
            options, output_dir=str(folder / "forward"), distribution_strategy="off"
        )
        worker = Worker("forward passes", serve, options, sorted(missing, key=_depth))
        shares |= worker.receive()
        worker.join()
        files.write_json(path, shares)
    return shares


def _depth(state):
    frozen_layers, cached = state
    return -1 if frozen_layers is None else frozen_layers, cached


def serve(connection, options, states):
    """Process entry: sends {`state_name`: share}; `states` begin with the least frozen one."""
    try:
        connection.send(_measure(options, states))
    except Exception as e:
        connection.send(e)


def _measure(options, states):
    from bert_tf.classification.job import ClassificationJob
    from bert_tf.data.pipeline import make_dataset
    from bert_tf.finetuning import job as job_lib
    from bert_tf.finetuning import program
    from bert_tf.freezing import freeze
    from bert_tf.training.rhythm import Updates

    job = job_lib.prepare(ClassificationJob, options, *job_lib.start(options))
    job_lib.build_model(job)
    plan = program.make_plan(job)
    job_lib.compile_model(job, Updates(plan.steps))
    batches = make_dataset(job.data.train, plan, pad_to=job.data.pad_to).take(_BATCHES)
    shares = {}
    for frozen_layers, cached in states:
        freeze(job.model, -1 if frozen_layers == 0 else frozen_layers or 0)
        shares[state_name(frozen_layers, cached)] = _share(job.model, batches, cached, options.xla)
    return shares


def _share(model, batches, cached, xla):
    import tensorflow as tf

    from bert_tf.encoder.dropout import dropout_seed

    if cached:
        batches = batches.map(lambda inputs, labels: (_with_hidden(model, inputs), labels))

    def forward(data):
        inputs, labels = data
        with dropout_seed(tf.constant([0, 0])):
            logits, _ = model.forward(inputs, training=True)
        return tf.reduce_sum(model.example_losses(labels, logits))

    def step(data):
        return model.train_step(data)["loss"]

    signature = [batches.element_spec]
    functions = [tf.function(f, signature, jit_compile=xla or None) for f in (forward, step)]
    shares = []
    for batch in list(batches)[:_BATCHES]:
        seconds = [_seconds(function, batch) for function in functions]
        shares.append(seconds[0] / seconds[1])
    return statistics.median(shares[_WARM_UP:] or shares)


def _with_hidden(model, inputs):
    """The batch as it comes from a cache; what the states are does not change the time."""
    import tensorflow as tf

    shape = tf.concat([tf.shape(inputs["input_mask"]), [model.encoder.config.hidden_size]], 0)
    hidden = tf.random.stateless_normal(shape, [1, 2], dtype=model.encoder.compute_dtype)
    hidden.set_shape([None, None, model.encoder.config.hidden_size])
    return {**inputs, "hidden": hidden}


def _seconds(function, batch):
    started = time.perf_counter()
    function(batch).numpy()
    return time.perf_counter() - started
