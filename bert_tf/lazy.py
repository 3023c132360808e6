"""Names of a package that are imported when they are asked for: its flags load no TensorFlow."""

import importlib


def importer(package, homes):
    """Returns the `__getattr__` of a package.

    Args:
      package: its name.
      homes: {name: module of the package that defines it}; no name is one of its modules'.
    """

    def find(name):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return find
