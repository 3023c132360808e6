"""Every command and every snippet of README and docs runs, on tiny models and tiny data.

The blocks of a page run in their order in one folder, so what a command writes is there for the
next one, as it is for a reader.
"""

import re
import shutil
import subprocess
import sys

import pytest

from tests import pages, tiny
from tests.augmentation.small import make_masked_lm
from tests.data.sources import sets

# What is not run: how its command begins, and why.
NOT_RUN = {
    "make quickstart": "installs and downloads; tests/examples/test_quickstart.py has its commands",
    "make test": "this is it",
    "pip install": "changes the environment",
    "python -m pytest": "a slow test, of real data",
}
# Flags that make a command short; the last one given wins.
SHORTER = {
    "run_sweep.py": {"tasks": "sst-2", "seeds": 1},
    "run_pretraining.py": {"budget": "8steps", "train_batch_size": 16},
    "benchmarks.finetune": {
        "variants": "official-128-float32,ours-bucketed-float32,masked-bucketed-float32",
        "rounds": 1,
        "round_seconds": 0,
    },
    "benchmarks.freezing": {"variants": "full,autofreeze+cache", "seeds": 1},
    "benchmarks.latency": {"rounds": 1, "turn_seconds": 0},
    "benchmarks.pretraining": {
        "variants": "official-records-float32,ours-packed-float32",
        "shape": "1x64",
        "rounds": 1,
        "round_seconds": 0,
    },
    "benchmarks.profile_step": {"steps": 2},
    "benchmarks.pruning": {"columns": "b", "shares": "50,75,90", "seeds": 1},
    "examples/make_tagged_data.py": {"train_rows": 64, "dev_rows": 20, "test_rows": 20},
    "examples/sweep_markers.py": {"seeds": 1},
}
# What stands before a snippet whose text leaves it to the reader.
BEFORE = {
    "docs/freezing.md": """
import bert_tf
import numpy as np, tensorflow as tf, tf_keras as keras
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.encoder import BertEncoder
from official.nlp.modeling.models import BertClassifier

model = BertClassifier(BertEncoder(load_model("minilm").config), num_classes=2)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
rows = np.ones([40, 8], np.int32)
inputs = {"input_word_ids": rows, "input_mask": rows, "input_type_ids": 0 * rows}
dataset = tf.data.Dataset.from_tensor_slices((inputs, np.arange(40) % 2)).batch(4)
"""
}


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """A folder with what the pages take for given, under the names that they use."""
    folder = tmp_path_factory.mktemp("things")
    make_models(folder)
    tiny.make_sst2(folder / "glue_data" / "SST-2", train=64)
    write_documents(folder / "agnews", ["1", "2", "3", "4"], '"{label}","{text}","{text}"\n')
    write_documents(folder / "imdb", ["0", "1"], "{label}\t{text}\n")
    texts = tiny.sentences(3000)[0]
    texts[9::10] = [""] * len(texts[9::10])  # between documents
    (folder / "text").mkdir()
    (folder / "lines.txt").write_text("a very good film\ndull\n")
    for name in ("corpus.txt", "wiki.txt", "text/corpus.txt"):
        (folder / name).write_text("\n".join(texts) + "\n")
    make_questions(folder)
    for seed, name in enumerate(("train.csv", "dev.csv")):
        rows = [f"{text},{label}\n" for text, label in zip(*tiny.sentences(40, seed), strict=True)]
        (folder / name).write_text("review,stars\n" + "".join(rows))
    # In the place of a set on the hub: a folder of its name goes first.
    sets.saved(sets.splits_of()).save_to_disk(str(folder / "glue" / "mrpc"))
    sets.write("parquet", folder, {"reviews": sets.rows_of()})
    (folder / "parquet").rename(folder / "reviews")
    return folder


