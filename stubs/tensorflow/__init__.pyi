# To the type checker everything of this package is Any: what others wrote about its types is wrong.
from typing import Any

def __getattr__(name: str) -> Any: ...
