"""run_classifier.py from the command line to the files it leaves."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests import needs, tiny

COMMON = {
    "max_seq_length": 16,
    "train_batch_size": 8,
    "num_train_epochs": 1.0,
    "learning_rate": 1e-3,
    "eval_batch_size": 32,
}
TRAIN = {**COMMON, "do_train": True, "do_eval": True, "task_name": "sst-2"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def sst2(tmp_path_factory):
    return tiny.make_sst2(tmp_path_factory.mktemp("sst2"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, model, sst2):
    """(output folder, process) of one run of everything from the command line."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = tiny.run_script(
        **TRAIN, do_predict=True, data_dir=sst2, model_dir=model, output_dir=folder,
        log_steps=1, write_tfrecord=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def eval_results_of(folder):
    lines = (folder / "eval_results.txt").read_text().splitlines()
    return dict(line.split(" = ") for line in lines)


def test_eval_results_have_googles_form(trained):
    folder, _ = trained
    values = eval_results_of(folder)
    assert list(values) == sorted(values)
    assert {"eval_accuracy", "eval_loss", "f1_score", "global_step", "loss"} <= set(values)
    assert values["global_step"] == "5"
    assert values["loss"] == values["eval_loss"]
    metrics = results_of(folder)["metrics"]["dev"]
    assert float(values["eval_accuracy"]) == pytest.approx(metrics["accuracy"], rel=1e-6)


