"""The page is one file whose tables hold the numbers of the runs, whatever the runs are called."""

import dataclasses
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from bert_tf.errors import UserError
from bert_tf.report import plot, program
from bert_tf.report.options import ReportOptions
from tests import tiny
from tests.report import made

HOSTILE = "<script>alert(1)</script> & \"q\" 'a' |*_`x`[l](u)"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# Clicks a heading twice and leaves what the table then says in the page.
CLICKS = """<script>
var said = {};
function column(title) {
  return Array.from(document.querySelectorAll('#runs th')).findIndex(function (head) {
    return head.textContent === title;
  });
}
function read(title) {
  return Array.from(document.querySelectorAll('#runs tbody tr')).map(function (row) {
    return row.cells[column(title)].textContent;
  });
}
said.before = read('run');
['training', 'run'].forEach(function (title) {
  var button = document.querySelectorAll('#runs th')[column(title)].querySelector('button');
  button.click();
  said[title + ' up'] = read(title);
  button.click();
  said[title + ' down'] = read(title);
});
said.points = document.querySelectorAll('figure svg title').length;
document.body.textContent = JSON.stringify(said);
</script>"""


class Page(html.parser.HTMLParser):
    """The tables of a page, as lists of rows of texts, and every address that it names."""

    def __init__(self, path):
        super().__init__()
        self.tables, self.addresses, self.scripts, self.titles = {}, [], 0, []
        self._table = self._tag = None
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [x for k, x in attributes.items() if k in ("src", "href", "xlink:href")]
        self.scripts += tag == "script"
        self._tag = tag
        if tag == "table":
            self._table = self.tables.setdefault(attributes["id"], [])
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
        elif tag == "title":
            self.titles.append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self._table = None
        self._tag = None if tag in ("title", "script", "style") else self._tag

    def handle_data(self, data):
        if self._tag == "title":
            self.titles[-1] += data
        elif self._table and self._table[-1]:
            self._table[-1][-1] += data

    def rows(self, table="runs"):
        """{first cell: {heading: cell}}; of headings of one name the first counts."""
        heads, *lines = self.tables[table]
        return {line[0]: dict(zip(heads[::-1], line[::-1], strict=True)) for line in lines}


def report(*paths, **flags):
    flags = {k: str(v) for k, v in flags.items()}
    return program.run(ReportOptions(given=frozenset(flags), runs=tuple(map(str, paths)), **flags))


@pytest.fixture
def runs(tmp_path):
    return made.several(tmp_path / "runs")


def test_the_tables_hold_the_numbers(tmp_path, runs):
    said = report(runs, output_file=tmp_path / "page.html")
    assert said.startswith("6 entries: ") and "1 unreadable" in said and "2 unfinished" in said
    page = Page(tmp_path / "page.html")
    found = page.rows()
    assert list(found) == ["frozen", "dense", "small"]  # the best first
    small = found["small"]
    wanted = {
        "levers": "pruned + teacher", "task": "sst-2", "metric": "accuracy", "value": "0.8800",
        "to dense": "-0.0200", "parameters": "1,000,000", "of dense": "0.50x", "MB": "4.0",
        "latency, ms": "20.0", "training": "0:01:00", "batch x length": "8 x 128",
    }  # fmt: skip
    assert {name: small[name] for name in wanted} == wanted
    missing = ("training", "latency, ms")
    assert [found["frozen"][name] for name in missing] == ["\N{EN DASH}"] * 2
    others = page.rows("others")
    assert {name: x["state"] for name, x in others.items()} == {
        "begun": "unfinished", "killed": "unfinished", "broken": "unreadable",
    }  # fmt: skip
    commands = page.rows("commands")
    assert commands["dense"]["command"] == "run_classifier.py --do_train=true"
    assert commands["dense"]["machine"] == "A processor, 2 cores"
    assert "--freeze_layers=1" in commands["frozen"]["command"]
    assert "(rebuilt from its flags)" in commands["frozen"]["command"]
    # Three plots: all runs have a size, two a latency, two a time.
    assert len(page.titles) == 1 + 3 + 2 + 2


def test_runs_of_other_data_have_plots_of_their_own(tmp_path):
    for name in ("a", "b"):
        flags = {"train_file": f"{name}/train.txt", "dev_file": f"/sets/{name}/dev.txt"}
        made.run(tmp_path / "runs" / name, flags, task="tagging", metric="f1",
                 metrics={"dev": {"f1": 0.5, "accuracy": 0.9}})  # fmt: skip
    report(tmp_path / "runs", output_file=tmp_path / "page.html")
    page, text = Page(tmp_path / "page.html"), (tmp_path / "page.html").read_text("utf-8")
    assert [row["data"] for row in page.rows().values()] == ["a/dev.txt", "b/dev.txt"]
    assert {(row["metric"], row["value"]) for row in page.rows().values()} == {("f1", "0.5000")}
    for name in ("a", "b"):
        assert f"<h2>tagging f1 on dev of {name}/dev.txt</h2>" in text


def test_the_page_needs_nothing_else(tmp_path, runs):
    report(runs, output_file=tmp_path / "page.html")
    page, text = Page(tmp_path / "page.html"), (tmp_path / "page.html").read_text("utf-8")
    assert page.addresses == [] and page.scripts == 1
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in text


