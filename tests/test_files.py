"""Small files: written whole or not at all."""

import pytest

from bert_tf import files
from bert_tf.errors import UserError


def test_json_holds_no_number_that_is_not_finite(tmp_path):
    files.write_json(tmp_path / "results.json", {"loss": 0.5})
    with pytest.raises(UserError, match=r"results\.json: not written: a number .* not finite"):
        files.write_json(tmp_path / "results.json", {"loss": float("nan")})
    assert files.read_json(tmp_path / "results.json", "results") == {"loss": 0.5}
