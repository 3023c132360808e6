"""Exports a model for serving: ONNX, OpenVINO, LiteRT, a SavedModel or a Hugging Face folder.

Any model folder will do: dense, factorised, compact, a sub-network. What is written is run on the
rows of --data_dir, or on random tokens, and compared with the model: float32 must agree, less than
that may cost --max_metric_loss. An artefact that fails is not written.

For ONNX Runtime, in float32:
  export_model.py --model_dir=runs/small --data_dir=glue_data/SST-2 --output_dir=exported

The smallest, a quarter of the size:
  export_model.py --model_dir=runs/small --data_dir=glue_data/SST-2 --precision=int8 \\
      --embedding_precision=int8 --output_dir=exported

Several formats, each in a folder of its own:
  export_model.py --model_dir=runs/small --format=savedmodel,onnx,litert --output_dir=exported
"""

import sys

from bert_tf import cli
from bert_tf.export.options import ExportOptions


def main(options):
    """Exports, and prints a line for each artefact."""
    options.check()

    from bert_tf.export.program import export

    for found in export(options):
        print(
            f"{found.format}: {found.megabytes:.1f} MB in {found.folder}; {found.check.sentence()}"
        )


def cli_main():
    """Entry point of the installed command."""
    cli.run(ExportOptions, main, __doc__)


if __name__ == "__main__":
    sys.exit(cli_main())
