"""The one place where flop uses Keras beside its public interface."""


def report_first_replica(model):
    """Makes `fit` log what `train_step` returns on the first replica: it is the global batch's."""
    # Keras would add the logs of all replicas up. The property is public, and in no documentation.
    model.distribute_reduction_method = "first"
