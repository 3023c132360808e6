"""`--model` and what it may name: a folder, a checkpoint, or a model in the hub's cache."""

import pathlib
import shutil
import zipfile

import pytest

import augment_data
import convert_checkpoint
import export_subnetwork
import factorize
import remove_mask
from bert_tf.checkpoints import convert, model_folder, resolve
from bert_tf.classification.options import ClassifierOptions
from bert_tf.data.pretraining.options import PretrainingDataOptions
from bert_tf.errors import UserError
from bert_tf.export.options import ExportOptions
from bert_tf.pretraining.options import PretrainingOptions
from tests import needs, tiny

ID = "someone/tiny-bert"
COMMIT, OTHER = "a" * 40, "b" * 40


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Holds `model`, a model folder, and `theirs`, the same as a Hugging Face folder."""
    folder = tmp_path_factory.mktemp("root")
    tiny.make_model(folder / "model")
    convert.convert(model_folder.load_model(folder / "model"), folder / "theirs", "huggingface")
    return folder


@pytest.fixture
def cached(root, tmp_path, monkeypatch):
    """The folder of a model in a hub's cache, its files links to blobs as the hub has them."""
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HUGGINGFACE_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "hub" / "models--someone--tiny-bert"
    add_snapshot(folder, COMMIT, root / "theirs")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    return folder


def add_snapshot(folder, commit, source):
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    (folder / "snapshots" / commit).mkdir(parents=True)
    for file in source.iterdir():
        blob = folder / "blobs" / f"{commit[0]}-{file.name}"
        shutil.copyfile(file, blob)
        (folder / "snapshots" / commit / file.name).symlink_to(
            pathlib.Path("../../blobs", blob.name)
        )


def check_same(given, root):
    """Asserts that `given` is the model of the folder `root`, and returns it."""
    model = model_folder.load_model(given)
    tiny.assert_same_bits(model.arrays, tiny.arrays_of(root / "model"))
    return model


def test_folders_and_prefixes(root, tmp_path, monkeypatch):
    for name in ("model", "theirs", "model/bert_model.ckpt", "model/bert_model.ckpt.index"):
        assert check_same(root / name, root).source.startswith(str(root / name))
    monkeypatch.chdir(root)
    assert check_same("model", root).remarks == []


@needs.tf_models
def test_a_checkpoint_of_tf_models(root, tmp_path):
    convert.convert(model_folder.load_model(root / "model"), tmp_path / "tf", "tf_models")
    check_same(tmp_path / "tf" / "bert_model.ckpt", root)


def test_an_id_in_the_hubs_cache(root, cached, tmp_path):
    model = check_same(ID, root)
    assert model.source == f"{ID} (Hugging Face folder)"
    assert model.remarks == [f"read in {cached / 'snapshots' / COMMIT}"]
    convert.convert(model, tmp_path / "out")
    assert not (tmp_path / "out" / "vocab.txt").is_symlink()
    check_same(tmp_path / "out", root)
    check_same(cached, root)  # the folder itself


