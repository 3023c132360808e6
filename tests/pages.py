"""README.md and docs/*.md taken apart: code, commands, links; and the flags of the programs."""

import ast
import dataclasses
import functools
import importlib
import importlib.util
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [
    "README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
]
# Flags whose value is a command line of another program's flags.
NESTED = dict.fromkeys(("classifier_flags", "mask_flags", "variant"), "run_classifier.py")
ABSL = {"help", "verbosity"}  # every program has these
# Programs of others that the pages name with flags.
FOREIGN = {
    "tensorboard": {"logdir"},
    "pip": {"no"},  # --no-deps
    "model_server": {"model_path", "model_name", "rest_port"},
}
_PROGRAM = re.compile(
    r"(?<![\w/.])(?:(?:examples/)?\w+\.py|benchmarks\.\w+)\b|\b(?:tensorboard|pip|model_server)\b"
)
_FLAG = re.compile(r"--([a-z][\w*]*)(?:=(.*))?", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Code:
    """A block of code, or code within a line.

    Attributes:
      page: as in `PAGES`.
      line: of the page, from 1, in which its text begins.
      section: number of the second-level heading that it stands under.
      language: of a block, "" where none is given; None for code within a line.
      text: the code.
    """

    page: str
    line: int
    section: int
    language: str | None
    text: str

    @property
    def place(self):
        """Page and line, as messages name them."""
        return f"{self.page}:{self.line}"


def _named(text):
    found = set(_PROGRAM.findall(text))
    return {name for name in found if name in FOREIGN or _path(name).is_file()}


def _path(program):
    """The file of a program: examples/quickstart.py, or a module such as benchmarks.finetune."""
    if program.endswith(".py"):
        return ROOT / program
    path = ROOT / program.replace(".", "/")
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def read(page):
    """The text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


@functools.cache
def blocks(page):
    """Returns the list of fenced blocks (`Code`)."""
    text, found = read(page), []
    for match in re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE):
        section, line = _place(text[: match.start(2)])
        found.append(Code(page, line, section, match[1], match[2]))
    return found


def _place(before):
    """(section, line) of what stands behind the text `before`."""
    return len(re.findall(r"^## ", before, re.MULTILINE)), before.count("\n") + 1


@functools.cache
def prose(page):
    """The text of a page with its blocks left blank, line for line."""
    return re.sub(
        r"^```.*?^```$",
        lambda block: "\n" * block[0].count("\n"),
        read(page),
        flags=re.DOTALL | re.MULTILINE,
    )


@functools.cache
def spans(page):
    """Returns the list of code within lines (`Code`); a paragraph's line ends count as spaces."""
    text, found = prose(page), []
    for match in re.finditer(r"`((?:[^`\n]|\n(?!\n))+)`", text):
        section, line = _place(text[: match.start()])
        found.append(Code(page, line, section, None, " ".join(match[1].split())))
    return found


def commands(block):
    """Returns [(line of the page, words)] of the commands in a block of shell."""
    found, number = [], block.line
    for command in re.split(r"(?<!\\)\n", block.text):
        words = shlex.split(command.replace("\\\n", ""), comments=True)
        if words:
            found.append((number, words))
        number += command.count("\n") + 1
    return found


def links(page):
    """Returns [(line, target)] of the links and pictures of a page."""
    text = re.sub(r"`[^`]*`", lambda code: "\n" * code[0].count("\n"), prose(page))
    pattern = r"\[[^]]*\]\(([^)\s]+)\)|(?:src|href|srcset)=\"([^\"]+)\""
    return [
        (text[: match.start()].count("\n") + 1, match[1] or match[2])
        for match in re.finditer(pattern, text)
    ]


def anchors(page):
    """Returns the set of the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def programs_of(code, text=None):
    """The programs whose flags `code` may name: its own, else its section's, else its page's.

    Args:
      code: `Code`.
      text: a line of it, to look there and not in all of it.
    """
    own = _named(code.text if text is None else text)
    if own:
        return own
    others = [*blocks(code.page), *spans(code.page)]
    section = [_named(other.text) for other in others if other.section == code.section]
    page = [_named(other.text) for other in others]
    return set().union(*section) - set(FOREIGN) or set().union(*page) - set(FOREIGN)


def flags_in(code):
    """Returns [(flag's name, the programs of which one has to have it)] of a `Code`.

    The flags in the value of a flag of `NESTED` are those of the program there.
    """
    if code.language == "sh":
        lines = [words for _, words in commands(code)]
    else:
        lines = list(map(_words, code.text.splitlines()))
    return [flag for words in lines for flag in _flags(words, programs_of(code, " ".join(words)))]


def _words(text):
    try:
        return shlex.split(text)
    except ValueError:  # a quote of prose
        return text.split()


def _flags(words, programs):
    found = []
    for word in words:
        flag = _FLAG.match(word)
        if flag:
            found.append((flag[1], programs))
        if flag and flag[1] in NESTED:
            found += _flags(shlex.split(flag[2] or ""), {NESTED[flag[1]]})
    return found


@functools.cache
def flags_of(program):
    """Returns the set of the flags that a program of this repository (or of `FOREIGN`) has."""
    if program in FOREIGN:
        return FOREIGN[program]
    tree = ast.parse(_path(program).read_text(encoding="utf-8"))
    own = _options_class(program, tree)
    return ABSL | (own if own is not None else _defined(tree) | _defined_by_imports(tree))


def _options_class(program, tree):
    """The fields of the class that the program gives to `cli.run`; None if it gives none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "cli.run":
            path = _path(program).relative_to(ROOT).with_suffix("")
            module = importlib.import_module(".".join(path.parts))
            options = getattr(module, ast.unparse(node.args[0]))
            return {f.name for f in dataclasses.fields(options) if "help" in f.metadata}
    return None


def _defined(tree):
    """The names of absl's DEFINE_ calls."""
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("flags.DEFINE_")
    }


def _defined_by_imports(tree):
    """Those of the modules of benchmarks/ that a program imports: some share their flags."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmarks"):
            modules = [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
            for module in modules:
                path = ROOT / (module.replace(".", "/") + ".py")
                if path.is_file():
                    found |= _defined(ast.parse(path.read_text(encoding="utf-8")))
    return found


def program(name):
    """Returns the program docs/NAME.py as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
