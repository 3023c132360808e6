"""Runs run_classifier.py over tasks, seeds and lists of its flags, and tabulates what comes out.

Any flag of run_classifier.py may have several values: those of numbers, switches and choices with
commas between them, any flag by giving it again. The same command again goes on where the last one
stopped. Written to output_dir: results.md, results.json, results.csv, the folder hparams for
TensorBoard, and a folder for each run.

Three tasks, four rates, three seeds, two runs at once:
  python run_sweep.py --tasks=cola,mrpc,sts-b --data_dir=glue_data --model_dir=minilm \\
      --learning_rate=2e-5,3e-5,4e-5,5e-5 --seeds=1,2,3 --parallel=2 --output_dir=sweeps/rates

How many layers to freeze, as a picture:
  python run_sweep.py --tasks=mrpc --data_dir=glue_data --model_dir=minilm \\
      --freeze_layers=0,2,4 --seeds=1,2,3 --plot=freeze_layers --output_dir=sweeps/frozen

Flags that go together:
  python run_sweep.py --tasks=mrpc --data_dir=glue_data --model_dir=minilm --variant=dense \\
      --variant='frozen: --freeze_layers=4 --activation_cache=auto' --output_dir=sweeps/levers
"""

from bert_tf import cli
from bert_tf.sweep.options import SweepOptions


def main(options):
    """Runs what `options` (`SweepOptions`) describe; returns the exit status."""
    from bert_tf.sweep import program

    return program.run(options)


def cli_main():
    """Entry point of the `bert-run-sweep` command."""
    cli.run(SweepOptions, main, __doc__)


if __name__ == "__main__":
    cli_main()
