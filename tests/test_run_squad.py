"""run_squad.py from its flags to the files it leaves."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.errors import UserError
from tests import tiny

FLAGS = {
    "program": "spans",
    "do_train": True,
    "do_eval": True,
    "do_predict": True,
    "max_seq_length": 24,
    "doc_stride": 4,
    "max_query_length": 6,
    "train_batch_size": 8,
    "eval_batch_size": 32,
    "predict_batch_size": 32,
    "num_train_epochs": 15.0,
    "learning_rate": 3e-3,
    "save_checkpoints_steps": 50,
}
HEAD = "cls/squad/output_weights"


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    with tiny.eagerly():
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("squad")


@pytest.fixture(scope="module")
def model(root):
    return tiny.make_model(root / "model", **tiny.WITHOUT_DROPOUT)


@pytest.fixture(scope="module")
def files(root):
    """{version: folder} of questions."""
    return {
        "1.1": tiny.make_squad(root / "1.1", train=64),
        "2.0": tiny.make_squad(root / "2.0", train=64, negative=True),
    }


def flags_of(folder, model, **changes):
    flags = {
        **FLAGS,
        "model_dir": model,
        "train_file": folder / "train.json",
        "predict_file": folder / "predict.json",
    }
    return {k: v for k, v in {**flags, **changes}.items() if v is not None}


@pytest.fixture(scope="module")
def run(root, files, model):
    """(results, folder) of a run on 1.1."""
    output = root / "run"
    return tiny.run(**flags_of(files["1.1"], model), keep_best=True, output_dir=output), output


@pytest.fixture(scope="module")
def run2(root, files, model):
    """(results, folder) of a run on 2.0."""
    output, flags = root / "run2", flags_of(files["2.0"], model)
    return tiny.run(**flags, version_2_with_negative=True, output_dir=output), output


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def golds(folder):
    paragraphs = read(folder / "predict.json")["data"][0]["paragraphs"]
    qas = [qa for paragraph in paragraphs for qa in paragraph["qas"]]
    return {qa["id"]: "".join(a["text"] for a in qa["answers"]) for qa in qas}


def test_a_run_learns_and_leaves_its_files(run, files):
    results, output = run
    assert results["best"]["metric"] == "f1" and results["best"]["value"] == 1.0
    assert results["metrics"]["dev"]["f1"] == results["metrics"]["dev"]["exact_match"] == 1.0
    assert read(output / "predictions.json") == golds(files["1.1"])
    n_best = read(output / "nbest_predictions.json")
    assert list(n_best) == list(golds(files["1.1"]))
    assert all(1 < len(guesses) <= 20 for guesses in n_best.values())
    assert not (output / "null_odds.json").exists()
    task = read(output / "task.json")
    assert task == {
        "task_name": "squad", "head": "question_answering", "labels": None,
        "version_2_with_negative": False, "max_seq_length": 24, "doc_stride": 4,
        "max_query_length": 6, "do_lower_case": True, "global_step": results["metrics_step"],
    }  # fmt: skip
    assert HEAD in tiny.arrays_of(output)
    lines = (output / "eval_results.txt").read_text().splitlines()
    assert "f1_score = 1" in lines and "exact_match = 1" in lines
    scalars, _ = tiny.read_events(output / "eval")
    assert {"f1_score", "exact_match", "eval_loss"} <= set(scalars)
    assert read(output / "results.json")["metrics"] == results["metrics"]


def test_questions_without_an_answer(run2, files):
    results, output = run2
    wanted, metrics = golds(files["2.0"]), results["metrics"]["dev"]
    assert "" in wanted.values()
    assert read(output / "predictions.json") == wanted
    odds = read(output / "null_odds.json")
    assert [odds[name] > 0 for name in wanted] == [not text for text in wanted.values()]
    for name in ("f1", "has_answer_f1", "no_answer_f1", "best_f1", "no_answer_exact_match"):
        assert metrics[name] == 1.0
    assert all(guess["text"] for guess in read(output / "nbest_predictions.json")["predict0"][:1])


def test_the_result_answers_as_it_was_fine_tuned(run2, files, root):
    _, output = run2
    again = root / "again"
    common = {"program": "spans", "do_predict": True, "model_dir": output}
    tiny.run(**common, predict_file=files["2.0"] / "predict.json", output_dir=again)
    for name in ("predictions.json", "nbest_predictions.json", "null_odds.json"):
        assert (again / name).read_bytes() == (output / name).read_bytes()
    # Questions that nobody has answered; the threshold silences.
    asked = read(files["2.0"] / "predict.json")
    for paragraph in asked["data"][0]["paragraphs"]:
        for qa in paragraph["qas"]:
            del qa["answers"], qa["is_impossible"]
    (root / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    tiny.run(
        **common, predict_file=root / "asked.json", output_dir=again,
        null_score_diff_threshold=-1000.0,
    )  # fmt: skip
    assert set(read(again / "predictions.json").values()) == {""}
    with pytest.raises(UserError, match="has no answers, which --do_eval needs"):
        tiny.run(
            program="spans", do_eval=True, model_dir=output, predict_file=root / "asked.json",
            output_dir=again,
        )  # fmt: skip


def test_evaluation_alone_gives_the_same_metrics(run, files, root):
    results, output = run
    again = tiny.run(
        program="spans", do_eval=True, model_dir=output, output_dir=root / "evaluated",
        predict_file=files["1.1"] / "predict.json",
    )  # fmt: skip
    assert again["metrics"]["dev"] == pytest.approx(results["metrics"]["dev"], abs=1e-5)
    assert not (root / "evaluated" / "predictions.json").exists()


def test_hugging_face_and_back(run, files, root):
    """BertForQuestionAnswering has no pooler, and gets none."""
    from bert_tf.checkpoints import huggingface

    _, output = run
    source = load_model(output)
    arrays = {n: x for n, x in source.arrays.items() if "pooler" not in n}
    huggingface.write(root / "hf", source.config, arrays, source.vocab_file, None, True)
    assert read(root / "hf" / "config.json")["architectures"] == ["BertForQuestionAnswering"]
    flags = {**flags_of(files["1.1"], root / "hf"), "do_train": None, "do_eval": None}
    flags = {k: v for k, v in flags.items() if v and k not in ("train_file", "eval_batch_size")}
    flags = {
        k: v for k, v in flags.items() if not k.startswith(("num_", "train_", "learning", "s"))
    }
    tiny.run(**flags, output_dir=root / "from_hf")
    assert (root / "from_hf" / "predictions.json").read_bytes() == (
        output / "predictions.json"
    ).read_bytes()
    short = flags_of(files["1.1"], root / "hf", num_train_epochs=0.25, do_eval=None)
    short.pop("eval_batch_size")
    tiny.run(**short, output_dir=root / "tuned_hf")
    tuned = tiny.arrays_of(root / "tuned_hf")
    assert HEAD in tuned and not [n for n in tuned if "pooler" in n]


def test_a_factorised_model_answers_the_same(run, files, tmp_path):
    """And a part of it is cut out with its head."""
    import export_subnetwork
    import factorize

    _, output = run
    factorize.main(factorize.Options(model_dir=str(output), output_dir=str(tmp_path / "f")))
    common = {"program": "spans", "do_predict": True, "predict_file": files["1.1"] / "predict.json"}
    tiny.run(**common, model_dir=tmp_path / "f", output_dir=tmp_path / "o")
    assert read(tmp_path / "o" / "predictions.json") == read(output / "predictions.json")
    part = {"model_dir": str(output), "output_dir": str(tmp_path / "half"), "width": 0.5}
    export_subnetwork.main(export_subnetwork.Options(given=frozenset(part), **part))
    tiny.run(**common, model_dir=tmp_path / "half", output_dir=tmp_path / "p")
    assert len(read(tmp_path / "p" / "predictions.json")) == 16


def test_other_heads_are_left_out_or_refused(run, files, root, tmp_path):
    _, output = run
    sst2 = tiny.make_sst2(tmp_path / "sst2")
    classifier = tiny.make_classifier(
        tmp_path / "c", ["0", "1"], {"task_name": "sst-2"}, max_position_embeddings=32
    )
    predict = {
        "program": "spans", "do_predict": True, "model_dir": classifier,
        "output_dir": tmp_path / "o",
        "predict_file": files["1.1"] / "predict.json", "max_seq_length": 24, "max_query_length": 6,
    }  # fmt: skip
    with pytest.raises(UserError, match=r"holds no head of spans .* give a model fine-tuned on"):
        tiny.run(**predict)
    short = flags_of(files["1.1"], classifier, num_train_epochs=0.25, output_dir=tmp_path / "t")
    tiny.run(**short)
    arrays = tiny.arrays_of(tmp_path / "t")
    assert HEAD in arrays and "output_weights" not in arrays
    with pytest.raises(UserError, match="was fine-tuned for question_answering, not for sentences"):
        tiny.run(do_eval=True, data_dir=sst2, model_dir=output, output_dir=tmp_path / "p")
    from bert_tf.export import source

    with pytest.raises(UserError, match="has a head of spans"):
        source.of(load_model(output))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision(precision, files, model, tmp_path):
    flags = flags_of(
        files["1.1"], model, num_train_epochs=1.0, precision=precision, pad_to_max_length=True
    )
    results = tiny.run(**flags, output_dir=tmp_path / "half")
    assert 0 <= results["metrics"]["dev"]["f1"] <= 1
    assert np.isfinite(results["metrics"]["dev"]["loss"])


BAD = {
    "no train file": ({"train_file": None}, "--train_file is required"),
    "no predict file": ({"predict_file": None}, "--predict_file is required"),
    "too short": ({"max_seq_length": 9}, "must be above --max_query_length . 3 = 9"),
    "too long": ({"max_seq_length": 64}, "position table .* has 32 rows"),
    "null threshold": ({"null_score_diff_threshold": 1.0}, "has no effect without --version_2"),
    "missing": ({"predict_file": "none.json"}, "none.json: cannot read the SQuAD file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_flags(name, files, model, tmp_path):
    changes, message = BAD[name]
    with pytest.raises(UserError, match=message):
        tiny.run(**flags_of(files["1.1"], model, **changes), output_dir=tmp_path / "o")


def test_files_that_do_not_fit(files, model, tmp_path):
    both = flags_of(files["2.0"], model, output_dir=tmp_path / "o")
    with pytest.raises(UserError, match="has no answer: give --version_2_with_negative=true"):
        tiny.run(**both)
    source = load_model(model)
    narrow = source.config.replace(type_vocab_size=1)
    types = "bert/embeddings/token_type_embeddings"
    arrays = {**source.arrays, types: source.arrays[types][:1]}
    save_model_folder(tmp_path / "narrow", narrow, arrays, source.vocab_file)
    with pytest.raises(UserError, match="knows single texts only"):
        tiny.run(**flags_of(files["1.1"], tmp_path / "narrow", output_dir=tmp_path / "o"))
    task = {"task_name": "squad", "doc_stride": 0}
    arrays = {**source.arrays, HEAD: np.ones([2, 16], np.float32)}
    arrays["cls/squad/output_bias"] = np.zeros(2, np.float32)
    folder = save_model_folder(tmp_path / "bad", source.config, arrays, source.vocab_file, task)
    with pytest.raises(UserError, match=r"task\.json: doc_stride must be a whole number above 0"):
        tiny.run(
            program="spans", do_predict=True, model_dir=folder, output_dir=tmp_path / "o",
            predict_file=files["1.1"] / "predict.json",
        )  # fmt: skip


def test_the_script_says_what_is_wrong(files, model, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text('{"data": [', encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable, str(pathlib.Path(tiny.ROOT, "run_squad.py")), "--do_predict",
            f"--predict_file={path}", f"--model_dir={model}", f"--output_dir={tmp_path / 'o'}",
            "--max_seq_length=24", "--max_query_length=6",
        ],
        env=tiny.environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert [x for x in done.stderr.splitlines() if x.startswith("error: ")] == [
        done.stderr.splitlines()[-1]
    ]
    assert "holds no head of spans" in done.stderr or "not valid JSON" in done.stderr
