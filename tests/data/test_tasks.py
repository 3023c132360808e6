import numpy as np
import pytest

from bert_tf.data.documents import DocumentTask
from bert_tf.data.tasks import TASK_NAMES, get_task, task_from_json
from bert_tf.errors import UserError

PARSES = "sentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse"
MNLI = f"index\tpromptID\tpairID\tgenre\t{PARSES}\tsentence1\tsentence2"
STSB = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2"
SST = "sentence\tlabel"
RTE = "index\tsentence1\tsentence2\tlabel"
QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
XNLI = f"language\tgold_label\t{PARSES}\tsentence1\tsentence2\tpromptID"
MRPC = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"


def lines(*rows):
    return "".join(row + "\n" for row in rows)


def mnli_row(index, label=None):
    row = f"{index}\t3\t3c\tfiction\t( a )\t( b )\t(R a)\t(R b)\ta {index}\tb {index}"
    return row if label is None else f"{row}\tneutral\t{label}"


def stsb_row(index, score=None):
    row = f"{index}\tnews\tf\t2012\t000{index}\tnone\tnone\ta {index}\tb {index}"
    return row if score is None else f"{row}\t{score}"


def xnli_row(language, label, index):
    return f"{language}\t{label}\t\t\t\t\ta {index}\tb {index}\t7"


