"""Sets of tensorflow-datasets: by name, by folder, damaged, unknown, not downloaded."""

import pytest

from bert_tf.data.sources import network, tfds
from bert_tf.data.sources.base import Roles
from bert_tf.data.sources.opening import open_source
from bert_tf.errors import UserError
from tests.data.sources import sets

pytest.importorskip("tensorflow_datasets")

ROLES = Roles("sentence", None, "label", "idx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    sets.write("tfds", folder)
    return folder / "tfds"


@pytest.mark.parametrize("name", ["tiny_sst", "tiny_sst:1.0.0"])
def test_a_prepared_set_by_its_name(folder, name):
    source = open_source(f"tfds:{name}", str(folder))
    assert source.splits() == sets.COUNTS
    table = source.read("train", ROLES)
    rows = sets.rows_of()
    assert table.column("sentence") == rows["sentence"]
    assert table.column("label") == list(map(str, rows["label"]))
    assert table.column("idx") == list(map(str, range(40)))


def test_a_set_without_a_configuration(folder):
    with pytest.raises(UserError, match="name one of its configurations, as tfds:glue/cola: cola,"):
        open_source("tfds:glue", str(folder))
    with pytest.raises(UserError, match="no configuration 'mprc': expected one of cola, sst2"):
        open_source("tfds:glue/mprc", str(folder))
    assert "mrpc" in tfds.configurations("glue")


def test_an_unknown_set(folder):
    with pytest.raises(UserError, match=r"unknown to tensorflow-datasets, .*did you mean tiny_sst"):
        open_source("tfds:tiny_sts", str(folder))
    (folder.parent / "empty").mkdir()
    with pytest.raises(UserError, match=r"no dataset_info.json in it, expected a prepared set"):
        open_source(f"tfds:{folder.parent / 'empty'}")


def test_a_set_that_needs_the_network(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(network, "status_of", lambda url: asked.append(url))
    with pytest.raises(UserError, match=r"is not prepared in .*, and https://.* cannot be reached"):
        open_source("tfds:glue/mrpc", str(folder))
    assert asked


def test_damaged_records(folder):
    (path,) = folder.glob("**/*test*.tfrecord*")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    try:
        with pytest.raises(UserError, match="tensorflow-datasets cannot read it") as e:
            open_source(f"tfds:{folder}").read("test", ROLES)
        assert "\n" not in str(e.value)
    finally:
        path.write_bytes(data)
