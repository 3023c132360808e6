"""benchmarks.tokenizer compares the tokenizer with plain Python on equal work."""

import subprocess
import sys

from tests import tiny


def test_measures_equal_work(golden_vocab, tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("sentence\tlabel\nhello world\t1\nthis is café\t0\n", "utf-8")
    command = [sys.executable, "-m", "benchmarks.tokenizer", "--rounds=1"]
    command += [f"--vocab_file={golden_vocab.path}", f"--data_file={data}"]
    done = subprocess.run(
        command, env=tiny.environment(), capture_output=True, text=True, timeout=300, check=True
    )
    assert "2 rows equal" in done.stdout
    assert "ratio" in done.stdout
    assert "TensorFlow" in done.stdout
