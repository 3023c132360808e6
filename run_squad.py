"""Fine-tunes BERT to answer questions by spans of a text (SQuAD 1.1 and 2.0), and evaluates it.

The flags are Google BERT's, and so are their defaults and the files written: predictions.json,
nbest_predictions.json, null_odds.json (2.0), checkpoints and TensorBoard events in output_dir, plus
eval_results.txt and results.json with F1 and exact match. output_dir becomes a model folder that
the other programs here read. The same command again goes on where the last one stopped.

Fine-tune, evaluate and answer:
  python run_squad.py --do_train --do_eval --do_predict --train_file=squad/train-v1.1.json \\
      --predict_file=squad/dev-v1.1.json --model_dir=minilm --output_dir=runs/squad

Questions that may have no answer:
  python run_squad.py --do_train --do_eval --version_2_with_negative \\
      --train_file=squad/train-v2.0.json --predict_file=squad/dev-v2.0.json --model_dir=minilm \\
      --output_dir=runs/squad2

Answer with the result:
  python run_squad.py --do_predict --predict_file=questions.json --model_dir=runs/squad \\
      --output_dir=runs/squad-answers
"""

from bert_tf import cli
from bert_tf.budget import process_seconds
from bert_tf.spans.options import SpanOptions


def main(options):
    """Runs the job that `options` (`SpanOptions`) describe; returns the exit status."""
    from bert_tf import spans  # imports TensorFlow, which --help does not need
    from bert_tf.training.results import exit_status

    return exit_status(spans.run(options, age=process_seconds()))


def cli_main():
    """Entry point of the `bert-run-squad` command."""
    cli.run(SpanOptions, main, __doc__)


if __name__ == "__main__":
    cli_main()
