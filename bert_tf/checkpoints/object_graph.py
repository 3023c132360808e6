"""The object graph of a `tf.train.Checkpoint`: which object held which variable, by attribute."""

from tensorflow.core.protobuf import trackable_object_graph_pb2

from bert_tf.checkpoints import google
from bert_tf.errors import UserError


class ObjectGraph:
    """The objects saved in a checkpoint, as a walk over attribute names.

    Nodes are integers, 0 the root. This needs none of the classes that wrote the checkpoint.

    Args:
      prefix: checkpoint prefix.

    Raises:
      UserError: the checkpoint cannot be read or is not object-based.
    """

    def __init__(self, prefix):
        self._bundle = google.Bundle(prefix)
        if google.OBJECT_GRAPH not in self._bundle.names:
            raise UserError(f"{prefix}: not an object-based checkpoint (it has no object graph)")
        self.prefix = prefix
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(self._bundle.read(google.OBJECT_GRAPH))
        self._nodes = graph.nodes
        self._children = [{c.local_name: c.node_id for c in n.children} for n in graph.nodes]

    def __len__(self):
        return len(self._nodes)

    def children(self, node):
        """Returns {attribute name: node}."""
        return self._children[node]

    def find(self, *attributes):
        """Returns the nodes that have all of these attributes."""
        return [n for n, c in enumerate(self._children) if all(a in c for a in attributes)]

    def follow(self, node, path):
        """Returns the node at a `/`-separated path of attributes under `node`, or None."""
        for attribute in path.split("/"):
            node = None if node is None else self._children[node].get(attribute)
        return node

    def variable(self, node):
        """Returns (checkpoint key, full Keras name) of the variable at `node`, or None."""
        for attribute in [] if node is None else self._nodes[node].attributes:
            if attribute.name == "VARIABLE_VALUE":
                return attribute.checkpoint_key, attribute.full_name
        return None

    def read(self, node):
        """Returns the array of the variable at `node`.

        Raises:
          UserError: its data is damaged.
        """
        return self._bundle.read(self.variable(node)[0])

    def variables(self):
        """Returns {node: full Keras name} of every saved variable, optimizer slots left out."""
        slots = {s.slot_variable_node_id for n in self._nodes for s in n.slot_variables}
        return {
            node: self.variable(node)[1] or self.variable(node)[0]
            for node in range(len(self))
            if node not in slots and self.variable(node)
        }

    def slot_count(self):
        """Returns the number of optimizer slot variables."""
        return sum(len(n.slot_variables) for n in self._nodes)
