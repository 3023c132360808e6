"""What the options of a lever are to a program (no TensorFlow)."""

import dataclasses
import typing


@dataclasses.dataclass(kw_only=True)
class LeverOptions:
    """The flags of one lever, a part of a program's options.

    The program's class inherits from the parts of all its levers, which it names once, in the
    order in which they act, as `LEVERS`. The methods here are called by their part:
    `part.lever(options, source)`.

    Attributes:
      GROUPS: the headings of the flags in --help.
      IDENTITY_WITHOUT, PHASE_WITHOUT: what a run without the lever says in place of the lever's
        `identity` and `phase`.
    """

    GROUPS: typing.ClassVar = ()
    IDENTITY_WITHOUT: typing.ClassVar = {}
    PHASE_WITHOUT: typing.ClassVar = {}

    if typing.TYPE_CHECKING:  # a part reads flags of the others that the program puts beside it

        def __getattr__(self, name: str) -> typing.Any: ...

    def check_lever(self):
        """Raises `UserError` for what the table of flags cannot say."""

    def is_over(self, results):
        """Whether a run with this content of results.json is over, its command given again."""
        return False

    def models_kept(self):
        """How many model folders an evaluation may write beside the run's best."""
        return 0

    def lever(self, source):
        """Returns the `Lever` of a run that starts from the `LoadedModel` source, None without."""
        return None