# task: ({file: content}, {split: (text_a, text_b, labels)})
LAYOUTS = {
    "cola": (
        {
            "train.tsv": lines("gj04\t1\t\tgood one", "gj04\t0\t*\tbad one"),
            "dev.tsv": lines("gj04\t1\t\tfine"),
            "test.tsv": lines("index\tsentence", "0\tunknown"),
        },
        {
            "train": (["good one", "bad one"], None, [1, 0]),
            "dev": (["fine"], None, [1]),
            "test": (["unknown"], None, None),
        },
    ),
    "sst-2": (
        {
            "train.tsv": lines(SST, "a 'fine' film \t1", "dull \t0"),
            "dev.tsv": lines(SST, "dull\t0"),
            "test.tsv": lines("index\tsentence", "0\tthe text", "1\tanother"),
        },
        {
            "train": (["a 'fine' film ", "dull "], None, [1, 0]),
            "dev": (["dull"], None, [0]),
            "test": (["the text", "another"], None, None),
        },
    ),
    "mnli": (
        {
            "train.tsv": lines(
                f"{MNLI}\tlabel1\tgold_label",
                mnli_row(0, "neutral"),
                mnli_row(1, "-"),
                mnli_row(2, "contradiction"),
            ),
            "dev_matched.tsv": lines(f"{MNLI}\tlabel1\tgold_label", mnli_row(0, "entailment")),
            "dev_mismatched.tsv": lines(f"{MNLI}\tlabel1\tgold_label", mnli_row(5, "neutral")),
            "test_matched.tsv": lines(MNLI, mnli_row(0)),
            "test_mismatched.tsv": lines(MNLI, mnli_row(6)),
        },
        {
            "train": (["a 0", "a 2"], ["b 0", "b 2"], [2, 0]),
            "dev_matched": (["a 0"], ["b 0"], [1]),
            "dev_mismatched": (["a 5"], ["b 5"], [2]),
            "test_matched": (["a 0"], ["b 0"], None),
            "test_mismatched": (["a 6"], ["b 6"], None),
        },
    ),
    "mrpc": (
        {
            "train.tsv": lines("\ufeff" + MRPC, "1\t7\t8\tone\ttwo", '0\t9\t10\t"three\tfour'),
            "dev.tsv": lines("\ufeff" + MRPC, "0\t1\t2\ta\tb"),
            "test.tsv": lines(MRPC.replace("Quality", "index"), "0\t3\t4\tc\td"),
        },
        {
            "train": (["one", '"three'], ["two", "four"], [1, 0]),
            "dev": (["a"], ["b"], [0]),
            "test": (["c"], ["d"], None),
        },
    ),
    "qnli": (
        {
            "train.tsv": lines("index\tquestion\tsentence\tlabel", "0\twho?\the\tentailment"),
            "dev.tsv": lines("index\tquestion\tsentence\tlabel", "0\twhy?\tno\tnot_entailment"),
            "test.tsv": lines("index\tquestion\tsentence", "0\twhen?\tnow"),
        },
        {
            "train": (["who?"], ["he"], [1]),
            "dev": (["why?"], ["no"], [0]),
            "test": (["when?"], ["now"], None),
        },
    ),
    "qqp": (
        {
            "train.tsv": lines(
                QQP,
                "broken by a line end\t1",
                *(f"{i}\t1\t2\tq{i}\tr{i}\t{i % 2}" for i in range(200)),
            ),
            "dev.tsv": lines(QQP, "7\t1\t2\tqa\tqb\t1"),
            "test.tsv": lines("id\tquestion1\tquestion2", "3\tqc\tqd"),
        },
        {
            "train": (
                [f"q{i}" for i in range(200)],
                [f"r{i}" for i in range(200)],
                [0, 1] * 100,
            ),
            "dev": (["qa"], ["qb"], [1]),
            "test": (["qc"], ["qd"], None),
        },
    ),
    "rte": (
        {
            "train.tsv": lines(RTE, "0\ta\tb\tnot_entailment"),
            "dev.tsv": lines(RTE, "0\tc\td\tentailment"),
            "test.tsv": lines("index\tsentence1\tsentence2", "0\te\tf"),
        },
        {
            "train": (["a"], ["b"], [0]),
            "dev": (["c"], ["d"], [1]),
            "test": (["e"], ["f"], None),
        },
    ),
    "sts-b": (
        {
            "train.tsv": lines(f"{STSB}\tscore", stsb_row(0, "5.000"), stsb_row(1, "0")),
            "dev.tsv": lines(f"{STSB}\tscore", stsb_row(2, "2.75")),
            "test.tsv": lines(STSB, stsb_row(3)),
        },
        {
            "train": (["a 0", "a 1"], ["b 0", "b 1"], [5.0, 0.0]),
            "dev": (["a 2"], ["b 2"], [2.75]),
            "test": (["a 3"], ["b 3"], None),
        },
    ),
    "wnli": (
        {
            "train.tsv": lines(RTE, "0\ta\tb\t1"),
            "dev.tsv": lines(RTE, "0\tc\td\t0"),
            "test.tsv": lines("index\tsentence1\tsentence2", "0\te\tf"),
        },
        {
            "train": (["a"], ["b"], [1]),
            "dev": (["c"], ["d"], [0]),
            "test": (["e"], ["f"], None),
        },
    ),
    "xnli": (
        {
            "multinli/multinli.train.zh.tsv": lines(
                "premise\thypo\tlabel", "前提\t假设\tcontradictory", "a\tb\tneutral"
            ),
            "xnli.dev.tsv": lines(
                XNLI, xnli_row("ar", "neutral", 1), xnli_row("zh", "contradiction", 2)
            ),
            "xnli.test.tsv": lines(
                XNLI, xnli_row("zh", "neutral", 3), xnli_row("ar", "neutral", 4)
            ),
        },
        {
            "train": (["前提", "a"], ["假设", "b"], [0, 2]),
            "dev": (["a 2"], ["b 2"], [0]),
            "test": (["a 3"], ["b 3"], None),
        },
    ),
}
LAYOUTS["mnli-mm"] = LAYOUTS["mnli"]


def write_files(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="")


# Those of documents have a test file of their own.
SENTENCE_TASKS = [name for name in TASK_NAMES if not isinstance(get_task(name), DocumentTask)]


