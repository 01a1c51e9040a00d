"""What a supervisor remembers of each of its children."""

from supervisors.kernel.host import Host
from supervisors.kernel.snapshot import Node, State


class Slot:
    """One child's place in one run of its supervisor: it outlives the runs of the child."""

    __slots__ = ("attempt", "begun", "doomed", "finished", "host", "index", "node")

    def __init__(self, node: Node, index: int) -> None:
        self.node = node
        self.index = index
        self.host: Host | None = None
        """The present run; None only after its exit was read."""
        self.begun = False
        """Has started at least once, so its first start is over."""
        self.doomed = False
        """Is, or will be, asked to stop: its exit is expected."""
        self.finished = False
        """Has ended for good."""
        self.attempt = 0
        """Restarts in a row, for the back-off."""

    @property
    def is_stoppable(self) -> bool:
        """Runs, and the ordered stop has not gone on without it."""
        return self.host is not None and not self.host.ended and self.node.state is not State.STUCK

    @property
    def is_undoomed(self) -> bool:
        """Runs, and nobody wanted it to stop until now."""
        return self.host is not None and not self.doomed
