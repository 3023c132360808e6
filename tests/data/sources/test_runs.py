"""Fine-tuning on data sets: the same rows train the same model, wherever they come from."""

import dataclasses
import json

import pytest

import factorize
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.data import inputs
from bert_tf.data.rows import options_of
from bert_tf.data.sources.opening import open_source
from bert_tf.errors import UserError
from tests import tiny
from tests.augmentation.small import augment, make_masked_lm
from tests.data.sources import sets

TRAINING = {
    "do_train": True, "train_batch_size": 8, "num_train_epochs": 1, "learning_rate": 1e-2,
    "max_seq_length": 16, "seed": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    tiny.make_model(folder / "model")
    tiny.make_sst2(folder / "sst2", test=10)
    return folder


class Specs(dict):
    """{kind: what --dataset says}, each written when it is asked for."""

    def __init__(self, folder):
        super().__init__()
        self._folder = folder

    def __missing__(self, kind):
        self[kind] = sets.write(kind, self._folder)
        return self[kind]


@pytest.fixture(scope="module")
def specs(folder):
    return Specs(folder)


def run(folder, name, **flags):
    flags = {**TRAINING, "model_dir": folder / "model", "output_dir": folder / name, **flags}
    with tiny.eagerly():
        return tiny.run(**flags)


@pytest.fixture(scope="module")
def by_task(folder):
    run(
        folder,
        "by_task",
        do_eval=True,
        do_predict=True,
        task_name="sst-2",
        data_dir=folder / "sst2",
    )
    return folder / "by_task"


def stores(path, split):
    return sorted(found.name for found in (path / "features" / split).iterdir())


@pytest.mark.parametrize("kind", sets.KINDS)
def test_equal_rows_give_equal_features_and_weights(folder, specs, by_task, kind):
    results = run(folder, f"run_{kind}", do_eval=True, do_predict=True, dataset=specs[kind])
    own = folder / f"run_{kind}"
    for split in ("train", "dev", "test"):
        assert stores(own, split) == stores(by_task, split)
    tiny.assert_same_bits(tiny.arrays_of(own), tiny.arrays_of(by_task))
    assert results["metrics"]["dev"] == tiny.results_of(by_task)["metrics"]["dev"]
    names = sets.NAMES if kind in ("hf", "tfds") else ["0", "1"]
    assert json.loads((own / "task.json").read_text())["labels"] == names
    lines = (own / "test_results_labels.tsv").read_text().splitlines()
    before = (by_task / "test_results_labels.tsv").read_text().splitlines()
    cells = [line.split("\t")[:2] for line in lines[1:]]
    assert [[i, str(names.index(x))] for i, x in cells] == [x.split("\t")[:2] for x in before[1:]]


def test_the_order_of_the_classes_is_kept(folder):
    spec = sets.write("hf", folder / "order", names=["positive?", "a negative one"])
    run(folder, "ordered", do_predict=True, dataset=spec)
    task = json.loads((folder / "ordered" / "task.json").read_text())
    assert task["labels"] == ["positive?", "a negative one"]
    found = {
        line.split("\t")[1]
        for line in (folder / "ordered" / "test_results_labels.tsv").read_text().splitlines()[1:]
    }
    assert found <= set(task["labels"])


def test_a_known_task_gives_labels_and_metrics(folder, specs, by_task):
    results = run(folder, "cola", do_eval=True, task_name="cola", dataset=specs["hf"])
    assert "matthews_corrcoef" in results["metrics"]["dev"]
    task = json.loads((folder / "cola" / "task.json").read_text())
    assert (task["task_name"], task["labels"]) == ("cola", ["0", "1"])
    # A model of the original files reads the data set, classes by their numbers.
    flags = {"do_train": False, "do_eval": True, "model_dir": by_task, "dataset": specs["tfds"]}
    found = tiny.run(**flags, output_dir=folder / "evaluated")
    assert found["metrics"]["dev"] == pytest.approx(tiny.results_of(by_task)["metrics"]["dev"])


def test_a_drawn_dev_set_is_drawn_again(folder, specs):
    flags = {"dataset": specs["parquet"], "dev_fraction": 0.25, "split_seed": 7}
    results = run(folder, "drawn", do_eval=True, **flags)
    rows = {}
    for split in ("train", "dev"):
        head, *lines = (folder / "drawn" / "splits" / f"{split}.tsv").read_text().splitlines()
        assert head == "split\trow\tid"
        cells = [line.removeprefix("train\t").split("\t") for line in lines]
        rows[split] = [int(row) for row, _ in cells]
        assert [name for _, name in cells] == [str(row) for row in rows[split]]  # as `idx` has it
    assert sorted(rows["train"] + rows["dev"]) == list(range(40))
    labels = sets.rows_of()["label"]
    assert [sum(labels[row] == x for row in rows["dev"]) for x in (0, 1)] == [5, 5]
    flags = {"do_eval": True, "model_dir": folder / "drawn", "dataset": specs["parquet"]}
    again = tiny.run(**flags, output_dir=folder / "drawn_again")
    assert again["metrics"]["dev"] == pytest.approx(results["metrics"]["dev"])
    with pytest.raises(UserError, match="--split_seed=8 of train: the model was trained with"):
        tiny.run(
            **flags, output_dir=folder / "other", dev_fraction=0.25, split_seed=8,
        )  # fmt: skip


def drawn_again(folder, spec, **flags):
    """The dev rows that a program which evaluates the model of a draw takes."""
    model = load_model(folder / "of_a_draw")
    options = options_of(model, {"dataset": spec, **flags}, do_train=False, do_eval=True)
    return inputs.task_of(options, model).rows.part("dev").rows.tolist()


def test_a_draw_belongs_to_its_rows(folder, specs, tmp_path, caplog):
    """Of other rows the same draw would take some that the model was trained on."""
    spec = sets.write("csv", tmp_path, {"train": sets.rows_of()})
    with tiny.eagerly():
        run(folder, "of_a_draw", dataset=spec, dev_fraction=0.25, max_train_examples=8)
    dev = drawn_again(folder, spec)
    (tmp_path / "csv").rename(tmp_path / "moved")
    moved = f"csv:{tmp_path / 'moved'}"
    assert drawn_again(folder, moved) == dev
    assert drawn_again(folder, sets.write("parquet", tmp_path, {"train": sets.rows_of()})) == dev
    with pytest.raises(UserError, match="the model was trained with"):
        drawn_again(folder, moved, dev_fraction=0.5)
    sets.write("csv", tmp_path, {"train": sets.rows_of(count=41)})
    with pytest.raises(UserError, match=r"csv train: its rows are not those of which the model's"):
        drawn_again(folder, spec)
    assert drawn_again(folder, spec, dev_split="train[:9]") == [*range(9)]
    model = load_model(folder / "of_a_draw")
    flags = {"dataset": moved, "dev_fraction": 0.5}
    inputs.task_of(options_of(model, flags, do_train=True), model)
    assert "would have training rows among them" in caplog.text


@pytest.mark.parametrize(
    ("trained", "columns", "message"),
    [
        (
            {"text_column": "premise", "text_pair_column": "hypothesis"},
            ["premise"],
            r"fine-tuned on pairs of texts \(premise, hypothesis\), and no column looks like",
        ),
        (
            {"text_column": "sentence"},
            ["premise", "hypothesis"],
            r"fine-tuned on single texts \(sentence\), and premise and hypothesis look like a pair",
        ),
    ],
)
def test_a_model_of_pairs_reads_no_single_texts(
    folder, by_task, tmp_path, trained, columns, message
):
    rows = {name: ["a", "b"] for name in columns}
    spec = sets.write("json", tmp_path, {"train": {**rows, "label": [0, 1]}})
    task = {"task_name": "custom", "labels": ["0", "1"], "label_column": "label", **trained}
    model = dataclasses.replace(load_model(by_task), task=task)
    options = options_of(model, {"dataset": spec}, do_train=False, do_eval=True)
    with pytest.raises(UserError, match=message):
        inputs.task_of(options, model)
    given = options_of(
        model,
        {"dataset": spec, "text_column": "premise", "text_pair_column": "", "dev_split": "train"},
        do_train=False,
        do_eval=True,
    )
    assert inputs.task_of(given, model).text_pair_column is None


def test_ids_that_test_rows_have_not(folder, tmp_path):
    rows = {split: sets.rows_of(count=4) for split in ("train", "test")}
    del rows["test"]["idx"]
    model = load_model(folder / "model")
    options = options_of(model, {"dataset": sets.write("csv", tmp_path, rows)}, do_train=True)
    assert inputs.task_of(options, model).id_column is None


def test_a_model_of_another_head_is_refused(folder, by_task, specs):
    task = {"task_name": "tagging", "head": "token_classification", "labels": ["O", "B-X"]}
    model = dataclasses.replace(load_model(by_task), task=task)
    options = options_of(model, {"dataset": specs["csv"]}, do_train=False, do_eval=True)
    with pytest.raises(UserError, match="was fine-tuned for token_classification, not for"):
        inputs.task_of(options, model)


def test_text_that_is_no_utf8(tmp_path):
    (tmp_path / "train.jsonl").write_bytes(b'{"sentence": "a", "label": 0}\n{"sentence": "\xff"}\n')
    with pytest.raises(UserError, match=r"train.jsonl:2: found byte 0xff, expected UTF-8 text"):
        open_source(f"json:{tmp_path}")


def test_dev_and_test_sets_of_several_splits(folder):
    splits = sets.splits_of()
    splits["validation_matched"] = splits.pop("validation")
    splits["validation_mismatched"] = sets.rows_of(5, 12)
    spec = sets.write("json", folder / "several", splits)
    results = run(folder, "several_run", do_eval=True, dataset=spec)
    assert list(results["metrics"]) == ["dev_matched", "dev_mismatched"]
    flags = {"do_eval": True, "do_predict": True, "model_dir": folder / "several_run"}
    results = tiny.run(
        **flags, dataset=spec, dev_split="validation_mismatched[:6]", test_split="test,train[:50%]",
        output_dir=folder / "several_parts",
    )  # fmt: skip
    assert list(results["metrics"]) == ["dev"]
    counts = [
        len((folder / "several_parts" / name).read_text().splitlines())
        for name in ("test_results.tsv", "test_results_test_train.tsv")
    ]
    assert counts == [10, 20]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"dev_split": "dev"},
            "--dev_split=dev: .* has no split 'dev': expected one of test, train",
        ),
        ({"train_split": "test[5:5]"}, r"test\[5:5\]: has no rows: the split test has 10"),
        ({"train_file": "a.csv"}, "--train_file has no effect with --dataset"),
        ({"data_dir": "x"}, "--data_dir has no effect with --dataset=csv:"),
        ({"task_name": "cola", "labels": "0,1"}, "--labels has no effect on task cola"),
        ({"dev_split": "train", "dev_fraction": 0.5}, "--dev_split and --dev_fraction both say"),
        ({"label_column": "sentence", "text_column": "sentence"}, "is the column of a text, too"),
        ({"text_column": "words"}, "--text_column=words: csv:.* has no such column: sentence"),
        ({"tfrecord_dir": "t"}, "--dataset has no effect with --tfrecord_dir"),
        ({"data_aug": True}, "--data_aug with --dataset: name the file"),
        ({"dev_fraction": 0.001}, "--dev_fraction=0.001: leaves 40 training and 0 dev rows of 40"),
    ],
)
def test_flags_that_cannot_be(folder, specs, flags, message):
    with pytest.raises(UserError, match=message):
        run(folder, "refused", do_eval=True, dataset=specs["csv"], **flags)


