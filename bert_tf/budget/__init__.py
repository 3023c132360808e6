"""The fifth lever, the clock: when training stops, and what rate the elapsed budget gives.

Plain Python that knows nothing of TensorFlow: a budget, a clock that survives restarts, and pure
functions of the share x of the budget that is spent.
"""

from bert_tf.budget.amount import Budget, parse_budget, parse_limit
from bert_tf.budget.clock import Clock, process_seconds
from bert_tf.budget.costs import Costs
from bert_tf.budget.divergence import DivergenceGuard
from bert_tf.budget.intervals import ValidationSchedule, parse_interval
from bert_tf.budget.markers import marker_name, parse_markers
from bert_tf.budget.ramp import BatchStages, GrowingBatches, ramp_stages
from bert_tf.budget.rates import CURVES, Rate

__all__ = [
    "CURVES",
    "BatchStages",
    "Budget",
    "Clock",
    "Costs",
    "DivergenceGuard",
    "GrowingBatches",
    "Rate",
    "ValidationSchedule",
    "marker_name",
    "parse_budget",
    "parse_interval",
    "parse_limit",
    "parse_markers",
    "process_seconds",
    "ramp_stages",
]
