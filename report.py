"""Makes one HTML page of many runs: what each reached, against the dense baseline, and how.

A run is a folder of run_classifier.py, run_pretraining.py, export_model.py or
choose_subnetwork.py, a model folder, a folder that holds such at any depth, or the file of
benchmarks.latency --json. The page needs no network and no other file; its table sorts by click.

  report.py runs
  report.py runs/sst2 runs/sst2-* latency.json --output_file=report.html --markdown=report.md
"""

import sys

from bert_tf import cli
from bert_tf.report.options import ReportOptions


def main(options):
    """Writes the report, and says of how many runs."""
    options.check()

    from bert_tf.report import program

    print(program.run(options))


def cli_main():
    """Entry point of the `bert-report` command."""
    cli.run(ReportOptions, main, __doc__)


if __name__ == "__main__":
    sys.exit(cli_main())
