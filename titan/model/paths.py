"""Where in a JSON document something stands, as text such as `submodelElements[3].value`; '' is the document itself."""

import re
from collections.abc import Callable, Iterable
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]{0,63}")
_MAX_NAME = 64  # a hostile member name must not blow up the message that reports it

Step = str | int
_Node = tuple[Any, Step, Any]  # parent node or None, step from there, value


def render(steps: Iterable[Step]) -> str:
    """Write steps (member names and indices, outermost first) as one path."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{step[:_MAX_NAME]!r}]"
    return text


def find(document: Any, wanted: Callable[[Any], bool]) -> str | None:
    """Return the path of the first value in document order that is wanted, None without one.

    For reporting the place of a fault that is known to exist: it costs a walk in Python, and does not recurse.
    """
    stack: list[_Node] = [(None, "", document)]
    while stack:
        node = stack.pop()
        value = node[2]
        if wanted(value):
            return render(_steps(node))
        if isinstance(value, dict):
            stack.extend((node, name, child) for name, child in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((node, index, value[index]) for index in range(len(value) - 1, -1, -1))
    return None


def _steps(node: _Node) -> list[Step]:
    steps: list[Step] = []
    while node[0] is not None:
        steps.append(node[1])
        node = node[0]
    steps.reverse()
    return steps
