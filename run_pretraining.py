"""Pre-trains BERT by masked-language modelling, inside a budget of time, updates or tokens.

The result is a model folder that run_classifier.py fine-tunes as it is. A budget of time holds from
the start of the process to its end, last evaluation and model folder included, over as many
restarts as it takes: the same command again goes on where the last one stopped. results.json says
what the run did and why it stopped. SIGTERM saves and leaves with exit status 143.

Six minutes, with model folders at a quarter, a half and three quarters of the way:
  python run_pretraining.py --do_train --do_eval --data_dir=rows --budget=6m \\
      --num_hidden_layers=4 --hidden_size=256 --learning_rate=1e-3 --train_batch_size=64 \\
      --finetune_time_markers=0.25,0.5,0.75 --output_dir=runs/pretrained

24 hours by the recipe of 24hBERT:
  python run_pretraining.py --do_train --do_eval --recipe=budget --budget=24h --data_dir=rows \\
      --num_hidden_layers=24 --hidden_size=1024 --output_dir=runs/24h

Google's way, on its TFRecord files:
  python run_pretraining.py --do_train --do_eval --input_file='examples*.tfrecord' \\
      --bert_config_file=bert_config.json --vocab_file=vocab.txt --num_train_steps=20 \\
      --num_warmup_steps=10 --output_dir=runs/google

What would a budget buy?
  python run_pretraining.py --probe --budget=24h --data_dir=rows --output_dir=runs/probe
"""

from bert_tf import cli
from bert_tf.budget import process_seconds
from bert_tf.pretraining.options import PretrainingOptions


def main(options):
    """Runs what `options` (`PretrainingOptions`) describe; returns the exit status."""
    if options.probe:
        from bert_tf.pretraining import probe

        probe.run(options)
        return 0
    from bert_tf import pretraining  # imports TensorFlow, which --help does not need
    from bert_tf.training.results import exit_status

    return exit_status(pretraining.run(options, age=process_seconds()))


def cli_main():
    """Entry point of the `bert-run-pretraining` command."""
    cli.run(PretrainingOptions, main, __doc__)


if __name__ == "__main__":
    cli_main()
