"""Reads TensorFlow's profile of a training step and says what each operation is for."""

import ast
import collections
import functools
import pathlib
import re

import bert_tf

_PACKAGE = str(pathlib.Path(bert_tf.__file__).parent)

# An operation's type, else the function or class of ours that made it, else its name tells its use.
_BY_TYPE = {
    "MatMul": "dense products",
    "FusedMatMul": "dense products",
    "BatchMatMulV2": "attention products",
    "BiasAddGrad": "bias gradients",
    "Softmax": "softmax and mask",
}
_BY_CODE = {
    "_layer_norm": "layer norm",
    "_gelu_erf": "gelu",
    "Dropout": "dropout",
    "clip_by_global_norm": "gradient clipping",
    "Embeddings": "embedding lookup",
}
_BY_NAME = (
    (r"/dropout(_\d+)?/", "dropout"),
    (r"^gradient_tape/.*/embeddings/", "embedding lookup"),
    (r"^gradient_tape/.*/layer_\d+/(Sum|sub|mul)(_\d+)?$", "softmax and mask"),
    (r"/(transpose|strided_slice|Reshape|concat)(_\d+)?(/|$)", "reordering"),
    (r"/layer_\d+/", "rest of the layers (residual sums, query scale, mask)"),
    (r"^AdamW/", "optimizer, other weights"),
)
_TABLE = "optimizer, embedding table"
_REST = "everything else (executor, loss, seeds)"


def operation_seconds(path):
    """Reads an xplane.pb file; returns {(name, type) of an operation: seconds of its own}.

    The key is None for what the executor spends outside of operations.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(pathlib.Path(path).read_bytes())
    seconds = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            if line.name.startswith("tf_Compute"):
                _add_thread(plane, line, seconds)
    return seconds


def _add_thread(plane, line, seconds):
    """Adds one thread's time to `seconds`, each moment to the innermost operation."""
    around = []  # (end, operation) of the events that the current one is inside of
    for event in sorted(line.events, key=lambda e: (e.offset_ps, -e.duration_ps)):
        while around and around[-1][0] <= event.offset_ps:
            around.pop()
        outer = around[-1][1] if around else None
        operation = _operation(plane, event) or outer
        if around:
            seconds[outer] -= event.duration_ps / 1e12
        seconds[operation] += event.duration_ps / 1e12
        around.append((event.offset_ps + event.duration_ps, operation))


def _operation(plane, event):
    """(name, type) of an operation's event, None for any other."""
    name, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
    if name and re.fullmatch(r"[\w./>-]+", name):
        return name, kind
    stats = {plane.stat_metadata[s.metadata_id].name: s for s in event.stats}
    if "kernel_type" in stats:  # the launch of an XLA kernel
        return _text(plane, stats["name"]), _text(plane, stats["kernel_type"])
    return None


def _text(plane, stat):
    return stat.str_value or plane.stat_metadata[stat.ref_value].name


def groups_by_code(graph, table):
    """Returns {operation name: group} where our code tells what an operation of `graph` is for.

    Args:
      graph: graph of the traced step.
      table: the variable of the word embeddings.
    """
    handles = {id(inner) for outer, inner in graph.captures if outer is table.handle}
    groups = {}
    for operation in graph.get_operations():
        makers = _makers(operation)
        if "AdamW" in makers:
            on_table = any(id(t) in handles for t in operation.inputs) or any(
                t.shape == table.shape for t in operation.outputs
            )
            if on_table:
                groups[operation.name] = _TABLE
        else:
            groups.update((operation.name, _BY_CODE[m]) for m in makers if m in _BY_CODE)
    return groups


def group_of(operation, by_code):
    """Returns the group of a traced (name, type), given `groups_by_code`."""
    if operation is None:
        return _REST
    name, kind = operation
    kind = re.sub("^_(Mkl(Native)?)?", "", kind)  # TensorFlow's fused and oneDNN forms of an op
    if kind in _BY_TYPE or name in by_code:
        return _BY_TYPE.get(kind) or by_code[name]
    return next((group for pattern, group in _BY_NAME if re.search(pattern, name)), _REST)


def _makers(operation):
    """The top-level functions and classes of our package in which an operation was made."""
    return [
        _definition(frame.filename, frame.lineno)
        for frame in operation.traceback
        if frame.filename.startswith(_PACKAGE)
    ]


@functools.cache
def _definition(filename, line):
    for node in ast.parse(pathlib.Path(filename).read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.FunctionDef | ast.ClassDef)
            and node.lineno <= line <= node.end_lineno
        ):
            return node.name
    return None
