"""Whatever a file is like, each of its rows gets its own answer, or an error names the line.

The files are written by Python's csv and json, or by hand, from rows that are known; the answers
are those of `write_predictions` for logits that the texts decide.
"""

import csv
import io
import json
import random
import re

import numpy as np
import pytest

from bert_tf.classification import evaluation
from bert_tf.data.tasks import custom_task
from bert_tf.errors import UserError

FRAGMENTS = [
    "plain", "two words", "", " ", '"', 'say "hi"', '"quoted"', "it's", "a,b", ",", ";", "é力",
    "a\u2028b", "a\x85b", "a\x0bb", "a\x1cb", "a\rb", "- ", "NaN", "0", "\\n", '\\"', "'", "#",
]  # fmt: skip
BROKEN = ["first\nsecond", "a\n\nb", "a\r\nb", "ends\n", "\n"]
WRITTEN = {}
LABELS = ["no", "yes, indeed", 'a "b"']


def text_of(rng, raw):
    pool = FRAGMENTS if raw else FRAGMENTS + BROKEN + ["a\tb"]
    return " ".join(rng.choices(pool, k=rng.randint(1, 3)))


def rows_of(rng, raw):
    """(header, rows) of a table with a text and perhaps a pair, an id, a label, in any order."""
    header = ["text", *(name for name in ("pair", "id", "label") if rng.random() < 0.5)]
    rng.shuffle(header)
    rows = []
    for i in range(rng.randint(2, 8)):
        row = {name: text_of(rng, raw) for name in header}
        row["id"] = rng.choice([f"r{i}", f"{7 * i}", f'"{i}" of x'])
        row["label"] = rng.choice(LABELS)
        rows.append([row[name] for name in header])
    return header, rows


def serialize(rng, kind, header, rows):
    """(content, the line that each row begins in)."""
    end = rng.choice(["\n", "\r\n"])
    parts = []
    for row in [header, *rows]:
        if kind == "jsonl":
            if not parts:
                parts.append("")
                continue
            ascii_only = rng.random() < 0.5
            pairs = list(zip(header, row, strict=True))
            rng.shuffle(pairs)
            parts.append(json.dumps(dict(pairs), ensure_ascii=ascii_only) + end)
        elif kind == "raw.tsv":
            parts.append("\t".join(row) + end)
        else:
            out = io.StringIO(newline="")
            csv.writer(
                out, delimiter="\t" if kind.endswith("tsv") else ",", lineterminator=end,
                quoting=csv.QUOTE_ALL if "all" in kind else csv.QUOTE_MINIMAL,
            ).writerow(row)  # fmt: skip
            parts.append(out.getvalue())
    starts = np.cumsum([1, *(part.count("\n") for part in parts)])
    text = "".join(parts)
    if rng.random() < 0.3 and not text.endswith(('"' + end, end + end)):
        text = text.removesuffix(end)
    bom = "\ufeff" if rng.random() < 0.2 else ""
    return (bom + text).encode(), starts[1:-1].tolist()


DAMAGES = [
    (b"\0", "found a NUL byte"),
    (b"\xff", "found byte 0xff"),
    (b"\tone cell more", "columns: found"),
]


def score(text):
    return sum(map(ord, text)) % len(LABELS)


def answers(task, folder):
    """The rows (dict) of test_results_labels.tsv."""
    examples = task.read(None, "test")
    logits = np.zeros([len(examples), len(LABELS)], np.float32)
    pairs = examples.text_b or [""] * len(examples)
    for i, (a, b) in enumerate(zip(examples.text_a, pairs, strict=True)):
        logits[i, score(a + b)] = 1
    evaluation.write_predictions(folder, logits, task, numbers=examples.numbers)
    assert len(WRITTEN["test_results.tsv"].splitlines()) == len(examples)
    table = io.StringIO(WRITTEN["test_results_labels.tsv"], newline="")
    return list(csv.DictReader(table, delimiter="\t"))


def task_of(path, header, rng):
    named = path.suffix == ".jsonl" or rng.random() < 0.7
    columns = {
        flag: header.index(name) if not named else name
        for flag, name in (("text_column", "text"), ("text_pair_column", "pair"),
                           ("label_column", "label"), ("id_column", "id"))
        if name in header
    }  # fmt: skip
    task = custom_task(dev_file=path, test_file=path, labels=LABELS, **columns)
    return task, named


def expected_answers(header, rows, lines):
    found = []
    for i, (row, line) in enumerate(zip(rows, lines, strict=True)):
        cells = dict(zip(header, row, strict=True))
        label = LABELS[score(cells["text"] + cells.get("pair", ""))]
        found.append({"index": cells.get("id", str(i)), "prediction": label, "line": str(line)})
    return found


KINDS = ["raw.tsv", "minimal.tsv", "all.tsv", "minimal.csv", "all.csv", "jsonl"]


def make(rng, folder):
    """(task, header, rows, lines, content, path) of a random file."""
    kind = rng.choice(KINDS)
    header, rows = rows_of(rng, kind == "raw.tsv")
    if kind == "raw.tsv" and any(cell.startswith('"') for row in rows for cell in row):
        # Files without quoting have quotes in other places, too, as GLUE's do.
        rows[rng.randrange(len(rows))][header.index("text")] = 'so "it" goes'
    content, lines = serialize(rng, kind, header, rows)
    path = folder / f"test.{kind.split('.')[-1]}"
    task, named = task_of(path, header, rng)
    if not named:
        start = content.index(b"\n") + 1
        content, lines = content[start:], [line - 1 for line in lines]
    path.write_bytes(content)
    return task, header, rows, lines, kind


@pytest.fixture(autouse=True)
def written(monkeypatch):
    """Results stay in memory: writing thousands of files takes longer than all else."""
    monkeypatch.setattr(
        evaluation.files, "write_text", lambda path, text: WRITTEN.update({path.name: text})
    )


def test_every_row_is_answered_under_its_own_number(tmp_path):
    rng, refused = random.Random(7), 0
    for number in range(2000):
        task, header, rows, lines, kind = make(rng, tmp_path)
        try:
            found = answers(task, tmp_path)
        except UserError as e:
            # Without other columns, or a header, it may not be certain what quotes hold together.
            assert kind.endswith(".tsv"), (number, str(e))
            assert len(header) == 1 or task.text_column.isdecimal(), (number, str(e))
            assert re.search(r"test\.tsv:\d+: a quote begins here", str(e))
            refused += 1
            continue
        assert found == expected_answers(header, rows, lines), (number, kind, header, rows)
        if "label" in header:
            labels = task.read(None, "dev").labels
            expected = [LABELS.index(row[header.index("label")]) for row in rows]
            assert labels.tolist() == expected
    assert refused < 60


def test_damaged_rows_are_named(tmp_path):
    rng = random.Random(11)
    for number in range(300):
        task, _, _, lines, kind = make(rng, tmp_path)
        damage, message = rng.choice(DAMAGES if kind == "raw.tsv" else DAMAGES[:2])
        path, line = dict(task.files)["test"], rng.choice(lines)
        content = path.read_bytes().split(b"\n")
        content[line - 1] = content[line - 1].removesuffix(b"\r") + damage
        path.write_bytes(b"\n".join(content))
        with pytest.raises(UserError) as error:
            answers(task, tmp_path)
        assert re.match(rf"{re.escape(str(path))}:\d+: ", str(error.value)), number
        assert message in str(error.value)
        if message != "columns: found":  # of a file without header the first row tells how many
            assert str(error.value).startswith(f"{path}:{line}: ")
