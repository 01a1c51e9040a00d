"""How a migration runs its SQL: as it is written, one statement after the other, on the connection of the upgrade."""

from collections.abc import Iterable

from alembic import op


def run(statements: Iterable[str]) -> None:
    """Run plain SQL statements; no bind parameters, so a colon is a colon."""
    connection = op.get_bind()
    for statement in statements:
        connection.exec_driver_sql(statement)