def test_a_path_wins_over_an_id(root, cached, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = tiny.make_model(tmp_path / ID, seed=5)
    model = model_folder.load_model(ID)
    tiny.assert_same_bits(model.arrays, tiny.arrays_of(other))


def test_revisions(root, cached, tmp_path):
    other = model_folder.load_model(tiny.make_model(tmp_path / "other", seed=3))
    convert.convert(other, tmp_path / "their_other", "huggingface")
    add_snapshot(cached, OTHER, tmp_path / "their_other")
    check_same(ID, root)
    for revision in (OTHER, OTHER[:7]):
        found = model_folder.load_model(f"{ID}@{revision}")
        tiny.assert_same_bits(found.arrays, other.arrays)
    with pytest.raises(UserError, match=f"no revision v9, found {COMMIT}, {OTHER}"):
        model_folder.load_model(f"{ID}@v9")
    (cached / "refs" / "main").unlink()
    with pytest.raises(UserError, match="several revisions"):
        model_folder.load_model(ID)


@pytest.mark.parametrize(
    "variables", [{"HF_HUB_CACHE": "x"}, {"HUGGINGFACE_HUB_CACHE": "x"}, {"XDG_CACHE_HOME": "y"}]
)
def test_where_the_cache_is(tmp_path, monkeypatch, variables):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert resolve.cache() == pathlib.Path.home() / ".cache" / "huggingface" / "hub"
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    hub = (
        tmp_path / "y" / "huggingface" / "hub" if "XDG_CACHE_HOME" in variables else tmp_path / "x"
    )
    assert resolve.cache() == hub


def test_what_is_not_there(cached, tmp_path):
    with pytest.raises(UserError, match=r"nor is there a model of that id.*hf download no/such"):
        model_folder.load_model("no/such")
    with pytest.raises(UserError) as refused:
        model_folder.load_model("/no/such")
    assert "hub" not in str(refused.value)
    shutil.rmtree(cached / "blobs")  # a download that was cut off
    with pytest.raises(UserError, match=str(cached)):
        model_folder.load_model(ID)


def test_a_download_that_was_cut_off_before_the_first_file(cached):
    shutil.rmtree(cached / "snapshots")
    with pytest.raises(UserError, match="holds no model, its download was cut off"):
        model_folder.load_model(ID)


def test_a_log_of_the_name_of_a_model_is_none(root, cached, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ID).parent.mkdir()
    (tmp_path / f"{ID}.log").write_text("x")
    check_same(ID, root)


def test_googles_archive_must_be_unpacked(root, tmp_path):
    archive = tmp_path / "uncased_L-12_H-768_A-12.zip"
    with zipfile.ZipFile(archive, "w") as z:
        for file in (root / "model").iterdir():
            z.write(file, f"uncased_L-12_H-768_A-12/{file.name}")
    with pytest.raises(UserError, match="is a zip file, expected a folder: unzip it"):
        model_folder.load_model(archive)
    with zipfile.ZipFile(archive) as z:
        z.extractall(tmp_path / "unpacked")
    with pytest.raises(UserError, match="there is a model in its folder uncased_L-12_H-768_A-12"):
        model_folder.load_model(tmp_path / "unpacked")
    check_same(tmp_path / "unpacked" / "uncased_L-12_H-768_A-12", root)


PROGRAMS = (
    ClassifierOptions, PretrainingOptions, PretrainingDataOptions, ExportOptions, factorize.Options,
    remove_mask.Options, export_subnetwork.Options, augment_data.AugmentationOptions,
)  # fmt: skip


@pytest.mark.parametrize("cls", PROGRAMS)
def test_model_and_model_dir_are_one_flag(cls):
    options = cls(given=frozenset({"model"}), model="m")
    assert (options.model, options.model_dir, options.given) == (None, "m", {"model_dir"})
    with pytest.raises(UserError, match="--model and --model_dir are the same: give one of them"):
        cls(given=frozenset({"model", "model_dir"}), model="m", model_dir="n")


def test_the_converter_has_the_flag_too():
    options = convert_checkpoint.Options(given=frozenset({"model"}), model="m")
    assert (options.model, options.input, options.given) == (None, "m", {"input"})
    with pytest.raises(UserError, match="--model and --input are the same"):
        convert_checkpoint.Options(given=frozenset(), model="m", input="n")


def test_programs_take_an_id(root, cached, tmp_path, capsys):
    convert_checkpoint.main(convert_checkpoint.Options(input=ID, output=str(tmp_path / "ours")))
    assert f"read in {cached}" in capsys.readouterr().out
    values = {"model": ID, "output_dir": str(tmp_path / "pairs")}
    factorize.main(factorize.Options(given=frozenset(values), **values))
    assert model_folder.load_model(tmp_path / "pairs").arrays
