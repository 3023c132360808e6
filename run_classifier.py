"""Fine-tunes BERT on a classification or regression task, evaluates it, and predicts.

The flags are Google BERT's, and so are their defaults and the files written: eval_results.txt,
test_results.tsv, checkpoints and TensorBoard events in output_dir, plus results.json with all
numbers of the run. output_dir becomes a model folder that the other programs here read. The same
command again goes on where the last one stopped.

Fine-tune and evaluate:
  python run_classifier.py --do_train --do_eval --task_name=SST-2 --data_dir=glue_data/SST-2 \\
      --model_dir=minilm --output_dir=runs/sst2

Inside ten minutes, start of the program and final model included; SIGTERM saves and leaves:
  python run_classifier.py --do_train --do_eval --task_name=SST-2 --data_dir=glue_data/SST-2 \\
      --model_dir=minilm --output_dir=runs/sst2-10m --budget=10m

Predict with the result:
  python run_classifier.py --do_predict --data_dir=glue_data/SST-2 --model_dir=runs/sst2 \\
      --output_dir=runs/sst2-test

Your own files, with named columns:
  python run_classifier.py --do_train --do_eval --task_name=custom --train_file=train.csv \\
      --dev_file=dev.csv --text_column=review --label_column=stars --model_dir=minilm \\
      --output_dir=runs/reviews

A data set by name (Hugging Face, TFDS, Parquet, CSV, JSON lines), and what there is in it:
  python run_classifier.py --dataset_info --dataset=hf:glue/mrpc
  python run_classifier.py --do_train --do_eval --dataset=hf:glue/mrpc --model_dir=minilm \\
      --output_dir=runs/mrpc
"""

from bert_tf import cli
from bert_tf.budget import process_seconds
from bert_tf.classification.options import ClassifierOptions


def main(options):
    """Runs the job that `options` (`ClassifierOptions`) describe; returns the exit status."""
    from bert_tf import classification  # imports TensorFlow, which --help does not need
    from bert_tf.training.results import exit_status

    return exit_status(classification.run(options, age=process_seconds()))


def cli_main():
    """Entry point of the `bert-run-classifier` command."""
    cli.run(ClassifierOptions, main, __doc__)


if __name__ == "__main__":
    cli_main()
