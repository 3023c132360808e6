"""Measures fine-tuning and mask training on real SST-2 against tf-models-official, same weights.

    python -m benchmarks.finetune --model_dir=MODEL --data_dir=glue_data/SST-2

Every variant is a process that stays alive and trains only when it is asked to, in turn, so slow
spells of the machine hit all of them. Before any timing their logits must agree. The first steps
of each are not counted. Speeds count real examples, input pipeline included.
"""

import json
import statistics
import tempfile

from absl import app, flags

import bert_tf  # noqa: F401
from benchmarks import environment
from benchmarks.finetune import worker
from benchmarks.finetune.worker import Setup, Trainer, Variant
from benchmarks.trainers import TrainerWorker, check_same_model, measure, ratio

FLAGS = flags.FLAGS
worker.define_flags()
flags.adopt_module_key_flags(worker)  # for --help
flags.DEFINE_list(
    "variants",
    [
        "official-128-float32",
        "official-64-float32",
        "ours-bucketed-float32",
        "ours-bucketed-bfloat16",
        "ours-64-float32",
    ],
    "What to measure, (ours|official|masked|frozen)-(bucketed|LENGTH)-PRECISION[-xla]; masked and"
    " frozen train masks, with the weights or alone. Ratios are to the first.",
)
flags.DEFINE_integer("rounds", 5, "Rounds in which every variant has one turn.", lower_bound=1)
flags.DEFINE_float("round_seconds", 10, "Length of a turn; at least 4 steps.")
flags.DEFINE_string("json", None, "Write all figures to this file.")


def table(rounds):
    """Markdown: speed of every variant and its ratio to the first one."""
    lines = [
        "| variant | padded length (of whole run) | examples/s, median (range)"
        " | CPU s per 1000 examples | peak memory | speed |",
        "|---|---|---|---|---|---|",
    ]
    first = next(iter(rounds))
    for name, turns in rounds.items():
        faster = ratio(rounds, name, first, "examples")[0]
        speeds = [t["examples_per_second"] for t in turns]
        cpu = statistics.median(1000 * t["cpu_seconds"] / t["examples"] for t in turns)
        length = statistics.mean(t["padded_length"] for t in turns)
        whole = turns[0]["padded_length_of_run"]
        memory = max(t["peak_memory_mb"] for t in turns) / 1024
        lines.append(
            f"| {name} | {length:.1f} ({whole:.1f}) | {statistics.median(speeds):.1f}"
            f" ({min(speeds):.1f} to {max(speeds):.1f}) | {cpu:.1f} | {memory:.2f} GB"
            f" | {faster:.2f}x |"
        )
    return "\n".join(lines)


def comparisons(names):
    """Pairs (variant, base) whose ratio is of interest.

    Ours against tf-models-official: bucketed against padded to 128, and at the same length and
    precision; mask training against our fine-tuning, all else equal.
    """
    variants = {name: Variant.parse(name) for name in names}
    for name, ours in variants.items():
        for base, theirs in variants.items():
            same = (ours.pad_to, ours.precision) == (theirs.pad_to, theirs.precision)
            padded = ours.pad_to is None and theirs.pad_to == 128
            systems = ours.system, theirs.system
            against_official = systems == ("ours", "official") and (same or padded)
            masks = systems in (("masked", "ours"), ("frozen", "ours")) and same
            if ours.xla == theirs.xla and (against_official or masks):
                yield name, base


def main(argv):
    """Runs the variants in turn and prints the table and the ratios."""
    del argv
    variants = [Variant.parse(name) for name in FLAGS.variants]
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(
            model_dir=FLAGS.model_dir,
            data_dir=FLAGS.data_dir,
            feature_dir=FLAGS.feature_dir or folder,
            batch_size=FLAGS.batch_size,
            seed=FLAGS.seed,
        )
        workers = [TrainerWorker(variant.name, Trainer, setup, variant) for variant in variants]
        difference = check_same_model(workers)
        rounds = measure(
            workers,
            FLAGS.rounds,
            FLAGS.round_seconds,
            "examples",
            lambda *turn: {"sample": [FLAGS.seed, *turn]},
        )
    ratios = {f"{a} / {b}": ratio(rounds, a, b, "examples") for a, b in comparisons(rounds)}
    print(environment.describe())
    print(f"batch {FLAGS.batch_size}, {FLAGS.rounds} rounds of about {FLAGS.round_seconds:g} s")
    print(f"largest difference of logits before training: {difference:.1e}\n")
    print(table(rounds) + "\n")
    for name, (median, least, largest) in ratios.items():
        print(f"{name}: {median:.2f}x ({least:.2f} to {largest:.2f})")
    if FLAGS.json:
        with open(FLAGS.json, "w", encoding="utf-8") as file:
            json.dump({"logits": difference, "ratios": ratios, "rounds": rounds}, file, indent=2)


if __name__ == "__main__":
    app.run(main)