def test_a_set_without_dev_split(folder):
    spec = sets.write("csv", folder / "lone", {"reviews": sets.rows_of()})
    with pytest.raises(
        UserError, match="has no dev split, but train: name one with --dev_split or"
    ):
        run(folder, "refused", do_eval=True, dataset=spec)


@pytest.mark.parametrize("kind", sets.KINDS[:3])
def test_labels_with_fractions_are_scores(folder, kind):
    rows = sets.rows_of()
    rows["label"] = [label + 0.5 * (row % 3) for row, label in enumerate(rows["label"])]
    spec = sets.write(kind, folder / "scores", {"train": rows, "dev": rows})
    message = r"column 'label' holds numbers with fractions, such as '\d.\d': give --regression"
    with pytest.raises(UserError, match=message):
        run(folder, "refused", dataset=spec)
    results = run(folder, f"scores_{kind}", do_eval=True, dataset=spec, regression=True)
    assert "pearson" in results["metrics"]["dev"]


def test_rows_without_a_label(folder, caplog):
    splits = sets.splits_of()
    splits["train"]["label"][:3] = [-1] * 3
    spec = sets.write("hf", folder / "partly", splits)
    results = run(folder, "partly_run", dataset=spec)
    assert results["train_examples"] == 37
    assert "3 rows have no label (-1), left out" in caplog.text
    with pytest.raises(UserError, match=r"test: no row has a label \(all are -1\): it can be"):
        run(folder, "refused", do_eval=True, dataset=spec, dev_split="test")


