"""A thousand difficult strings have run_classifier.py's probabilities, wherever they are served."""

import json
import os
import pathlib
import random
import subprocess
import sys

import numpy as np
import pytest

from bert_tf.checkpoints.model_folder import load_model, save_model_folder
from bert_tf.serving import Classifier
from tests import tiny
from tests.serving.environment import without_tensorflow

pytestmark = pytest.mark.slow  # a real model: BERT_TF_MODEL, fine-tuned on SST-2
pytest.importorskip("onnxruntime")
HARD = [
    "", "word " * 10_000, "🙂🙂 👩\u200d👩\u200d👧", "电影很好看", "nul\0in\0side", "\0", " ",
    "ΟΔΟΣ İ ﬁ", "a" * 300,
]  # fmt: skip
WORDS = "the film is not a good bad very dull bright but 电影 🙂 it's naïve 10% O'Neil"


def texts():
    rng = random.Random(0)
    words, lengths = WORDS.split(), (1, 5, 20, 80, 300)
    made = [" ".join(rng.choices(words, k=rng.choice(lengths))) for _ in range(1000)]
    return HARD + made[len(HARD) :]


def call(program, *flags):
    command = [sys.executable, str(tiny.ROOT / program), *flags]
    done = subprocess.run(
        command, env=tiny.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(folder of the exports, run_classifier.py's probabilities)."""
    if not (model := os.environ.get("BERT_TF_MODEL")):
        pytest.skip("set BERT_TF_MODEL to a model fine-tuned on SST-2")
    folder = tmp_path_factory.mktemp("served")
    loaded = load_model(model)
    task = {
        "task_name": "custom", "text_column": "text", "label_column": "label",
        "labels": ["negative", "positive"], "max_seq_length": 64,
    }  # fmt: skip
    save_model_folder(folder / "model", loaded.config, loaded.arrays, loaded.vocab_file, task)
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts()), "utf-8")
    shared = f"--model_dir={folder / 'model'}"
    predicted = folder / "predicted"
    call(
        "run_classifier.py", "--do_predict", shared, f"--test_file={rows}",
        f"--output_dir={predicted}",
    )  # fmt: skip
    out = folder / "exported"
    call("export_model.py", shared, "--format=savedmodel,onnx", f"--output_dir={out}")
    return out, np.loadtxt(predicted / "test_results.tsv", delimiter="\t")


_CLIENT = """
import json, sys

for name in ("bert_tf", "tf_keras", "tests"):
    sys.modules[name] = None  # an import of it is an error
import tensorflow as tf
import tensorflow_text

serve = tf.saved_model.load(sys.argv[1]).signatures["text"]
print(json.dumps(serve(tf.constant(json.load(sys.stdin)))["probabilities"].numpy().tolist()))
"""


def test_the_text_signature_in_a_fresh_process(served, tmp_path):
    folder, wanted = served
    ours = ("PYTHONPATH", "TF_USE_LEGACY_KERAS")
    environment = {k: x for k, x in tiny.environment().items() if k not in ours}
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, str(folder / "savedmodel/text")],
        input=json.dumps(texts()), capture_output=True, text=True, cwd=tmp_path, env=environment,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), wanted, atol=1e-5)


_CLASSIFY = """
import json, sys
from bert_tf.serving import Classifier
found = Classifier(sys.argv[1])(json.load(sys.stdin))
print(json.dumps([list(x.probabilities.values()) for x in found]))
"""


def test_without_tensorflow(served, tmp_path):
    """Needs the package index."""
    folder, wanted = served
    run = without_tensorflow(tmp_path)
    found = json.loads(run("-c", _CLASSIFY, str(folder), input=json.dumps(texts())))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    here = [list(x.probabilities.values()) for x in Classifier(pathlib.Path(folder))(texts())]
    np.testing.assert_allclose(found, here, atol=1e-6)
