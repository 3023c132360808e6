"""README and docs agree with the code: flags, links, files, names, and the snippet on any model."""

import ast
import importlib
import inspect
import re

import numpy as np
import pytest

from tests import pages

HEADING = "## Prune any Keras model\n"
# `name=value` of something else than a program.
KEYS = {"do_basic_tokenize": "of tokenizer_config.json"}
OWN = ("bert_tf", "flop")


def all_code(page):
    return [*pages.blocks(page), *pages.spans(page)]


@pytest.mark.parametrize("page", pages.PAGES)
def test_every_flag_is_one_of_the_program_named_with_it(page):
    wrong = []
    for code in all_code(page):
        named = pages.flags_in(code)
        key = re.match(r"([a-z]\w*)=", code.text)
        if key and code.language is None and key[1] not in KEYS:
            named.append((key[1], pages.programs_of(code)))
        for name, programs in named:
            known = set().union(*map(pages.flags_of, programs))
            pattern = re.compile(name.replace("*", r"\w+"))
            if not any(pattern.fullmatch(flag) for flag in known):
                wrong.append(f"{code.place}: --{name} is no flag of {', '.join(sorted(programs))}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", pages.PAGES)
def test_every_link_leads_somewhere(page):
    wrong = []
    for line, target in pages.links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (pages.ROOT / page).parent / path if path else pages.ROOT / page
        name = str(file.resolve().relative_to(pages.ROOT))
        if not file.exists() or (anchor and anchor not in pages.anchors(name)):
            wrong.append(f"{page}:{line}: {target}")
    assert not wrong, "\n".join(wrong)


def test_the_readme_leads_to_every_page():
    linked = {target.partition("#")[0] for _, target in pages.links("README.md")}
    assert set(pages.PAGES) - {"README.md"} <= linked


@pytest.mark.parametrize("page", pages.PAGES)
def test_every_file_and_module_named_is_there(page):
    wrong = []
    for code in all_code(page):
        file = re.fullmatch(r"(bert_tf|flop|benchmarks|examples|tests|docs)/[\w./]+", code.text)
        if file and not (pages.ROOT / code.text).exists():
            wrong.append(f"{code.place}: {code.text}")
        names = re.findall(r"\b(?:bert_tf|flop)(?:\.\w+)+", code.text)
        wrong += [f"{code.place}: {name}" for name in names if not resolves(name)]
    assert not wrong, "\n".join(wrong)


def resolves(name):
    """Whether a dotted name is a module, or a chain of attributes of one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def imported(block):
    """{name: object} of what a block of Python imports from this repository."""
    found = {}
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in OWN:
            module = importlib.import_module(node.module)
            found |= {name.name: getattr(module, name.name) for name in node.names}
    return found


def test_calls_have_the_arguments_that_the_pages_give_them():
    blocks = [b for page in pages.PAGES for b in pages.blocks(page) if b.language == "python"]
    known = {name: found for block in blocks for name, found in imported(block).items()}
    assert {"AutoFreeze", "BertEncoder", "ClassifierOptions"} <= set(known)
    spans = [s for page in pages.PAGES for s in pages.spans(page) if "(" in s.text]
    wrong = []
    for code in [*blocks, *spans]:
        try:
            tree = ast.parse(code.text)
        except SyntaxError:  # a formula
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                accepted = inspect.signature(known.get(node.func.id, lambda **_: 0)).parameters
                any_name = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
                wrong += [
                    f"{code.place}: {node.func.id}({keyword.arg}=...)"
                    for keyword in node.keywords
                    if not any_name and keyword.arg not in accepted
                ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", pages.PAGES)
def test_commands_stand_in_blocks_of_shell(page):
    """Where the slow test of the commands finds them."""
    text = re.sub(r"^```sh\n.*?^```$", "", pages.read(page), flags=re.DOTALL | re.MULTILINE)
    stray = re.findall(r"^\s*(?:\w+=\S* )*(?:python3?|pip|make|bert-\w+) .*", text, re.MULTILINE)
    assert not stray


def test_make_has_the_targets_that_are_named():
    makefile = (pages.ROOT / "Makefile").read_text(encoding="utf-8")
    for page in pages.PAGES:
        for code in all_code(page):
            for target in re.findall(r"^make (\w+)", code.text, re.MULTILINE):
                assert f"\n{target}:" in makefile, f"{code.place}: make {target}"


def snippet():
    """The first block of code under the heading."""
    section = pages.read("README.md").split(HEADING)[1]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def test_the_snippet_prunes_a_keras_model(capsys):
    code = snippet()
    assert len(code.splitlines()) <= 20
    variables = {}
    exec(compile(code, "README.md", "exec"), variables)
    model, small = variables["model"], variables["small"]
    sizes = [sum(int(np.prod(v.shape)) for v in m.trainable_variables) for m in (model, small)]
    assert sizes[1] < 0.25 * sizes[0]
    printed = capsys.readouterr().out.splitlines()
    before, after = map(float, printed[-1].split())
    assert before > 0.85 and after > before - 0.05
