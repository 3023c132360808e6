"""Options of report.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.options import check_table, option, refuse_if

_REPORT = "Report"


@dataclasses.dataclass(kw_only=True)
class ReportOptions:
    """Which runs, and where their report goes."""

    GROUPS: typing.ClassVar = (_REPORT,)
    ARGUMENTS: typing.ClassVar = "runs"

    given: frozenset = frozenset()
    runs: tuple = ()

    output_file: str = option("report.html", "HTML page to write, of one file.", _REPORT)
    markdown: str | None = option(None, "Markdown to write besides, the same tables.", _REPORT)
    baseline: str | None = option(
        None,
        "The run, one of those named, that the others of its task are compared with. Default: of"
        " each run's task the dense run of the same seed and rows, the largest if there are"
        " several.",
        _REPORT,
    )
    title: str = option("Runs", "Heading of the page.", _REPORT)

    def check(self):
        """Raises `UserError` for missing arguments and flags that cannot be."""
        check_table(self)
        refuse_if(
            not self.runs,
            "name the runs: folders of run_classifier.py or run_pretraining.py, folders that hold"
            " such, or files that benchmarks wrote",
        )
        refuse_if(not self.output_file, "--output_file=: expected the name of a file")
