"""A run of tagging: its sentences, its model, and what is written of its answers."""

from bert_tf.finetuning.job import Job
from bert_tf.tagging import data, evaluation
from bert_tf.tagging.model import build_tagger


class TaggingJob(Job):
    """A run of run_tagger.py."""

    program = "run_tagger.py"

    task_of = staticmethod(data.task_of)
    read = staticmethod(data.read)

    def new_model(self, source):
        return build_tagger(source.config, source.arrays, self.task, self.options.seed)

    def eval_spec(self, stores, batch_size, pad_to=None):
        return evaluation.EvalSpec(self.task, stores, batch_size, self.views, pad_to)

    def predict(self, view):
        """Writes `test_results.conll`, see `write_predictions`."""
        inputs, batch_size = self.data, self.options.predict_batch_size
        evaluator = evaluation.TagEvaluator(self.model, batch_size, inputs.pad_to, forward=view)
        logits = evaluator.logits(inputs.test["test"])
        if self.chief:
            evaluation.write_predictions(self.output_dir, inputs.test_file, logits, self.task)
        return evaluator.seconds

    def described(self):
        return {**super().described(), "doc_stride": self.data.doc_stride}
