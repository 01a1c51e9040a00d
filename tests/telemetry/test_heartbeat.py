"""The heart beats every half second on trio's clock; how late it is, and how old the last beat is, can be asked."""

import trio

from titan.telemetry.heartbeat import INTERVAL_S, WINDOW_BEATS, Heartbeat


async def test_before_the_first_beat_nothing_is_fresh():
    assert not Heartbeat().is_fresh(1e9)
    assert Heartbeat().lag_s == 0


async def test_a_beat_is_fresh_for_the_time_asked_about(autojump_clock):
    heart = Heartbeat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heart.run)
        await trio.sleep(10.25)
        assert heart.is_fresh(0.26)
        assert not heart.is_fresh(0.24)
        assert heart.lag_s == 0
        nursery.cancel_scope.cancel()


async def test_a_heart_that_stopped_gets_stale(autojump_clock):
    heart = Heartbeat()
    with trio.move_on_after(3.1):
        await heart.run()
    assert heart.is_fresh()
    await trio.sleep(5)
    assert not heart.is_fresh()


async def test_a_late_beat_shows_as_lag_until_it_leaves_the_window(mock_clock):
    heart = Heartbeat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heart.run)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(INTERVAL_S + 2)  # nobody had a turn for 2 s
        await trio.testing.wait_all_tasks_blocked()
        assert heart.lag_s == 2
        for _ in range(WINDOW_BEATS):
            assert heart.lag_s == 2
            mock_clock.jump(INTERVAL_S)
            await trio.testing.wait_all_tasks_blocked()
        assert heart.lag_s == 0
        nursery.cancel_scope.cancel()
