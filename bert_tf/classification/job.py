"""A run of classification: its rows, its model, and what is written of its answers."""

from bert_tf.checkpoints.model_folder import require_pooler
from bert_tf.classification import evaluation
from bert_tf.classification.model import build_classifier
from bert_tf.data import inputs
from bert_tf.finetuning.job import Job


class ClassificationJob(Job):
    """A run of run_classifier.py."""

    program = "run_classifier.py"

    task_of = staticmethod(inputs.task_of)
    read = staticmethod(inputs.build)
    check_source = staticmethod(require_pooler)

    def new_model(self, source):
        return build_classifier(source.config, source.arrays, self.task, self.options.seed)

    def eval_spec(self, stores, batch_size, pad_to=None):
        return evaluation.EvalSpec(self.task, stores, batch_size, self.views, pad_to)

    def predict(self, view):
        """Writes `test_results.tsv` and `test_results_labels.tsv`, see `write_predictions`."""
        data, batch_size = self.data, self.options.predict_batch_size
        evaluator = evaluation.Evaluator(self.model, batch_size, data.pad_to, forward=view)
        outputs = {split: evaluator.logits(store) for split, store in data.test.items()}
        if self.chief:
            evaluation.remove_predictions(self.output_dir)
            for index, (split, logits) in enumerate(outputs.items()):
                numbers = data.test_rows.get(split)
                evaluation.write_predictions(
                    self.output_dir, logits, self.task, split, index == 0, numbers
                )
        return evaluator.seconds

    def described(self):
        return {**super().described(), "truncation": self.data.truncation}
