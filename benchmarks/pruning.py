"""Measures how much of a fine-tuned model can go, by which way, at what accuracy.

    python -m benchmarks.pruning --task_name=SST-2 --data_dir=glue_data/SST-2 --model_dir=minilm \\
        --work_dir=runs/pruning --max_train_examples=20000

For each seed a dense parent is fine-tuned; then, for each share of its encoder's kernel parameters
removed (every row of the table ends at that share exactly):

  a      factorize.py, plain SVD, the same share of every kernel
  b      factorize.py, two-sided statistics, ranks shared out over the model
  c      b, then one epoch of fine-tuning
  d      c with the dense parent as teacher
  d-long d with as many epochs as e has in all: e's control
  e      factorize.py without loss, mask training to the share, remove_mask.py, fine-tuning; with
         the teacher throughout
  dense  the parent, and "dense+1": after c's epoch as well (the control of c to e)

Everything runs through the programs, and what is there already is not run again: the same command
goes on after a kill, and more seeds or shares may be asked for later.
"""

import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import time

from absl import app, flags

from bert_tf.data.tasks import get_task

FLAGS = flags.FLAGS
flags.DEFINE_string("model_dir", None, "Pretrained model folder.", required=True)
flags.DEFINE_string("data_dir", None, "Folder of the task's files.", required=True)
flags.DEFINE_string("work_dir", None, "Folder for all runs and the table.", required=True)
flags.DEFINE_string("task_name", "SST-2", "A GLUE task.")
flags.DEFINE_integer("max_train_examples", None, "Use the first this many training rows.")
flags.DEFINE_float("dense_epochs", 1, "Epochs of the dense parent.")
flags.DEFINE_list("shares", ["50", "75", "90", "95"], "Percentages removed.")
flags.DEFINE_list("seeds", ["1"], "Seeds, of parent and all that follows.")
flags.DEFINE_list("columns", ["a", "b", "c", "d", "d-long", "e"], "What to run.")
flags.DEFINE_float("tune_epochs", 1, "Epochs of fine-tuning in c and d.")
flags.DEFINE_float("mask_epochs", 1, "Epochs of mask training in e.")
flags.DEFINE_float("mask_tune_epochs", 3, "Epochs of fine-tuning after it.")
flags.DEFINE_float("learning_rate", 5e-5, "Peak rate of the dense trainings.")
flags.DEFINE_float("tune_learning_rate", 5e-5, "Peak rate of all other trainings.")
flags.DEFINE_integer("calibration_examples", 1280, "Rows for the statistics of b to e.")
flags.DEFINE_string("mask_flags", "", "More flags of run_classifier.py for mask training in e.")
flags.DEFINE_float(
    "mask_margin", 0.1, "Masks go on for this share of what is to be left: remove_mask.py then cuts"
    " what is closed already."
)  # fmt: skip
flags.DEFINE_string("tag", "", "Suffix of the folders of c, d and e, to tell settings apart.")

_ROOT = pathlib.Path(__file__).resolve().parents[1]


