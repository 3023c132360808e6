"""predict.py reads lines and writes predictions, all of them or none."""

import csv
import io
import os
import shutil
import subprocess
import sys

import pytest

from bert_tf import text_lines
from bert_tf.errors import UserError
from bert_tf.serving import Classifier, program
from bert_tf.serving.options import PredictOptions
from tests import tiny
from tests.serving import exported

TEXTS = ["good film", "", "深度 bad", "a\0b\u2028c\td", " the plot " * 30]


def predict(folder, **flags):
    given = frozenset({"model_dir", *flags})
    flags = {k: str(x) if k.endswith("file") else x for k, x in flags.items()}
    return program.run(PredictOptions(given=given, model_dir=str(folder), threads=1, **flags))


def write(tmp_path, content):
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    return path


def expected(folder, texts):
    return "".join(f"{x.label}\t{x.probability:.8g}\n" for x in Classifier(folder)(texts))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_line_of_prediction_for_each_line_of_text(tmp_path, classifier_folder, end, mark):
    for last in ("", end):
        path = write(tmp_path, mark + (end.join(TEXTS) + last).encode())
        predict(classifier_folder, input_file=path, output_file=tmp_path / "out.tsv")
        assert (tmp_path / "out.tsv").read_text("utf-8") == expected(classifier_folder, TEXTS)


def test_standard_streams(classifier_folder, monkeypatch, capsys):
    lines = "".join(f"{text}\n" for text in TEXTS).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    predict(classifier_folder)
    assert capsys.readouterr().out == expected(classifier_folder, TEXTS)


@pytest.mark.parametrize("limit", ["_CHUNK_LINES", "_CHUNK_CHARACTERS"])
def test_the_result_does_not_depend_on_the_chunks(tmp_path, classifier_folder, monkeypatch, limit):
    path = write(tmp_path, "".join(f"{text}\n" for text in TEXTS * 4).encode())
    predict(classifier_folder, input_file=path, output_file=tmp_path / "whole.tsv")
    monkeypatch.setattr(text_lines, limit, 3)
    sizes = []
    plain = Classifier.__call__
    monkeypatch.setattr(
        Classifier, "__call__", lambda self, rows: sizes.append(len(rows)) or plain(self, rows)
    )
    predict(classifier_folder, input_file=path, output_file=tmp_path / "chunks.tsv")
    assert len(sizes) > 6
    assert max(sizes) <= 3
    labels = [
        [line.split("\t")[0] for line in (tmp_path / name).read_text().splitlines()]
        for name in ("whole.tsv", "chunks.tsv")
    ]
    assert len(labels[0]) == len(TEXTS) * 4
    assert labels[0] == labels[1]


def test_scores_and_pairs(tmp_path, regression_folder):
    path = write(tmp_path, b"good\tbad film\n\tso\n")
    output = tmp_path / "scores.txt"
    predict(regression_folder, input_file=path, output_file=output, pairs=True)
    scores = Classifier(regression_folder)([("good", "bad film"), ("", "so")])
    assert output.read_text() == "".join(f"{x.score:.8g}\n" for x in scores)


def test_lines_are_pairs_where_the_model_was_fine_tuned_on_them(tmp_path, model):
    folder = exported.export(tmp_path / "exported", model, pairs=True)
    output = tmp_path / "out.tsv"
    path = write(tmp_path, b"good\tbad\n")
    predict(folder, input_file=path, output_file=output)
    assert output.read_text() == expected(folder, [("good", "bad")])
    predict(folder, input_file=path, output_file=output, pairs=False)
    assert output.read_text() == expected(folder, ["good bad"])


def test_a_tab_where_nothing_says_what_it_parts_is_refused(tmp_path, model):
    folder = exported.export(tmp_path / "exported", model, pairs=None)
    output = tmp_path / "out.tsv"
    path = write(tmp_path, b"good\n")
    predict(folder, input_file=path, output_file=output)
    assert output.read_text() == expected(folder, ["good"])
    path = write(tmp_path, b"good\ngood\tbad\n")
    with pytest.raises(UserError, match=r"texts\.txt:2: holds a tab, .* --pairs .* --pairs=false "):
        predict(folder, input_file=path, output_file=output)
    exported.change(folder, pairs=None)
    predict(folder, input_file=path, output_file=output, pairs=False)
    assert output.read_text() == expected(folder, ["good", "good bad"])


