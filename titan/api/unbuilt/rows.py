"""A compact notation for rows that have no handler."""

from collections.abc import Iterator

from titan.api.operation import Operation, Right

_BY_METHOD = {
    "GET": Right.READ,
    "POST": Right.CREATE,
    "PUT": Right.UPDATE,
    "PATCH": Right.UPDATE,
    "DELETE": Right.DELETE,
}


def rows(service: str, prefix: str, table: str) -> Iterator[Operation]:
    """Read one interface: a line with a path below `prefix`, then a line `METHOD operationId [right]` per operation.

    The right follows from the method where it is not written.
    """
    path = prefix
    for line in filter(None, map(str.strip, table.splitlines())):
        if line.startswith("/"):
            path = prefix if line == "/" else prefix + line
            continue
        method, operation_id, *right = line.split()
        yield Operation(operation_id, method, path, service, Right(right[0]) if right else _BY_METHOD[method])
