"""Runs a script's main: flags parsed, one clear line and a non-zero exit on bad input."""

import atexit
import dataclasses
import os
import sys
import traceback

from absl import app, flags, logging

from bert_tf import options
from bert_tf.errors import UserError

_HELP = {"--help", "-help", "-h", "--helpfull", "-?"}


def run(options_class, main, introduction):
    """Parses the command line into `options_class` and calls `main(options)`.

    `--help` prints the introduction and every flag by group. A `UserError` ends in one line on
    stderr, `error: <message>`, and exit status 1; its traceback is shown with --verbosity=1.

    Args:
      options_class: dataclass of `options.option` fields, with a field `given`. Words that are no
        flags are an error, unless its `ARGUMENTS` names the field (tuple of str) that takes them.
        What its method `answer`, if it has one, returns is printed in place of running `main`,
        unless None.
      main: callable (options) -> exit status or None.
      introduction: first part of the --help page.
    """
    if _HELP & set(sys.argv[1:]):
        print(options.help_page(options_class, _program(), introduction), end="")
        return
    options.define_flags(options_class)
    arguments = getattr(options_class, "ARGUMENTS", None)
    flags.FLAGS.set_gnu_getopt(arguments is not None)

    def guarded(argv):
        logging.use_absl_handler()
        try:
            found = options.from_flags(options_class)
            if arguments:
                found = dataclasses.replace(found, **{arguments: tuple(argv[1:])})
            elif len(argv) > 1:
                raise UserError(f"unexpected argument {argv[1]!r}: flags begin with --")
            return 0 if _answered(found) else main(found)
        except UserError as e:
            if logging.level_debug():
                traceback.print_exc()
            print("error: " + " ".join(str(e).split()), file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    status = [1]  # of an exception that nothing catches
    if "TF_CONFIG" not in os.environ:  # a worker of a cluster takes leave of the others
        atexit.register(_end, status)
    try:
        app.run(guarded, flags_parser=_parse_flags)
    except SystemExit as e:
        status[0] = e.code if isinstance(e.code, int) else int(e.code is not None)
        raise


def _answered(found):
    """Prints what the options answer by themselves; returns whether there is anything."""
    answer = getattr(found, "answer", None)
    text = answer() if answer else None
    if text is not None:
        print(text)
    return text is not None


def _end(status):
    """Ends the process, the other exit handlers done: to free TensorFlow's objects takes 1.8 s."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        status[0] = 120  # as Python says it
    os._exit(status[0])


def _program():
    """The running program as its user names it."""
    name = os.path.basename(sys.argv[0])
    if name == "__main__.py":
        return f"python -m {sys.modules['__main__'].__package__}"
    return name


def _parse_flags(argv):
    """absl's parser, with a one-line error in place of its usage dump."""
    try:
        remaining = flags.FLAGS(argv)
    except flags.Error as e:
        print("error: " + " ".join(str(e).split()), file=sys.stderr)
        print(f"(all flags: {_program()} --help)", file=sys.stderr)
        sys.exit(1)
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.INFO)
    return remaining
