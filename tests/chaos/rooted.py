"""Faults of names, networks and disks; their rigs need rights of root."""

from tests.chaos.faults import Promoted
from tests.chaos.installation import Installation
from tests.chaos.rigs import Named, Network, SmallDisk
from tests.chaos.round import Fault, Readiness


class NameMoved(Promoted):
    """The primary dies, its standby on another address is promoted, and the name then means that one."""

    title = "primary killed, its name moved to the promoted standby"
    says = "Connection refused"

    def __init__(self, rig: Named) -> None:
        super().__init__(rig.standby)
        self._rig = rig

    def end(self, on: Installation) -> None:
        super().end(on)
        self._rig.point_to(on.postgres)


class SwitchedOver(NameMoved):
    """As planned: the primary takes no more writes but goes on living when the name moves away from it."""

    title = "primary made read-only, its name moved to the promoted standby"
    says = "read-only"

    def begin(self, on: Installation) -> None:
        on.postgres.psql("ALTER SYSTEM SET default_transaction_read_only = on")
        on.postgres.psql("SELECT pg_reload_conf()")


class LinkDown(Fault):
    """Nothing goes through and nobody says so: no reset, no ICMP."""

    title = "network black-holed, both ways"
    says = "no answer in time"

    def __init__(self, network: Network) -> None:
        self._network = network

    def begin(self, on: Installation) -> None:
        self._network.inside("link", "set", "far", "down")

    def end(self, on: Installation) -> None:
        self._network.inside("link", "set", "far", "up")


class RepliesLost(Fault):
    """What the instances send arrives, COMMITs too, but no answer comes back."""

    title = "network black-holed, answers only"
    says = "no answer in time"

    def __init__(self, network: Network) -> None:
        self._network = network

    def begin(self, on: Installation) -> None:
        self._network.inside("route", "add", "blackhole", f"{self._network.near}/32")

    def end(self, on: Installation) -> None:
        self._network.inside("route", "delete", "blackhole", f"{self._network.near}/32")


class DataDiskFull(Fault):
    """The documents cannot grow: what needs room is refused, reads go on."""

    title = "disk of the documents full"
    readiness = Readiness.KEPT
    held_s = 1.5

    def __init__(self, disk: SmallDisk) -> None:
        self._disk = disk

    def begin(self, on: Installation) -> None:
        self._disk.fill()

    def end(self, on: Installation) -> None:
        self._disk.free()


class LogDiskFull(Fault):
    """The write-ahead log cannot grow: the server gives up, and is started again once there is room."""

    title = "disk of the write-ahead log full"

    def __init__(self, disk: SmallDisk) -> None:
        self._disk = disk

    def begin(self, on: Installation) -> None:
        self._disk.fill()
        on.postgres.psql("SELECT pg_switch_wal()")  # else what is left of the file in use would do for a while

    def end(self, on: Installation) -> None:
        self._disk.free()
        on.postgres.stop()  # it has given up by itself: its recovery needs room too
        on.postgres.start()