@pytest.mark.parametrize("name", SENTENCE_TASKS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_original_layout(tmp_path, name, newline):
    files, expected = LAYOUTS[name]
    write_files(tmp_path, {k: v.replace("\n", newline) for k, v in files.items()})
    task = get_task(name)
    assert set(task.splits) == set(expected)
    for split, (text_a, text_b, labels) in expected.items():
        examples = task.read(tmp_path, split)
        assert examples.text_a == text_a
        assert examples.text_b == text_b
        assert len(examples.ids) == len(examples) == len(text_a)
        if labels is None:
            assert examples.labels is None
        else:
            assert examples.labels.tolist() == labels
            assert examples.labels.dtype == (np.float32 if task.labels is None else np.int32)


def test_order_of_mnli_splits():
    assert get_task("MNLI").dev_splits == ("dev_matched", "dev_mismatched")
    assert get_task("mnli-mm").dev_splits == ("dev_mismatched", "dev_matched")
    assert get_task("mnli").test_splits == ("test_matched", "test_mismatched")


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("SST2", "sst-2"),
        ("stsb", "sts-b"),
        ("STS_B", "sts-b"),
        ("mnli_mismatched", "mnli-mm"),
        ("ag_news", "ag"),
        ("AGNews", "ag"),
        ("yelp_p", "yelp-p"),
        ("yelp-polarity", "yelp-p"),
        ("yelp_full", "yelp-f"),
    ],
)
def test_names_and_aliases(alias, name):
    assert get_task(alias).name == name


def test_unknown_task_lists_all():
    with pytest.raises(UserError) as error:
        get_task("snips")
    assert "--task_name=snips" in str(error.value)
    assert all(name in str(error.value) for name in [*TASK_NAMES, "custom"])


@pytest.mark.parametrize("name", TASK_NAMES)
def test_json_round_trip(name):
    task = get_task(name, language="ar")
    assert task_from_json({**task.to_json(), "max_seq_length": 12}) == task


def test_json_keeps_the_order_of_labels(tmp_path):
    write_files(tmp_path, LAYOUTS["rte"][0])
    task = task_from_json({"task_name": "rte", "labels": ["entailment", "not_entailment"]})
    assert task.read(tmp_path, "train").labels.tolist() == [1]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "no task_name"),
        ({"task_name": "rte", "labels": ["yes", "no"]}, "the labels of task rte are"),
        ({"task_name": "rte", "labels": None}, "the labels of task rte are"),
        ({"task_name": "rte", "labels": "ab"}, "labels must be a list"),
        ({"task_name": "nothing"}, "unknown task"),
    ],
)
def test_bad_json(value, message):
    with pytest.raises(UserError, match=message):
        task_from_json(value)


def test_mrpc_corpus_files_with_dev_ids(tmp_path):
    write_files(
        tmp_path,
        {
            "msr_paraphrase_train.txt": lines(
                "\ufeff" + MRPC, "1\t1\t2\ta\tb", "0\t3\t4\tc\td", "1\t5\t6\te\tf"
            ),
            "msr_paraphrase_test.txt": lines("\ufeff" + MRPC, "1\t7\t8\tg\th"),
            "dev_ids.tsv": lines("3\t4"),
        },
    )
    task = get_task("mrpc")
    assert task.read(tmp_path, "train").text_a == ["a", "e"]
    assert task.read(tmp_path, "dev").text_b == ["d"]
    assert task.read(tmp_path, "dev").labels.tolist() == [0]
    assert task.read(tmp_path, "test").text_a == ["g"]
    (tmp_path / "dev_ids.tsv").unlink()
    assert task.read(tmp_path, "train").text_a == ["a", "c", "e"]
    dev = task.read(tmp_path, "dev")
    assert (dev.text_a, dev.labels.tolist()) == (["g"], [1])
    assert dev.source.endswith("msr_paraphrase_test.txt")


def test_a_split_without_examples_is_refused(tmp_path):
    header = f"{MNLI}\tlabel1\tgold_label"
    write_files(tmp_path, {"train.tsv": lines(header, mnli_row(0, "-"))})
    with pytest.raises(UserError, match=r"train\.tsv: no rows are left"):
        get_task("mnli").read(tmp_path, "train")


def test_empty_texts_are_kept_and_counted(tmp_path):
    write_files(tmp_path, {"train.tsv": lines(SST, "\t1", " \t0", "x\t0")})
    examples = get_task("sst-2").read(tmp_path, "train")
    assert (len(examples), examples.empty_texts) == (3, 2)


