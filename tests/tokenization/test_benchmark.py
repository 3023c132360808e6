"""benchmarks/tokenize.py runs as a script, and its name does not harm the scripts beside it."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_measures_equal_work(golden_vocab, tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("sentence\tlabel\nhello world\t1\nthis is café\t0\n", "utf-8")
    output = run(
        ROOT / "benchmarks" / "tokenize.py",
        f"--vocab_file={golden_vocab.path}",
        f"--data_file={data}",
        "--rounds=1",
    )
    assert "2 rows equal" in output
    assert "ratio" in output
    assert "TensorFlow" in output


def test_scripts_of_the_folder_get_the_tokenize_of_python():
    folder = str(ROOT / "benchmarks")
    program = (
        f"import sys; sys.path.insert(0, {folder!r}); sys.modules.pop('tokenize', None);"
        "import tokenize; print(tokenize.__file__)"
    )
    assert not run("-c", program).startswith(folder)
