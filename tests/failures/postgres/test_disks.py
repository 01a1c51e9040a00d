"""The server's disks are full."""

from tests.chaos import rooted
from tests.chaos.rigs import small_data, small_log
from tests.chaos.round import QUICK, play


def test_no_room_for_documents(folder, needs):
    """What needs room gets 507; reads go on, and writes too as soon as there is room again."""
    needs("mount")
    with small_data(folder) as rig:
        report = play(rig.installation, rooted.DataDiskFull(rig.disk), QUICK, seed=1)

    assert report.findings == []
    assert report.refused > 0


def test_no_room_for_the_write_ahead_log(folder, needs):
    """The server ends itself; nothing that it acknowledged is lost when it is started again with room."""
    needs("mount")
    with small_log(folder) as rig:
        report = play(rig.installation, rooted.LogDiskFull(rig.disk), QUICK, seed=2)

    assert report.findings == []
