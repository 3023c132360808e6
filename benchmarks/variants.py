"""Variants of a training by name: SYSTEM-DATA-PRECISION[-xla]."""

import dataclasses
import re
import typing

from bert_tf.packages import require_tf_models


@dataclasses.dataclass(frozen=True)
class Variant:
    """What to measure, such as ours-bucketed-float32 or official-records-bfloat16-xla.

    Subclasses say what there is: `SOURCES`, a pattern of SYSTEM-DATA with a group for each, and
    `PRECISIONS`; `FORM` is what a name that is none should have been.

    Attributes:
      name: that text.
      system: whose training it is; `official` needs tf-models-official.
      data: what it trains on.
      precision: of `PRECISIONS`.
      xla: whether the training step is compiled by XLA.
    """

    SOURCES: typing.ClassVar[str]
    PRECISIONS: typing.ClassVar[tuple[str, ...]]
    FORM: typing.ClassVar[str]

    name: str
    system: str
    data: str
    precision: str
    xla: bool

    @classmethod
    def parse(cls, name):
        """Returns the variant called `name`.

        Raises:
          ValueError: it does not have that form.
          UserError: it needs tf-models-official, which is not installed.
        """
        found = re.fullmatch(rf"{cls.SOURCES}-({'|'.join(cls.PRECISIONS)})(-xla)?", name)
        if not found:
            raise ValueError(f"{name!r}: expected {cls.FORM}")
        system, data, precision, xla = found.groups()
        if system == "official":
            require_tf_models(f"variant {name}")
        return cls(name, system, data, precision, bool(xla))