def test_slices_are_examples(tmp_path):
    write_files(tmp_path, LAYOUTS["qqp"][0])
    part = get_task("qqp").read(tmp_path, "train")[:3]
    assert (part.text_b, part.labels.tolist()) == (["r0", "r1", "r2"], [0, 1, 0])


@pytest.mark.parametrize(
    ("task", "content", "row", "message"),
    [
        ("sst-2", [SST, "a\t1", "b\t2"], 3, "unknown label '2', expected one of 0, 1"),
        ("sst-2", [SST, "a\t1", "b"], 3, "found 1 of at least 2 columns"),
        ("sst-2", ["fine film\t1", "b\t0"], 1, "the header is missing"),
        ("sst-2", ["sentence\tlabels", "b\t0"], 1, "no column 'label'"),
        ("cola", ["gj\t1\t\ta", "gj\tx\t\tb"], 2, "unknown label 'x'"),
        ("cola", ["gj\t1\t\ta", "", "gj\t1\t\tb"], 2, "the line is blank, .*: delete it"),
        ("rte", [RTE, "0\ta\tb"], 2, "found 3 of at least 4 columns"),
        ("sts-b", [f"{STSB}\tscore", stsb_row(0, "high")], 2, "score 'high', expected"),
        ("sts-b", [f"{STSB}\tscore", stsb_row(0, "nan")], 2, "score 'nan', expected"),
        ("sts-b", [f"{STSB}\tscore", stsb_row(0, "5.1")], 2, "from 0.0 to 5.0"),
        ("sts-b", [f"{STSB}\tscore", stsb_row(0, "")], 2, "score '', expected"),
        ("xnli", ["a\tb\tneutral", "a\tb\tneutral"], 1, "the header is missing"),
        ("qqp", [QQP, "1\t2\t3\ta\tb\t1", "half a row"], 3, "found 1 of 6 columns"),
    ],
)
def test_bad_rows(tmp_path, task, content, row, message):
    file = "multinli/multinli.train.zh.tsv" if task == "xnli" else "train.tsv"
    write_files(tmp_path, {file: lines(*content)})
    with pytest.raises(UserError, match=message) as error:
        get_task(task).read(tmp_path, "train")
    assert str(error.value).startswith(f"{tmp_path / file}:{row}: ")


def test_missing_files_folders_splits_and_languages(tmp_path):
    with pytest.raises(UserError, match=r"train\.tsv: no such file: task sst-2 reads train\.tsv"):
        get_task("sst-2").read(tmp_path, "train")
    with pytest.raises(UserError, match=r"--data_dir=.*: no such folder"):
        get_task("mrpc").read(tmp_path / "absent", "train")
    with pytest.raises(UserError, match="no split 'dev', expected one of train, dev_matched"):
        get_task("mnli").read(tmp_path, "dev")
    write_files(tmp_path, LAYOUTS["xnli"][0])
    with pytest.raises(UserError, match="no row with language 'sw'"):
        get_task("xnli", language="sw").read(tmp_path, "dev")
    with pytest.raises(UserError, match=r"--xnli_language=../x"):
        get_task("xnli", language="../x")


def test_files_without_the_column_of_ids(tmp_path, caplog):
    rows = "a\tb\tentailment\t7\nc\td\tnot_entailment\t5\n"
    header = "sentence1\tsentence2\tlabel\t"
    (tmp_path / "train.tsv").write_text(f"{header}more\n{rows}")
    assert get_task("rte").read(tmp_path, "train").labels.tolist() == [1, 0]
    (tmp_path / "test.tsv").write_text(f"{header}idx\n{rows}")
    assert list(get_task("rte").read(tmp_path, "test").ids) == ["7", "5"]
    assert not caplog.text
    (tmp_path / "test.tsv").write_text(f"{header}more\n{rows}")
    assert list(get_task("rte").read(tmp_path, "test").ids) == ["0", "1"]
    assert "test.tsv: has no column 'index': its rows are numbered from 0" in caplog.text
