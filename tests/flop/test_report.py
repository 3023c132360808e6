"""The per-layer report of a pruned model."""

import numpy as np
import pytest

from flop import report
from flop.report import KernelRow, Totals

KINDS = {
    "attention/self/query": (768, 768),
    "attention/self/key": (768, 768),
    "attention/self/value": (768, 768),
    "attention/output/dense": (768, 768),
    "intermediate/dense": (768, 3072),
    "output/dense": (3072, 768),
}
# Ranks of the published pruned BERT-Base, layers 0 to 11 (specification, section e).
PUBLISHED = [
    [268, 232, 208, 203, 212, 230, 214, 171, 168, 123, 71, 43],
    [233, 203, 194, 201, 207, 230, 218, 178, 195, 153, 63, 48],
    [427, 390, 460, 482, 390, 376, 402, 322, 290, 180, 153, 146],
    [418, 368, 367, 382, 370, 397, 414, 337, 246, 164, 107, 84],
    [412, 474, 469, 526, 515, 476, 432, 342, 216, 18, 3, 1],
    [280, 296, 303, 315, 288, 246, 200, 116, 66, 21, 22, 5],
]


def published_rows(merge_dense, layers=12):
    return [
        KernelRow.of(f"bert/encoder/layer_{i}/{kind}", *shape, shape[0], ranks[i], merge_dense)
        for i in range(layers)
        for (kind, shape), ranks in zip(KINDS.items(), PUBLISHED, strict=True)
    ]


def test_counts_of_the_published_model():
    apart, merged = published_rows(False), published_rows(True)
    assert Totals.of(apart) == Totals(dense=84_934_656, before=233_570_304, after=41_538_048)
    assert Totals.of(apart).after - Totals.of(merged).after == 497_664
    assert [row.form for row in merged].count("dense") == 9


def test_table():
    rows = [
        KernelRow.of("bert/encoder/layer_0/output/dense", 3072, 768, 768, 280),
        KernelRow.of("bert/encoder/layer_0/intermediate/dense", 768, 3072, 768, 0),
        KernelRow.of("bert/encoder/layer_1/attention/self/query", 768, 768, 768, 400),
        KernelRow.of("bert/encoder/layer_1/attention/self/key", 768, 768),
    ]
    lines = [" ".join(line.split()) for line in report.table(rows).splitlines()]
    assert lines[1] == "layer_0/output/dense 3072 x 768 768 -> 280 factorized 1,075,200 45.6%"
    assert lines[2] == "layer_0/intermediate/dense 768 x 3072 768 -> 0 bias only 0 0.0%"
    assert lines[3].endswith(" 768 -> 400 dense 589,824 100.0%")
    assert lines[4] == "layer_1/attention/self/key 768 x 768 dense 589,824 100.0%"
    assert report.table(rows).splitlines()[-1] == (
        "4 kernels (1 factorized, 2 dense, 1 bias only): 2,254,848 parameters, 38.2% of 5,898,240"
        " dense ones, 29.4% of 7,667,712 before"
    )


def test_table_of_a_model_that_is_not_a_stack():
    rows = [KernelRow.of(name, 8, 4, 4, 1) for name in ("dense", "mlp/dense_1")]
    assert [line.split()[0] for line in report.table(rows).splitlines()[1:-1]] == [
        "dense",
        "mlp/dense_1",
    ]
    assert "4 -> 0" in report.table([KernelRow.of("a/b/dense", 8, 4, 4, 0)])


@pytest.mark.parametrize("layers", [1, 6, 12])
def test_image_of_a_stack_of_layers_grows_with_it(layers):
    image = report.ranks_image(published_rows(True, layers))
    assert image.dtype == np.uint8 and image.shape[2] == 3
    assert image.shape[0] >= 40 * layers and len(np.unique(image.reshape(-1, 3), axis=0)) > 50


def test_image_shows_the_ranks():
    rows = [KernelRow.of(f"dense_{i}", 64, 64, 64, 8) for i in range(3)]
    fewer = [*rows[:2], KernelRow.of("dense_2", 64, 64, 64, 4)]
    assert (report.ranks_image(rows) == report.ranks_image(rows)).all()
    assert (report.ranks_image(rows) != report.ranks_image(fewer)).any()
    stack, cut = published_rows(True), published_rows(True)
    cut[30] = KernelRow.of(cut[30].name, cut[30].d_in, cut[30].d_out, 768, 0)
    assert (report.ranks_image(stack) != report.ranks_image(cut)).any()


def test_image_file(tmp_path):
    report.save_ranks_image(tmp_path / "no_suffix", published_rows(False, 2))
    assert (tmp_path / "no_suffix").read_bytes().startswith(b"\x89PNG")
