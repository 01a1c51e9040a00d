"""From method and path to a row of the table."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from titan.api.messages import Response
from titan.api.operation import Operation
from titan.api.results import problem


@dataclass(slots=True)
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    operations: dict[str, Operation] = field(default_factory=dict)
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """A row, and the path parameters of the request as they stand in the path."""

    operation: Operation
    path: dict[str, str]


class Router:
    """All rows of a table; made once."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        node = self._root
        names = []
        for segment in operation.path.strip("/").split("/"):
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
                names.append(segment.strip("{}"))
            else:
                node = node.literal.setdefault(segment, _Node())
        if operation.method in node.operations:
            raise ValueError(f"two rows for {operation.method} {operation.path}")
        node.operations[operation.method] = operation
        node.names = tuple(names)

    def find(self, method: str, segments: list[str], *, request_id: str = "") -> Match | Response:
        """Return the row for a path's percent-decoded segments, or the answer: 404, or 405 with `Allow`.

        HEAD finds what GET finds.
        """
        node = self._root
        values = []
        for segment in segments:
            below = node.literal.get(segment)
            if below is None and segment:  # an empty segment is no parameter: `/shells/` is not a shell
                below = node.parameter
                values.append(segment)
            if below is None:
                return not_found(request_id)
            node = below
        operation = node.operations.get("GET" if method == "HEAD" else method)
        if operation is not None:
            return Match(operation, dict(zip(node.names, values, strict=True)))
        if not node.operations:
            return not_found(request_id)
        return method_not_allowed(node.operations, request_id)


def not_found(request_id: str) -> Response:
    """Answer for a path that no operation has."""
    return problem(404, "there is nothing at this path", request_id=request_id)


def method_not_allowed(methods: Iterable[str], request_id: str) -> Response:
    """Answer for a known path with another method."""
    allowed = sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])})
    return problem(
        405,
        f"this path knows {', '.join(allowed)} only",
        request_id=request_id,
        headers=(("Allow", ", ".join(allowed)),),
    )