class Lab:
    """One seed's runs: each a folder in `work_dir`, made by the programs."""

    def __init__(self, seed):
        self.seed = seed
        self.folder = pathlib.Path(FLAGS.work_dir) / f"seed-{seed}"

    def dense(self):
        """Fine-tunes the dense parent."""
        return self._train("dense", FLAGS.model_dir, FLAGS.dense_epochs)

    def dense_longer(self):
        """The parent after the epochs that the compact models have."""
        return self._train("dense+1", self.dense(), FLAGS.tune_epochs)

    def factorized(self, name, method, *extra):
        """Factorises the parent; method svd or two_sided."""
        output = self.folder / name
        if not (output / "bert_model.ckpt.index").exists():
            data = []
            if method != "svd":
                rows = FLAGS.calibration_examples
                data = [f"--data_dir={FLAGS.data_dir}", f"--calibration_examples={rows}"]
            self._run(
                "factorize.py", f"--model_dir={self.dense()}", f"--method={method}",
                f"--output_dir={output}", *data, *extra,
            )  # fmt: skip
        return output

    def one_shot(self, share, method, name):
        """Compresses at once."""
        target = f"--target_sparsity={float(share) / 100:g}"
        return self.factorized(f"{name}-{share}", method, target)

    def tuned(self, share, name, epochs, teacher):
        """The two-sided one-shot model after fine-tuning."""
        start = self.one_shot(share, "two_sided", "b")
        return self._train(f"{name}{FLAGS.tag}-{share}", start, epochs, teacher)

    def masked(self, share):
        """Mask training from the factorised parent, removal, and fine-tuning."""
        target = float(share) / 100
        masked = self._train(
            f"e-masks{FLAGS.tag}-{share}", self.factorized("factorized", "two_sided"),
            FLAGS.mask_epochs, True, "--init_masks=scores",
            f"--target_sparsity={target + FLAGS.mask_margin * (1 - target):g}",
            *shlex.split(FLAGS.mask_flags),
        )  # fmt: skip
        removed = self.folder / f"e-removed{FLAGS.tag}-{share}"
        if not (removed / "bert_model.ckpt.index").exists():
            self._run(
                "remove_mask.py", f"--model_dir={masked}", f"--output_folder_dir={removed}",
                f"--target_sparsity={target:g}",
            )  # fmt: skip
        return self._train(f"e{FLAGS.tag}-{share}", removed, FLAGS.mask_tune_epochs, True)

    def metric(self, folder):
        """Returns the main metric of a model on the dev rows, in percent."""
        results = folder / "results.json"
        if not results.exists():
            results = folder / "evaluation" / "results.json"
        if not results.exists():
            self._run(
                "run_classifier.py", "--do_eval", f"--model_dir={folder}",
                f"--data_dir={FLAGS.data_dir}", f"--output_dir={results.parent}",
                f"--feature_dir={FLAGS.work_dir}/features", "--eval_batch_size=64",
            )  # fmt: skip
        metrics = next(iter(json.loads(results.read_text())["metrics"].values()))
        return 100 * metrics[get_task(FLAGS.task_name).metrics[0]]

    def _train(self, name, start, epochs, teacher=False, *extra):
        dense = name.startswith("dense")
        rate = FLAGS.learning_rate if dense else FLAGS.tune_learning_rate
        output = self.folder / name
        if not (output / "results.json").exists():
            rows = FLAGS.max_train_examples
            self._run(
                "run_classifier.py", "--do_train", "--do_eval", f"--task_name={FLAGS.task_name}",
                f"--data_dir={FLAGS.data_dir}", f"--model_dir={start}", f"--output_dir={output}",
                f"--feature_dir={FLAGS.work_dir}/features", f"--seed={self.seed}",
                f"--learning_rate={rate}", f"--num_train_epochs={epochs:g}",
                "--eval_batch_size=64", *([f"--max_train_examples={rows}"] if rows else []),
                *([f"--teacher_model_dir={self.dense()}"] if teacher else []), *extra,
            )  # fmt: skip
        return output

    def _run(self, script, *arguments):
        command = [sys.executable, str(_ROOT / script), *map(str, arguments)]
        self.folder.mkdir(parents=True, exist_ok=True)
        line = shlex.join(["python", script, *command[2:]])
        print(f"+ {line}", flush=True)
        started = time.monotonic()
        with open(self.folder / "log.txt", "ab") as log:
            log.write(f"\n+ {line}\n".encode())
            log.flush()
            status = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        if status:
            sys.exit(f"failed with status {status}: see {self.folder / 'log.txt'}\n{line}")
        print(f"  {time.monotonic() - started:.0f} s", flush=True)


_COLUMNS = {
    "a": lambda lab, share: lab.one_shot(share, "svd", "a"),
    "b": lambda lab, share: lab.one_shot(share, "two_sided", "b"),
    "c": lambda lab, share: lab.tuned(share, "c", FLAGS.tune_epochs, False),
    "d": lambda lab, share: lab.tuned(share, "d", FLAGS.tune_epochs, True),
    "d-long": lambda lab, share: lab.tuned(
        share, "d-long", FLAGS.mask_epochs + FLAGS.mask_tune_epochs, True
    ),
    "e": lambda lab, share: lab.masked(share),
}


def table(values):
    """Returns a Markdown table of {(row, column): [percent of each seed]}."""
    columns = list(dict.fromkeys(column for _, column in values))
    lines = ["| removed | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in dict.fromkeys(row for row, _ in values):
        cells = [_cell(values.get((row, column), [])) for column in columns]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(found):
    if len(found) < 2:
        return f"{found[0]:.1f}" if found else ""
    return f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f})"


def main(argv):
    """Runs what is missing, column by column, and writes the table after each result."""
    del argv
    values = {}
    output = pathlib.Path(FLAGS.work_dir) / f"table{FLAGS.tag}.md"
    labs = [Lab(seed) for seed in FLAGS.seeds]

    def record(row, column, lab, folder):
        values.setdefault((row, column), []).append(lab.metric(folder))
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(table(values) + "\n")

    for lab in labs:
        record("0 %", "dense", lab, lab.dense())
    for column in FLAGS.columns:
        for share in FLAGS.shares:
            for lab in labs:
                record(f"{share} %", column, lab, _COLUMNS[column](lab, share))
    if {"c", "d", "d-long", "e"} & set(FLAGS.columns):
        for lab in labs:
            record("0 %", "dense+1", lab, lab.dense_longer())
    print(f"{FLAGS.task_name}, main metric in percent; seeds {', '.join(FLAGS.seeds)}")
    print(output.read_text())


if __name__ == "__main__":
    app.run(main)
