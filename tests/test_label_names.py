"""Labels are matched by name in every program: whatever their order, each row has its answer."""

import json

import numpy as np
import pytest
import safetensors.numpy

import convert_checkpoint
import factorize
from tests import tiny

NAMES = {
    2: ("neg", "pos"),
    3: ("contradiction", "entailment", "neutral"),
    4: ("1", "2", "3", "10"),
    5: ("Anger", "fear", "joy", "sad ness", "ångst"),
}
COLUMNS = {"task_name": "custom", "text_column": "text", "label_column": "label"}
TRAIN = {
    "do_train": True, "num_train_epochs": 1.0, "train_batch_size": 8, "max_seq_length": 16,
    "learning_rate": 1e-3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


class Chain:
    """Trains, distils, converts there and back, factorises and predicts.

    Args:
      root: folder for all of it.
      names: the labels.
      mnli: whether the task is MNLI, else the user's own files.
    """

    def __init__(self, root, names, mnli=False):
        self.root, self.names, self.mnli = root, names, mnli
        if mnli:
            self.data = {"task_name": "mnli", "data_dir": tiny.make_mnli(root / "data", 16)}
        else:
            texts, _ = tiny.sentences(16)
            labels = [names[i % len(names)] for i in range(len(texts))]
            header = ("text", "label")
            rows = tiny.write_rows(root / "train.tsv", [header, *zip(texts, labels, strict=True)])
            self.data = {**COLUMNS, "train_file": rows}

    def answers(self, folder, start, orders):
        """Returns ({label: probability} of each row, predicted names of each row).

        Args:
          folder: for this chain's models.
          start: order of the labels of the first model.
          orders: those of the three runs with --labels (None leaves the flag out), and of the
            Hugging Face folder.
        """
        flags = [{"labels": ",".join(order)} if order else {} for order in orders[:3]]
        task = {"task_name": "mnli"} if self.mnli else None
        model = tiny.make_classifier(folder / "start", start, task)
        common = {**TRAIN, **self.data, "feature_dir": self.root / "features"}
        tiny.run(**common, **flags[0], model_dir=model, output_dir=folder / "teacher")
        tiny.run(
            **common, **flags[1], model_dir=model, output_dir=folder / "student",
            teacher_model_dir=folder / "teacher",
        )  # fmt: skip
        convert(folder / "student", folder / "theirs", "huggingface")
        reorder(folder / "theirs", orders[3])
        convert(folder / "theirs", folder / "back")
        values = {**self.data, "model_dir": folder / "back", "output_dir": folder / "half"}
        values = {k: str(v) for k, v in values.items()} | {
            "target_sparsity": 0.3, "finetuned": True, "max_seq_length": 16
        }  # fmt: skip
        factorize.main(factorize.Options(given=frozenset(values), **values))
        return self._predicted(folder, flags[2])

    def _predicted(self, folder, flags):
        data = self.data if self.mnli else {**COLUMNS, "test_file": self.data["train_file"]}
        tiny.run(
            do_predict=True, **data, **flags, model_dir=folder / "half", output_dir=folder / "out",
            max_seq_length=16,
        )  # fmt: skip
        order = flags.get("labels")
        order = order.split(",") if order else self.names
        if not flags and not self.mnli:
            order = outputs_of(folder / "half")
        suffixes = ("", "_test_mismatched") if self.mnli else ("",)
        rows, names = [], []
        for suffix in suffixes:
            rows += np.loadtxt(folder / "out" / f"test_results{suffix}.tsv").tolist()
            names += predictions(folder / "out", suffix)
        return [dict(zip(order, row, strict=True)) for row in rows], names


def convert(source, output, output_format="google"):
    convert_checkpoint.main(
        convert_checkpoint.Options(
            input=str(source), output=str(output), output_format=output_format
        )
    )


def outputs_of(folder):
    """The labels of a folder whose configuration names them, in the order of the outputs."""
    names = json.loads((folder / "bert_config.json").read_text())["id2label"]
    return [names[str(i)] for i in range(len(names))]


def reorder(folder, order):
    """Gives a Hugging Face classifier another order of outputs, rows and names alike."""
    config = json.loads((folder / "config.json").read_text())
    rows = [config["label2id"][label] for label in order]
    config["id2label"] = {str(i): label for i, label in enumerate(order)}
    config["label2id"] = {label: i for i, label in enumerate(order)}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] = np.ascontiguousarray(tensors[name][rows])
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")


def predictions(folder, suffix=""):
    lines = (folder / f"test_results_labels{suffix}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[1] for line in lines[1:]]


@pytest.fixture(scope="module")
def unpermuted(tmp_path_factory):
    """Function from a number of labels, or "mnli", to its (`Chain`, answers in sorted order)."""
    known = {}

    def get(kind):
        if kind not in known:
            names = NAMES[3 if kind == "mnli" else kind]
            chain = Chain(tmp_path_factory.mktemp(str(kind)), names, kind == "mnli")
            orders = [None] * 3 if kind == "mnli" else [names] * 3
            known[kind] = chain, chain.answers(chain.root / "plain", names, [*orders, names])
        return known[kind]

    return get


def check_permutation(unpermuted, tmp_path, seed):
    rng = np.random.default_rng(seed)
    kind = (2, "mnli", 3, 4, 5)[seed % 5]
    chain, (expected, expected_names) = unpermuted(kind)

    def order():
        return [str(name) for name in rng.permutation(chain.names)]

    start, theirs = order(), order()
    given = [None if chain.mnli or rng.random() < 0.2 else order() for _ in range(3)]
    found, names = chain.answers(tmp_path, start, [*given, theirs])
    assert len(set(expected_names)) > 1
    for row, name, wanted in zip(found, names, expected, strict=True):
        assert row == pytest.approx(wanted, abs=1e-3)
        assert wanted[name] >= max(wanted.values()) - 2e-3


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_labels_changes_no_answer(unpermuted, tmp_path, seed):
    check_permutation(unpermuted, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 108))
def test_a_hundred_orders_of_labels_change_no_answer(unpermuted, tmp_path, seed):
    check_permutation(unpermuted, tmp_path, seed)