def test_dev_rows_that_are_trained_on_are_worth_a_warning(folder, specs, caplog):
    parts = {"train_split": "train[:30]", "dev_split": "train[20:]"}
    results = run(folder, "overlap", do_eval=True, dataset=specs["json"], **parts)
    assert results["train_examples"] == 30
    assert "10 rows of dev are training rows, too" in caplog.text


def test_the_other_programs_read_data_sets(folder, specs, by_task):
    model = load_model(by_task)
    flags = {"dataset": specs["tfds"], "dev_split": "validation"}
    options = options_of(model, flags, do_train=True, do_eval=True)
    task = inputs.task_of(options, model)
    data = inputs.build(options, model, task, folder / "others")
    assert (len(data.train), len(data.dev["dev"])) == (40, 20)


def test_a_factorisation_by_the_rows_of_a_data_set(folder, specs, by_task):
    flags = {
        "dataset": specs["parquet"], "target_sparsity": 0.5, "model_dir": str(by_task),
        "output_dir": str(folder / "factorized"), "method": "whitened",
    }  # fmt: skip
    factorize.main(factorize.Options(given=frozenset(flags), **flags))
    assert (folder / "factorized" / "task.json").exists()


def test_variants_of_the_rows_of_a_data_set(folder, specs):
    model, path = make_masked_lm(folder / "masked_lm"), folder / "variants.jsonl"
    flags = {"dataset": specs["hf"], "model_dir": model, "variants": 2}
    with pytest.raises(UserError, match="--output_file is required with --dataset"):
        augment(**flags)
    with tiny.eagerly():
        augment(**flags, output_file=path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert set(rows[0]) == {"sentence", "label"}
    aug = {"data_aug": True, "augmented_file": path}
    results = run(folder, "augmented", dataset=specs["hf"], **aug)
    assert 40 < results["train_examples"] <= len(rows)