def test_labels_are_cells_of_a_table(tmp_path, classifier_folder):
    folder = shutil.copytree(classifier_folder, tmp_path / "exported")
    labels = ["a\tb", 'c"d', "e\nf\r"]
    exported.change(folder, labels=labels)
    path = write(tmp_path, "".join(f"{text}\n" for text in TEXTS).encode())
    predict(folder, input_file=path, output_file=tmp_path / "out.tsv")
    with open(tmp_path / "out.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    found = Classifier(folder)(TEXTS)
    assert rows == [[x.label, f"{x.probability:.8g}"] for x in found]
    assert len({label for label, _ in rows}) > 1


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (b"good\nb\xff\n", {}, r"texts\.txt:2: found byte 0xff, expected UTF-8 text"),
        (b"a\tb\ngood\n", {"pairs": True}, r"texts\.txt:2: found 0 tabs, expected one"),
        (b"a\tb\tc\n", {"pairs": True}, r"texts\.txt:1: found 2 tabs, expected one"),
        (b"a" * 4_000_001, {}, r"texts\.txt:1: a line of more than 4000000 bytes"),
        (b"a", {"threads": 0}, "--threads=0: expected 1 or more"),
    ],
)
def test_bad_input_leaves_the_output_as_it_was(
    tmp_path, classifier_folder, content, flags, message
):
    output = tmp_path / "out.tsv"
    output.write_text("before")
    options = PredictOptions(
        given=frozenset({"model_dir", "input_file", "output_file", *flags}),
        model_dir=str(classifier_folder),
        input_file=str(write(tmp_path, content)),
        output_file=str(output),
        **flags,
    )
    with pytest.raises(UserError, match=message):
        program.run(options)
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tsv", "texts.txt"]


def test_paths_that_cannot_be(tmp_path, classifier_folder, encoder_folder):
    path = write(tmp_path, b"good\n")
    with pytest.raises(UserError, match=r"--input_file=.*none: cannot read: No such file"):
        predict(classifier_folder, input_file=tmp_path / "none")
    with pytest.raises(UserError, match=r"--output_file=.*is the input"):
        predict(classifier_folder, input_file=path, output_file=path)
    before = {x.name: x.read_bytes() for x in classifier_folder.iterdir()}
    os.symlink(classifier_folder, tmp_path / "link")
    for inside in (classifier_folder / "model.onnx", tmp_path / "link/new/labels.tsv"):
        with pytest.raises(UserError, match=r"--output_file=.*is in --model_dir, whose files"):
            predict(classifier_folder, input_file=path, output_file=inside)
    assert {x.name: x.read_bytes() for x in classifier_folder.iterdir()} == before
    with pytest.raises(UserError, match=r"texts\.txt.*cannot write"):
        predict(classifier_folder, input_file=path, output_file=path / "out.tsv")
    with pytest.raises(UserError, match=r"--model_dir=.*is an encoder"):
        predict(encoder_folder, input_file=path)
    with pytest.raises(UserError, match="--model_dir is required"):
        program.run(PredictOptions())


@pytest.mark.parametrize("start", [["predict.py"], ["-m", "bert_tf.serving"]])
def test_the_command(classifier_folder, start):
    command = [sys.executable, *start]
    lines = "".join(f"{text}\n" for text in TEXTS).encode()
    done = subprocess.run(
        [*command, f"--model_dir={classifier_folder}"],
        input=lines, capture_output=True, cwd=tiny.ROOT, env=tiny.environment(), check=True,
    )  # fmt: skip
    assert done.stdout.decode() == expected(classifier_folder, TEXTS)
    assert done.stderr == b""
    done = subprocess.run(
        [*command, "--model_dir=none"],
        input=lines, capture_output=True, cwd=tiny.ROOT, env=tiny.environment(), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert done.stderr.startswith(b"error: none: holds no export.json")


def test_a_reader_that_has_enough_ends_it_quietly(classifier_folder):
    command = [sys.executable, "predict.py", f"--model_dir={classifier_folder}"]
    running = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=tiny.ROOT, env=tiny.environment(),
    )  # fmt: skip
    running.stdout.close()
    running.stdout = None
    _, errors = running.communicate(b"good\n" * 10, timeout=60)
    assert running.returncode != 0
    assert errors == b""
