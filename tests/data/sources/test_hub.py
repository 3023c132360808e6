"""Sets of Hugging Face: on disk, in the cache, on a hub that answers and one that does not."""

import http.server
import json
import os
import shutil
import threading

import numpy as np
import pytest

from bert_tf.data.sources import hub
from bert_tf.data.sources.base import Roles
from bert_tf.data.sources.opening import open_source
from bert_tf.errors import UserError
from tests.data.sources import sets

datasets = pytest.importorskip("datasets")
huggingface_hub = pytest.importorskip("huggingface_hub")

ROLES = Roles("sentence", None, "label")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No hub answers, and the cache is empty; what a run changes is put back."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setattr(datasets.config, name, False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def cache(folder, scratch, repository, config):
    """Puts a set into a cache as `datasets` does that has downloaded it."""
    sets.write("parquet", scratch / config)
    path = os.fspath(scratch / config / "parquet")
    datasets.load_dataset("parquet", data_dir=path, cache_dir=os.fspath(scratch / "made"))
    (info,) = (scratch / "made").glob("parquet/*/*/*/dataset_info.json")
    target = folder / repository.replace("/", "___") / config / "0.0.0" / ("0" * 40)
    shutil.move(info.parent, target)
    shutil.rmtree(scratch / "made")
    name = repository.rpartition("/")[2]
    for path in target.glob("*.arrow"):
        path.rename(path.with_name(path.name.replace("parquet", name)))
    about = json.loads((target / "dataset_info.json").read_text())
    about |= {"config_name": config, "dataset_name": name, "builder_name": "parquet"}
    (target / "dataset_info.json").write_text(json.dumps(about))


@pytest.mark.parametrize("name", ["nyu-mll/glue/mrpc", "glue/mrpc"])
def test_the_cache_serves_without_a_network(tmp_path, offline, name):
    for config in ("mrpc", "cola"):
        cache(offline, tmp_path / "scratch", "nyu-mll/glue", config)
    source = open_source(f"hf:{name}")
    assert source.splits() == sets.COUNTS
    assert sorted(source.configs) == ["cola", "mrpc"]
    assert source.read("train", ROLES).column("sentence") == sets.rows_of()["sentence"]
    with pytest.raises(UserError, match=r"name one of its configurations, as hf:glue/.*: cola"):
        open_source("hf:glue")
    with pytest.raises(UserError, match="no configuration 'qqp': expected one of cola, mrpc"):
        open_source("hf:glue/qqp")
    assert hub.cached_sets() == {"nyu-mll/glue": ["cola", "mrpc"]}


def test_a_set_that_needs_the_network(offline):
    with pytest.raises(UserError) as e:
        open_source("hf:glue/mrpc")
    assert "is not in the cache" in str(e.value)
    assert "http://127.0.0.1:9 cannot be reached" in str(e.value)
    with pytest.raises(UserError, match="cannot be reached"):
        hub.search("glue")


def test_names_are_looked_up_on_the_hub(offline, monkeypatch):
    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = ("/api/datasets?limit=1", "/api/datasets/nyu-mll/glue", "/api/datasets/imdb")
            self.send_response(200 if self.path in known else 404)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(datasets, "get_dataset_config_names", lambda name: ["cola", "mrpc"])
    try:
        both = ["cola", "mrpc"]
        assert hub.find("nyu-mll/glue/mrpc") == ("nyu-mll/glue", "mrpc", both)
        assert hub.find("nyu-mll/glue") == ("nyu-mll/glue", None, both)
        assert hub.find("imdb/plain") == ("imdb", "plain", both)
        with pytest.raises(UserError, match=r"--dataset=hf:no/such: unknown to .*--dataset=hf:no"):
            hub.find("no/such")
    finally:
        server.shutdown()


def test_a_folder_of_data_files(tmp_path, offline):
    source = open_source(sets.write("csv", tmp_path).replace("csv:", "hf:"))
    assert source.splits() == sets.COUNTS
    assert source.read("train", ROLES).column("sentence") == sets.rows_of()["sentence"]


def test_a_folder_of_one_split_or_none(tmp_path, offline):
    sets.saved(sets.splits_of())["train"].save_to_disk(os.fspath(tmp_path / "one"))
    assert open_source(f"hf:{tmp_path / 'one'}").splits() == {"train": 40}
    with pytest.raises(UserError, match="hf:/nowhere/x: no such folder"):
        open_source("hf:/nowhere/x")
    (data,) = (tmp_path / "one").glob("*.arrow")
    data.write_bytes(data.read_bytes()[:300])
    with pytest.raises(UserError, match="`datasets` cannot read it") as e:
        open_source(f"hf:{tmp_path / 'one'}").read("train", ROLES)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json"])
def test_damaged_descriptions(tmp_path, name):
    folder = tmp_path / "one"
    sets.saved(sets.splits_of())["train"].save_to_disk(os.fspath(folder))
    (folder / name).write_text("[]")
    with pytest.raises(UserError, match="cannot read it: its JSON files are damaged"):
        open_source(f"hf:{folder}")


def test_rows_are_named_as_in_the_set(tmp_path):
    rows = sets.rows_of()
    rows["sentence"][7] = None
    source = open_source(sets.write("hf", tmp_path, {"train": rows}))
    with pytest.raises(UserError, match="train:8: column 'sentence' is null"):
        source.read("train", ROLES, np.arange(5, 10))


def test_without_the_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs datasets, .*: pip install 'bert-tf\[datasets\]'"):
        open_source("hf:glue/mrpc")
    with pytest.raises(UserError, match=r"tensorflow-datasets, .*: pip install 'bert-tf\[tfds\]'"):
        open_source("tfds:glue/mrpc")
    with pytest.raises(UserError, match=r"needs pyarrow, .*: pip install 'bert-tf\[parquet\]'"):
        open_source("parquet:x")
