"""The runs of a sweep for TensorBoard's HPARAMS tab, written without TensorFlow."""

import os
import time

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from bert_tf import folders

HPARAMS_DIR = "hparams"
MAIN = "main_metric"


def write_hparams(table, output_dir):
    """Writes the folder `hparams`: what was varied, and of each run that is done what it gave.

    Each run is a session with its task, setting and seed, its main metric as `main_metric`, and all
    metrics of the first dev split by their names.

    Args:
      table: `Table`.
      output_dir: folder of the sweep (`pathlib.Path`).
    """
    outcomes = [x for row in table.rows for x in row.outcomes]
    if not outcomes:
        return
    names = ["task", *table.flags, "seed"]
    hparams = [summary_v2.HParam(name, _domain(name, outcomes)) for name in names]
    metrics = list(dict.fromkeys([MAIN, *(name for x in outcomes for name in _metrics(x))]))
    shown = [summary_v2.Metric(name) for name in metrics]
    with folders.replaced(output_dir / HPARAMS_DIR) as folder:
        _write(folder, [summary_v2.hparams_config_pb(hparams, shown)])
        for outcome in outcomes:
            run = outcome.run
            values = {**_values(outcome), "seed": run.seed}
            scalars = {MAIN: outcome.value, **_metrics(outcome)}
            _write(
                folder / (run.task or outcome.task) / run.folder.name,
                [
                    summary_v2.hparams_pb(values, trial_id=run.name),
                    *(scalar_pb(name, value) for name, value in scalars.items()),
                    _session_end(),
                ],
            )


def _values(outcome):
    """{name: bool, number or text} of what a run was; what others alone have is left out."""
    return {"task": outcome.task, **outcome.run.setting}


def _metrics(outcome):
    """{metric: value} of the first dev split."""
    return outcome.metrics[outcome.split]


def _domain(name, outcomes):
    values = [{**_values(x), "seed": x.run.seed}.get(name) for x in outcomes]
    values = list(dict.fromkeys(value for value in values if value is not None))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        values = sorted(map(float, values))
    elif len({type(value) for value in values}) > 1:
        return None
    return summary_v2.Discrete(values)


def _session_end():
    info = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    data = plugin_data_pb2.HParamsPluginData(session_end_info=info)
    summary = summary_pb2.Summary()
    summary.value.add(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return summary


def _write(folder, summaries):
    """Writes an events file of these summaries at step 0."""
    folder.mkdir(parents=True, exist_ok=True)
    now = time.time()
    with open(folder / f"events.out.tfevents.{int(now)}.sweep.{os.getpid()}", "wb") as f:
        writer = RecordWriter(f)
        version = event_pb2.Event(wall_time=now, file_version="brain.Event:2")
        events = [event_pb2.Event(wall_time=now, step=0, summary=one) for one in summaries]
        for event in [version, *events]:
            writer.write(event.SerializeToString())
