"""Measures masked-LM pre-training against tf-models-official: same text, shape, weights, precision.

    python -m benchmarks.pretraining --input_file=corpus.txt --vocab_file=vocab.txt \\
        --work_dir=runs/pretraining

Every variant is a process that stays alive and trains only when it is asked to, in turn, so slow
spells of the machine hit all of them. Before any timing their logits must agree. Ours reads packed
rows; the control reads Google's TFRecords of the same text, as its users do, or (official-packed)
our packed and masked rows. Speeds count tokens that are not padding, input pipeline included; no
variant predicts the next sentence.

    python -m benchmarks.pretraining --experiment=growth ... --sizes_mb=2,20,200

makes data of a text that is repeated until it has these sizes, then trains on each of them in turn:
seconds per token and peak memory of both programs.
"""

import json
import pathlib
import statistics
import subprocess
import sys

from absl import app, flags

import bert_tf  # noqa: F401
from benchmarks import environment
from benchmarks.pretraining import growth
from benchmarks.pretraining.worker import PREDICTIONS, Setup, Variant, make_trainer
from benchmarks.trainers import TrainerWorker, check_same_model, measure, ratio

FLAGS = flags.FLAGS
flags.DEFINE_string("input_file", None, "Text, as create_pretraining_data.py takes it.")
flags.DEFINE_string("vocab_file", None, "vocab.txt.")
flags.DEFINE_string("work_dir", None, "Folder for the data that are made of the text.")
flags.DEFINE_enum("experiment", "speed", ["speed", "growth"], "What to measure.")
flags.DEFINE_list(
    "variants",
    ["official-records-float32", "official-packed-float32", "ours-packed-float32"],
    "speed: what to measure, (ours-packed|official-packed|official-records)-(float32|bfloat16)"
    "[-xla]. Ratios are to the first.",
)
flags.DEFINE_list("sizes_mb", ["2", "20", "200"], "growth: sizes of the text in 10^6 bytes.")
flags.DEFINE_string("shape", "4x256", "LAYERSxHIDDEN of the model.")
flags.DEFINE_integer("max_seq_length", 128, "Tokens per row.")
flags.DEFINE_integer("batch_size", 32, "Rows per update.", lower_bound=1)
flags.DEFINE_integer("seed", 42, "Seed of weights, order and masks.")
flags.DEFINE_integer("rounds", 5, "Rounds in which every variant has one turn.", lower_bound=1)
flags.DEFINE_float("round_seconds", 10, "Length of a turn; at least 4 updates.")
flags.DEFINE_string("json", None, "Write all figures to this file.")
flags.mark_flags_as_required(["input_file", "vocab_file", "work_dir"])

_CREATE = pathlib.Path(__file__).resolve().parents[2] / "create_pretraining_data.py"


def packed_rows(input_file, folder):
    """Makes packed rows of the text, unless they are there; returns the folder."""
    if not (folder / "manifest.json").exists():
        _create(input_file, f"--output_dir={folder}")
    return folder


def google_records(input_file, path):
    """Makes Google's TFRecords of the text, each document once, unless they are there."""
    if not path.exists():
        _create(
            input_file,
            f"--output_file={path}",
            "--dupe_factor=1",
            f"--max_predictions_per_seq={PREDICTIONS}",
        )
    return path


def _create(input_file, *more):
    command = [sys.executable, str(_CREATE), f"--input_file={input_file}", *more]
    command += [f"--vocab_file={FLAGS.vocab_file}", f"--max_seq_length={FLAGS.max_seq_length}"]
    subprocess.run(command, check=True)


def setup_of(rows_dir, records=None):
    """The `Setup` of variants that train on these data."""
    layers, hidden = map(int, FLAGS.shape.split("x"))
    shape = {"num_hidden_layers": layers, "hidden_size": hidden}
    return Setup(str(rows_dir), records and str(records), shape, FLAGS.batch_size, FLAGS.seed)


def table(rounds):
    """Markdown: speed of every variant and its ratio to the first one, round by round."""
    lines = [
        "| variant | tokens per row | tokens/s, median (range) | CPU s per 1M tokens"
        " | peak memory | speed, median (range) |",
        "|---|---|---|---|---|---|",
    ]
    first = next(iter(rounds))
    for name, turns in rounds.items():
        speeds = [turn["tokens_per_second"] for turn in turns]
        cpu = statistics.median(1e6 * turn["cpu_seconds"] / turn["tokens"] for turn in turns)
        per_row = statistics.mean(turn["tokens"] / turn["rows"] for turn in turns)
        memory = max(turn["peak_memory_mb"] for turn in turns) / 1024
        median, least, largest = ratio(rounds, name, first, "tokens")
        lines.append(
            f"| {name} | {per_row:.1f} | {statistics.median(speeds):,.0f} ({min(speeds):,.0f} to"
            f" {max(speeds):,.0f}) | {cpu:.0f} | {memory:.2f} GB"
            f" | {median:.2f}x ({least:.2f} to {largest:.2f}) |"
        )
    return "\n".join(lines)


def compare_speed(folder):
    """Runs the variants in turn and prints the table; returns the figures."""
    variants = [Variant.parse(name) for name in FLAGS.variants]
    rows = packed_rows(FLAGS.input_file, folder / "rows")
    records = None
    if any(variant.data == "records" for variant in variants):
        records = google_records(FLAGS.input_file, folder / "google.tfrecord")
    setup = setup_of(rows, records)
    workers = [TrainerWorker(variant.name, make_trainer, setup, variant) for variant in variants]
    difference = check_same_model(workers)
    rounds = measure(workers, FLAGS.rounds, FLAGS.round_seconds, "tokens")
    print(f"largest difference of logits before training: {difference:.1e}\n")
    print(table(rounds))
    return {"rounds": rounds}


def compare_sizes(folder):
    """Makes data of every size, trains on them in turn, prints the tables; returns the figures."""
    variant = Variant.parse("ours-packed-float32")
    made, workers = {}, []
    for size in map(int, FLAGS.sizes_mb):
        text = growth.repeat_text(FLAGS.input_file, folder / f"{size}mb.txt", size)
        rows = folder / f"rows-{size}mb"
        made[f"{size} MB"] = growth.timed_creation(
            rows, lambda text=text, rows=rows: packed_rows(text, rows)
        )
        workers.append(TrainerWorker(f"{size} MB", make_trainer, setup_of(rows), variant))
    rounds = measure(workers, FLAGS.rounds, FLAGS.round_seconds, "tokens")
    print(growth.creation_table(made) + "\n")
    print(table(rounds))
    return {"creation": made, "rounds": rounds}


def main(argv):
    """Measures, prints, and writes --json."""
    del argv
    folder = pathlib.Path(FLAGS.work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    compare = compare_speed if FLAGS.experiment == "speed" else compare_sizes
    print(environment.describe())
    print(
        f"{FLAGS.shape}, batch {FLAGS.batch_size} x {FLAGS.max_seq_length},"
        f" {FLAGS.rounds} rounds of about {FLAGS.round_seconds:g} s",
        flush=True,
    )
    figures = compare(folder)
    if FLAGS.json:
        with open(FLAGS.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)


if __name__ == "__main__":
    app.run(main)
