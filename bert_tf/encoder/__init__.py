"""The one encoder, with the places for the five levers (see `encoder.BertEncoder`)."""

from bert_tf.encoder.dense import Dense
from bert_tf.encoder.dropout import Dropout, dropout_seed
from bert_tf.encoder.encoder import BertEncoder
from bert_tf.encoder.subnetwork import Subnetwork

__all__ = ["BertEncoder", "Dense", "Dropout", "Subnetwork", "dropout_seed"]