def test_predictions_are_probabilities_and_label_names(trained):
    folder, _ = trained
    probabilities = np.loadtxt(folder / "test_results.tsv", delimiter="\t")
    assert probabilities.shape == (10, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    with open(folder / "test_results_labels.tsv", encoding="utf-8") as f:
        rows = list(csv.DictReader(f, delimiter="\t"))
    assert [row["index"] for row in rows] == [str(i) for i in range(10)]
    assert [row["prediction"] for row in rows] == [str(i) for i in probabilities.argmax(1)]


def test_results_json_tells_the_whole_run(trained):
    results = results_of(trained[0])
    assert results["task"] == "sst-2"
    assert (results["global_step"], results["epochs"], results["train_examples"]) == (5, 1.0, 40)
    assert results["stop_reason"] == "finished"
    assert set(results["metrics"]["dev"]) == {"accuracy", "f1", "precision", "recall", "loss"}
    assert results["best"]["metric"] == "accuracy"
    assert results["options"]["learning_rate"] == 1e-3
    assert {"total", "evaluation", "checkpoints", "prediction"} <= set(results["seconds"])
    assert results["environment"]["devices"] and results["environment"]["cores"] >= 1
    assert results["command"].startswith("run_classifier.py --")
    assert {"--do_train=true", "--learning_rate=0.001"} <= set(results["command"].split())
    assert "--optimizer" not in results["command"]
    assert results["metric"] == "accuracy"
    parameters = sum(
        array.size for name, array in tiny.arrays_of(trained[0]).items() if name != "global_step"
    )
    assert results["parameters"]["total"] == parameters


def test_task_json_describes_the_task(trained):
    task = json.loads((trained[0] / "task.json").read_text())
    assert task["task_name"] == "sst-2"
    assert task["labels"] == ["0", "1"]
    assert task["max_seq_length"] == 16
    assert task["do_lower_case"] is True


def test_load_report_and_plain_progress_lines_are_shown(trained):
    output = trained[1].stdout + trained[1].stderr
    assert "at initialisation" in output and "output_weights" in output
    assert "step 5/5" in output and "examples/s" in output
    assert "\r" not in output


def test_tensorboard_shows_training_evaluation_and_hyper_parameters(trained):
    folder, _ = trained
    scalars, others = tiny.read_events(folder)
    assert [step for step, _ in scalars["loss"]] == [1, 2, 3, 4, 5]
    assert [step for step, _ in scalars["model_lr"]] == [1, 2, 3, 4, 5]
    rates = [rate for _, rate in scalars["model_lr"]]
    assert max(rates) <= 1e-3 + 1e-9
    assert rates == sorted(rates, reverse=True)
    assert "final/eval_accuracy" in scalars
    assert b"learning_rate" in others["Hyperparameters"].tensor.string_val[0]
    assert any(tag.startswith("_hparams_/") for tag in others)
    evaluation, _ = tiny.read_events(folder / "eval")
    step, accuracy = evaluation["eval_accuracy"][-1]
    assert step == 5
    assert accuracy == pytest.approx(results_of(folder)["metrics"]["dev"]["accuracy"], abs=1e-6)


def test_the_output_is_a_model_that_evaluates_the_same(trained, sst2, tmp_path):
    folder, _ = trained
    results = tiny.run(
        do_eval=True, data_dir=sst2, model_dir=folder, output_dir=tmp_path, eval_batch_size=7
    )
    expected = results_of(folder)["metrics"]["dev"]
    assert results["task"] == "sst-2"
    assert results["metrics"]["dev"] == pytest.approx(expected, abs=1e-6)
    assert eval_results_of(tmp_path)["global_step"] == "5"


def test_a_finished_run_trains_nothing_more_and_says_the_same(trained, model, sst2, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    before, weights = results_of(folder), tiny.arrays_of(folder)
    results = tiny.run(**TRAIN, data_dir=sst2, model_dir=model, output_dir=folder)
    assert results["metrics"] == before["metrics"]
    assert results["global_step"] == 5
    tiny.assert_same_bits(tiny.arrays_of(folder), weights)


def test_tfrecords_train_to_the_same_weights_as_the_tsv(trained, model, tmp_path):
    folder, _ = trained
    for name in ("train", "eval", "predict"):
        assert (folder / f"{name}.tf_record").exists()
    results = tiny.run(
        **TRAIN, do_predict=True, tfrecord_dir=folder, model_dir=model, output_dir=tmp_path
    )
    expected = results_of(folder)["metrics"]["dev"]
    assert results["metrics"]["dev"] == pytest.approx(expected, abs=1e-5)
    found, wanted = tiny.arrays_of(tmp_path), tiny.arrays_of(folder)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(
        np.loadtxt(tmp_path / "test_results.tsv"),
        np.loadtxt(folder / "test_results.tsv"),
        atol=1e-6,
    )


def test_several_steps_per_execution_give_the_same_weights(trained, model, sst2, tmp_path):
    tiny.run(
        **TRAIN, steps_per_execution=2,
        data_dir=sst2, model_dir=model, output_dir=tmp_path,
    )  # fmt: skip
    found, wanted = tiny.arrays_of(tmp_path), tiny.arrays_of(trained[0])
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-6, err_msg=name)


def test_features_are_built_once(trained, sst2, tmp_path, monkeypatch):
    from bert_tf.tokenization.tokenizer import BertTokenizer

    def run(name):
        return tiny.run(
            do_eval=True, data_dir=sst2, model_dir=trained[0], output_dir=tmp_path / name,
            feature_dir=tmp_path / "features",
        )  # fmt: skip

    first = run("first")
    monkeypatch.setattr(
        BertTokenizer, "encode_flat", lambda *_: pytest.fail("the text was tokenised again")
    )
    assert run("second")["metrics"] == first["metrics"]


def test_timestamped_runs_get_a_folder_of_their_own(trained, sst2, tmp_path):
    tiny.run(
        do_predict=True, data_dir=sst2, model_dir=trained[0], output_dir=tmp_path,
        timestamped_output_dir=True, predict_batch_size=16,
    )  # fmt: skip
    (child,) = tmp_path.iterdir()
    assert (child / "test_results.tsv").exists()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"precision": "bfloat16", "optimizer": "lamb"}, marks=needs.tf_models),
        {"precision": "float16"},
        {"train_token_budget": 64, "gradient_accumulation_steps": 2, "lr_schedule": "noam"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_other_ways_to_train_run_and_learn_something(changes, model, sst2, tmp_path):
    flags = {**TRAIN, **changes, "do_eval": False}
    if "train_token_budget" in changes:
        del flags["train_batch_size"]
    del flags["eval_batch_size"]
    results = tiny.run(**flags, data_dir=sst2, model_dir=model, output_dir=tmp_path)
    assert results["stop_reason"] == "finished"
    assert results["epochs"] == 1.0
    before, after = tiny.arrays_of(model), tiny.arrays_of(tmp_path)
    name = "bert/encoder/layer_0/output/dense/kernel"
    assert after[name].dtype == np.float32
    assert np.isfinite(after[name]).all()
    assert np.abs(after[name] - before[name]).max() > 1e-5


@pytest.mark.slow
def test_xla_trains_to_the_same_weights(tmp_path, sst2):
    model = tiny.make_model(
        tmp_path / "model", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    flags = {**TRAIN, "do_eval": False, "data_dir": sst2, "model_dir": model}
    del flags["eval_batch_size"]
    for xla in (False, True):
        tiny.run(**flags, xla=xla, output_dir=tmp_path / str(xla))
    found, wanted = tiny.arrays_of(tmp_path / "True"), tiny.arrays_of(tmp_path / "False")
    for name in wanted:
        if "key/bias" in name:  # its gradient is zero but for rounding, which Adam magnifies
            continue
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-4, err_msg=name)


def test_regression(model, tmp_path):
    results = tiny.run(
        **{**TRAIN, "task_name": "STS-B"}, do_predict=True, model_dir=model,
        data_dir=tiny.make_stsb(tmp_path / "data"), output_dir=tmp_path / "run",
    )  # fmt: skip
    assert set(results["metrics"]["dev"]) == {"pearson", "spearman", "loss"}
    assert json.loads((tmp_path / "run" / "task.json").read_text())["labels"] is None
    assert np.loadtxt(tmp_path / "run" / "test_results.tsv").shape == (20,)


def test_mnli_evaluates_and_predicts_both_sets(model, tmp_path):
    run = tmp_path / "run"
    results = tiny.run(
        **{**TRAIN, "task_name": "mnli"}, do_predict=True, model_dir=model,
        data_dir=tiny.make_mnli(tmp_path / "data"), output_dir=run,
    )  # fmt: skip
    assert list(results["metrics"]) == ["dev_matched", "dev_mismatched"]
    assert {"eval_accuracy", "eval_accuracy_dev_mismatched"} <= set(eval_results_of(run))
    assert np.loadtxt(run / "test_results.tsv").shape == (21, 3)
    assert np.loadtxt(run / "test_results_test_mismatched.tsv").shape == (22, 3)


def test_own_files_then_prediction_without_naming_the_columns_again(model, tmp_path):
    for name, count in (("train.csv", 24), ("new.csv", 6)):
        with open(tmp_path / name, "w", newline="", encoding="utf-8") as f:
            texts, labels = tiny.sentences(count)
            words = ["yes, indeed" if label else "no" for label in labels]
            csv.writer(f).writerows([("stars", "review"), *zip(words, texts, strict=True)])
    run = tmp_path / "run"
    tiny.run(
        **{**TRAIN, "task_name": "custom"}, train_file=tmp_path / "train.csv",
        dev_file=tmp_path / "train.csv", text_column="review", label_column="stars",
        model_dir=model, output_dir=run,
    )  # fmt: skip
    tiny.run(
        do_predict=True, test_file=tmp_path / "new.csv", model_dir=run, output_dir=tmp_path / "new"
    )
    with open(tmp_path / "new" / "test_results_labels.tsv", encoding="utf-8") as f:
        predictions = [row["prediction"] for row in csv.DictReader(f, delimiter="\t")]
    assert len(predictions) == 6
    assert set(predictions) <= {"yes, indeed", "no"}


def test_keep_best_and_early_stopping(model, sst2, tmp_path, monkeypatch):
    """The second of the evaluations is the best; patience 2 ends the run at the fourth."""
    from bert_tf.classification.evaluation import Evaluator

    real, scores, weights = Evaluator.evaluate, iter([0.5, 0.9, 0.6, 0.7, 0.8]), []

    def evaluate(self, store, task):
        weights.append({v.name.split(":")[0]: v.numpy() for v in self.model.trainable_variables})
        return {**real(self, store, task), "accuracy": next(scores)}

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    results = tiny.run(
        **TRAIN, save_checkpoints_steps=1, keep_best=True, early_stopping_patience=2,
        data_dir=sst2, model_dir=model, output_dir=tmp_path,
    )  # fmt: skip
    assert results["global_step"] == 4
    assert "accuracy" in results["stop_reason"]
    assert results["best"]["step"] == results["metrics_step"] == 2
    assert results["metrics"]["dev"]["accuracy"] == 0.9
    assert eval_results_of(tmp_path)["global_step"] == "2"
    assert json.loads((tmp_path / "task.json").read_text())["global_step"] == 2
    found = tiny.arrays_of(tmp_path)
    for name, value in weights[1].items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_help_reads_like_documentation_and_needs_no_tensorflow(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('tensorflow was imported')")
    environment = tiny.environment()
    environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, str(tiny.ROOT / "run_classifier.py"), "--help"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for flag in ("--do_train", "--init_checkpoint", "--max_seq_length", "--train_token_budget"):
        assert flag in done.stdout
    assert "python run_classifier.py --do_train" in done.stdout
