import pytest
import trio

from supervisors.kernel import GiveUp, Strategy
from tests.supervisors.kernel.scenario import Stage


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["!b", "-b", "+b"]),
        (Strategy.REST_FOR_ONE, ["!b", "-b", "-d", "-c", "+b", "+c", "+d"]),
        (Strategy.ONE_FOR_ALL, ["!b", "-b", "-d", "-c", "-a", "+a", "+b", "+c", "+d"]),
    ],
)
async def test_a_crash_restarts_those_who_share_its_fate_and_nobody_else(autojump_clock, strategy, expected):
    stage = Stage()
    b = stage.actor("b", crash_after_s=1, crashes=1)
    async with stage.play(stage.actor("a"), b, stage.actor("c"), stage.actor("d"), strategy=strategy):
        assert stage.did() == ["+a", "+b", "+c", "+d"]
        stage.log.clear()
        await trio.sleep(5)
        assert stage.did() == expected


async def test_the_root_gives_up_with_every_exit_as_its_cause(autojump_clock):
    stage = Stage()
    with pytest.RaisesGroup(GiveUp) as caught:
        async with stage.play(stage.actor("a", crash_after_s=1), stage.actor("b")) as tree:
            await tree.wait_finished()
    assert [type(error) for error in caught.value.exceptions] == [GiveUp]
    cause = caught.value.exceptions[0].__cause__
    assert isinstance(cause, ExceptionGroup)
    assert list(cause.exceptions) == stage.errors()[:-1]