def test_names_are_text_wherever_they_stand(tmp_path):
    folder = tmp_path / "runs" / HOSTILE.replace("/", "\u2044")
    made.run(
        folder, command=HOSTILE, task=HOSTILE, environment={"cpu": HOSTILE, "cores": "\0\ud800"}
    )
    made.run(tmp_path / "runs" / "x", metrics={"dev": {HOSTILE: 1}}, metric=HOSTILE, task="\x1b[0m")
    broken = tmp_path / "runs" / "b\n|"
    broken.mkdir()
    (broken / "results.json").write_text("<b>")
    report(
        tmp_path / "runs", output_file=tmp_path / "page.html", markdown=tmp_path / "page.md",
        title=HOSTILE,
    )  # fmt: skip
    page = Page(tmp_path / "page.html")
    assert page.scripts == 1
    assert page.titles[0] == HOSTILE
    assert folder.name in page.rows()
    assert page.rows("commands")[folder.name]["command"] == HOSTILE
    text = (tmp_path / "page.md").read_text("utf-8")
    assert "<script" not in text.replace(f"`` {HOSTILE} ``".replace("|", "\\|"), "")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in tables}) <= 3  # one of each table


def test_markdown_has_the_same_numbers(tmp_path, runs):
    report(runs, output_file=tmp_path / "page.html", markdown=tmp_path / "page.md")
    lines = (tmp_path / "page.md").read_text("utf-8").splitlines()
    first = lines.index("## Runs")
    cells = [
        [cell.strip().replace("\\", "").strip("*") for cell in line.strip("|").split("|")]
        for line in lines[first + 2 : first + 7]
    ]
    heads, _, *rows = cells
    page = Page(tmp_path / "page.html").tables["runs"]
    assert [heads, *rows] == [[cell.strip() for cell in row] for row in page]
    assert "| broken | unreadable |" in "\n".join(lines)


def test_many_runs_make_a_page_of_less_than_two_megabytes(tmp_path):
    options = {f"flag{i}": "x" * 20 for i in range(80)}
    for i in range(500):
        made.run(
            tmp_path / "runs" / f"run{i}", {**options, "freeze_layers": i % 5}, megabytes=None,
            metrics={"dev": {"accuracy": 0.8 + i / 5000}},
        )  # fmt: skip
    report(tmp_path / "runs", output_file=tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 2e6
    assert len(Page(tmp_path / "page.html").rows()) == 500


def test_runs_that_can_not_be_compared(tmp_path):
    made.run(tmp_path / "runs" / "one", {"freeze_layers": 1}, metrics=None, megabytes=None)
    report(tmp_path / "runs" / "one", output_file=tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert "value" not in page.tables["runs"][0]
    assert page.titles == ["Runs"]  # no plot
    killed = made.write(tmp_path / "runs" / "two" / "training_state.json", {"step": 1})
    report(killed.parent, output_file=tmp_path / "page.html", markdown=tmp_path / "page.md")
    assert list(Page(tmp_path / "page.html").rows("others")) == ["two"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"runs": ()}, "name the runs"),
        ({"output_file": "latency.json"}, "latency.json: is a run of the report, which would be"),
        ({"markdown": "./page.html"}, r"--markdown=\./page.html: is the page's file, too"),
        ({"baseline": "killed"}, "--baseline=killed: has no metric to compare with"),
    ],
)
def test_flags_that_cannot_be(runs, monkeypatch, flags, message):
    monkeypatch.chdir(runs)
    options = ReportOptions(runs=("dense", "killed", "latency.json"), output_file="page.html")
    with pytest.raises(UserError, match=message):
        program.run(dataclasses.replace(options, **flags))
    assert not pathlib.Path("page.html").exists()


@pytest.mark.parametrize(
    ("xs", "ys"),
    [
        ([1], [1]),
        ([0, 0], [5, 5]),
        ([1, 1000], [0, 1e-9]),
        ([1e14, 2], [-1, 1e14]),
        ([-5, 3], [0, 0]),
    ],
)
def test_points_lie_within_their_picture(xs, ys):
    points = [plot.Point(x, y, i, "p", True) for i, (x, y) in enumerate(zip(xs, ys, strict=True))]
    svg = plot.scatter(points, "x", "y")
    for name, most in (("cx", 440), ("cy", 300)):
        places = [float(x) for x in re.findall(rf'{name}="([^"]+)"', svg)]
        assert len(places) == 2 * len(xs)
        assert all(0 <= place <= most for place in places)


def test_series_look_different():
    looks = {plot.marker(i) for i in range(40)}
    assert len(looks) == 40


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_shows_and_sorts_it(tmp_path, runs):
    report(runs, output_file=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8").replace("</body>", CLICKS + "</body>")
    (tmp_path / "clicked.html").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "clicked.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said = json.loads(re.search(r"<body[^>]*>(.*)</body>", done.stdout, re.DOTALL)[1])
    assert said["before"] == ["frozen", "dense", "small"]
    assert said["run up"] == ["dense", "frozen", "small"]
    assert said["run down"] == ["small", "frozen", "dense"]
    missing = "\N{EN DASH}"
    assert said["training up"] == ["0:01:00", "0:02:00", missing]
    assert said["training down"] == ["0:02:00", "0:01:00", missing]
    assert said["points"] == 7


def test_the_command(tmp_path, runs):
    """Runs and flags in any order; without a run one line says what is missing."""
    command = [sys.executable, "report.py"]
    page = tmp_path / "page.html"
    done = subprocess.run(
        [*command, str(runs / "dense"), f"--output_file={page}", str(runs / "small")],
        cwd=tiny.ROOT, env=tiny.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"2 entries: 2 fine-tuning\nWritten to {page}\n"
    assert list(Page(page).rows()) == ["dense", "small"]
    done = subprocess.run(
        [*command, "--markdown=x.md"],
        cwd=tiny.ROOT, env=tiny.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr[:22]) == (1, "error: name the runs: ")
