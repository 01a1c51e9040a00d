"""Who is restarted, and who with whom: every rule of it as a plain function."""

from enum import Enum


class Strategy(Enum):
    """Which siblings share the fate of a child that must be restarted."""

    ONE_FOR_ONE = "one_for_one"
    """None: children know nothing of each other. Only the first start is ordered."""
    ONE_FOR_ALL = "one_for_all"
    """All: they are stopped in reverse order, then all are started in order."""
    REST_FOR_ONE = "rest_for_one"
    """Those after it in the order: each child may rely on all before it."""


class Restart(Enum):
    """After which exits a child is started again."""

    PERMANENT = "permanent"
    """After every one: returning is a fault too."""
    TRANSIENT = "transient"
    """After a failure: returning means that its work is done."""
    TEMPORARY = "temporary"
    """Never, not even with its group."""


class ExitReason(Enum):
    """How one instance of a child came to its end."""

    RETURNED = "returned"
    """Its function returned by itself."""
    FAILED = "failed"
    """It raised, or the kernel ended it for staying silent at its start."""
    STOPPED = "stopped"
    """Its supervisor asked it to stop, and it did."""
    LEASH = "leash"
    """A leash above it, or its own as a supervisor, ran out."""


def needs_restart(restart: Restart, reason: ExitReason) -> bool:
    """Say whether a child of this restart type is started again after an exit that nobody asked for."""
    if restart is Restart.TRANSIENT:
        return reason is ExitReason.FAILED
    return restart is Restart.PERMANENT


def counts(reason: ExitReason) -> bool:
    """Say whether such a restart counts towards the intensity: the end of a term is no fault."""
    return reason is not ExitReason.LEASH


def fate_sharers(strategy: Strategy, index: int, count: int) -> range:
    """Give the positions, of `count` in start order, to be stopped and started again with the child at `index`.

    The range of one_for_all includes `index`: there is nothing left to stop of it.
    """
    if strategy is Strategy.ONE_FOR_ONE:
        return range(0)
    return range(0 if strategy is Strategy.ONE_FOR_ALL else index + 1, count)


def comes_back(restart: Restart) -> bool:
    """Say whether a child that was stopped, or was finished, with its group is started with it again."""
    return restart is not Restart.TEMPORARY


def starts_in_order(strategy: Strategy) -> bool:
    """Say whether restarts, like the first start, wait until every earlier child is up."""
    return strategy is not Strategy.ONE_FOR_ONE
