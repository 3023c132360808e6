"""Imports go one way: levers plug in, programs name them once, training knows none."""

import ast
import re
import subprocess
import sys
import tokenize

import pytest

from tests import tiny

# A group imports from those before it only; the single modules of bert_tf are one group.
ORDER = (
    ("flop",),
    ("modules of bert_tf",),
    ("tokenization", "serving"),
    ("checkpoints",),
    ("data", "encoder"),
    ("heads",),
    ("training",),
    ("pruning", "distillation", "freezing", "budget"),
    ("dynabert",),  # whose sub-networks learn by distillation
    ("finetuning", "pretraining"),
    ("classification", "spans", "tagging"),
    ("augmentation", "export", "features", "report"),  # of the models of both
    ("sweep",),  # of the programs
)
GROUP = {name: group for group, names in enumerate(ORDER) for name in names}


def package_of(module):
    """The name in `ORDER` of a dotted module name, None for what is not ours."""
    top, _, rest = module.partition(".")
    if top == "flop":
        return top
    name = rest.partition(".")[0]
    is_package = (tiny.ROOT / "bert_tf" / name / "__init__.py").exists()
    return {"bert_tf": name if name and is_package else "modules of bert_tf"}.get(top)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "bert_tf":
            yield from ((node.lineno, f"bert_tf.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module


def sources():
    for top in ("bert_tf", "flop"):
        yield from sorted((tiny.ROOT / top).rglob("*.py"))


def test_imports_go_one_way():
    wrong = []
    for path in sources():
        name = path.relative_to(tiny.ROOT)
        own = package_of(".".join(name.with_suffix("").parts))
        for line, module in imports_of(path):
            other = package_of(module)
            if other not in (None, own) and GROUP[other] >= GROUP[own]:
                wrong.append(f"{name}:{line}: {own} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_training_has_no_name_for_a_lever_or_a_program():
    known = re.compile("freez|prun|distill|teacher|mask_train|dynabert|pretrain|classif|flop", re.I)
    found = []
    for path in sorted((tiny.ROOT / "bert_tf" / "training").glob("*.py")):
        with open(path, "rb") as f:
            names = [x for x in tokenize.tokenize(f.readline) if x.type == tokenize.NAME]
        found += [f"{path.name}:{x.start[0]}: {x.string}" for x in names if known.search(x.string)]
    assert not found, "\n".join(found)


def test_every_package_has_its_place():
    found = {path.parent.name for path in (tiny.ROOT / "bert_tf").glob("*/__init__.py")}
    assert found == set(GROUP) - {"flop", "modules of bert_tf"}


@pytest.mark.parametrize(
    "name", ["finetuning", "classification", "spans", "tagging", "pretraining"]
)
def test_a_program_names_its_levers_in_one_place(name):
    levers = {"pruning", "distillation", "freezing"}
    levers |= {"budget"} if name != "pretraining" else set()  # which is by the clock
    found = {
        path.name
        for path in (tiny.ROOT / "bert_tf" / name).glob("*.py")
        for _, module in imports_of(path)
        if package_of(module) in levers
    }
    assert found == ({"options.py"} if name == "finetuning" else set())


def test_flags_load_no_tensorflow():
    """Else --help takes seconds; and a package with flags must not import its other modules."""
    names = ("options", "checks", "shape", "run_options", "lever_options")
    modules = [
        ".".join(path.relative_to(tiny.ROOT).with_suffix("").parts)
        for path in sources()
        if path.stem in names
    ]
    assert len(modules) > 10
    code = f"import sys, {', '.join(modules)}; print([x for x in sys.modules if 'tensorflow' in x])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, env=tiny.environment(),
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
