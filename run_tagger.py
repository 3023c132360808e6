"""Fine-tunes BERT to label words (named entities, parts of speech), evaluates it, and predicts.

Files are CoNLL columns: a word in each line, its label in the last column, a blank line between
sentences. The flags of the run are those of run_classifier.py, and so are the files written:
eval_results.txt, checkpoints and TensorBoard events in output_dir, plus results.json with all
numbers of the run. output_dir becomes a model folder that the other programs here read. The same
command again goes on where the last one stopped.

Fine-tune and evaluate, by the F1 of entities:
  python run_tagger.py --do_train --do_eval --data_dir=conll2003 --model_dir=minilm \\
      --output_dir=runs/ner

Predict with the result; test_results.conll is the file with one more column:
  python run_tagger.py --do_predict --test_file=new.conll --model_dir=runs/ner \\
      --output_dir=runs/ner-new

Parts of speech, the second of four columns:
  python run_tagger.py --do_train --do_eval --data_dir=conll2003 --label_column=1 --scheme=none \\
      --model_dir=minilm --output_dir=runs/pos
"""

from bert_tf import cli
from bert_tf.budget import process_seconds
from bert_tf.tagging.options import TaggerOptions


def main(options):
    """Runs the job that `options` (`TaggerOptions`) describe; returns the exit status."""
    from bert_tf import tagging  # imports TensorFlow, which --help does not need
    from bert_tf.training.results import exit_status

    return exit_status(tagging.run(options, age=process_seconds()))


def cli_main():
    """Entry point of the `bert-run-tagger` command."""
    cli.run(TaggerOptions, main, __doc__)


if __name__ == "__main__":
    cli_main()