def make_questions(folder):
    """Makes SQuAD's files, questions of one's own, and WikiText."""
    for version, negative in (("1.1", False), ("2.0", True)):
        made = tiny.make_squad(folder / version, train=16, predict=8, negative=negative)
        (folder / "squad").mkdir(exist_ok=True)
        for name, split in (("train", "train"), ("predict", "dev")):
            (made / f"{name}.json").rename(folder / "squad" / f"{split}-v{version}.json")
    shutil.copy(folder / "squad" / "dev-v1.1.json", folder / "questions.json")
    (folder / "wikitext-2").mkdir()
    lines = [
        " ".join([*tiny.PLAIN * 3, "in", str(1900 + i), ", and", *tiny.PLAIN]) for i in range(40)
    ]
    for name in ("valid.txt", "test.txt"):
        (folder / "wikitext-2" / name).write_text("\n".join(lines), encoding="utf-8")


def make_models(folder):
    """Makes the Hugging Face folder, what convert_checkpoint.py makes of it, a model with its
    masked-LM head, and vocab.txt.
    """
    from bert_tf.checkpoints import convert, model_folder

    shape = {"num_hidden_layers": 6, "num_attention_heads": 4, "max_position_embeddings": 512}
    model = tiny.make_model(folder / "tiny", **shape)
    make_masked_lm(folder / "bert-base-uncased", **shape)
    (folder / "vocab.txt").write_bytes((model / "vocab.txt").read_bytes())
    convert.convert(model_folder.load_model(model), str(folder / "all-MiniLM-L6-v2"), "huggingface")
    convert.convert(
        model_folder.load_model(folder / "all-MiniLM-L6-v2"), str(folder / "minilm"), "google"
    )


def write_documents(folder, labels, row):
    """Writes train.csv and test.csv of a document task."""
    folder.mkdir()
    for seed, name in enumerate(("train.csv", "test.csv")):
        texts = tiny.sentences(40, seed)[0]
        rows = [row.format(label=labels[i % len(labels)], text=t) for i, t in enumerate(texts)]
        (folder / name).write_text("".join(rows))


def run(command, folder):
    """Runs a command (list) in `folder`; returns what it said last if it failed, else None."""
    done = subprocess.run(
        command, cwd=folder, env=tiny.environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return f"exit status {done.returncode}: {' / '.join(said[-3:])}" if done.returncode else None


def shorter(words):
    """The command (list) as it runs here: this Python, this checkout, flags of `SHORTER`."""
    if words[1] == "-m":
        program, called, given = words[2], ["-m", words[2]], words[3:]
    else:
        program, called, given = words[1], [str(pages.ROOT / words[1])], words[2:]
    flags = [f"--{name}={value}" for name, value in SHORTER.get(program, {}).items()]
    if program == "run_classifier.py" and any(word.startswith("--budget=") for word in given):
        flags += ["--budget=8steps"]
    return [sys.executable, *called, *given, *flags]


def failures(block, folder):
    """Runs a block; returns a line for each command of it that failed."""
    if block.language == "python":
        said = run([sys.executable, "-c", BEFORE.get(block.page, "") + block.text], folder)
        return [f"{block.place}: {said}"] if said else []
    found = []
    for line, words in pages.commands(block):
        while re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if " ".join(words).startswith(tuple(NOT_RUN)):
            continue
        said = run(shorter(words), folder)
        found += [f"{block.page}:{line}: {said}"] if said else []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("page", pages.PAGES)
def test_the_commands_of_a_page_succeed_in_their_order(page, things, tmp_path):
    shutil.copytree(things, tmp_path, dirs_exist_ok=True)
    blocks = [b for b in pages.blocks(page) if b.language in ("sh", "python")]
    failed = [line for block in blocks for line in failures(block, tmp_path)]
    assert not failed, "\n".join(failed)


def test_what_is_not_run_is_still_on_the_pages():
    lines = [
        " ".join(words)
        for page in pages.PAGES
        for block in pages.blocks(page)
        if block.language == "sh"
        for _, words in pages.commands(block)
    ]
    for beginning in NOT_RUN:
        assert any(re.match(rf"(?:[A-Z_]+=\S+ )*{beginning}", line) for line in lines), beginning
    called = (re.match(r"python (?:-m )?(\S+)", line) for line in lines)
    programs = {program[1] for program in called if program}
    assert set(SHORTER) <= programs
