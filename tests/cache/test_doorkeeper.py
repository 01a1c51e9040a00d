"""Which documents are worth a place in a cache."""

from titan.cache.doorkeeper import Doorkeeper


def test_it_knows_who_came_before():
    keeper = Doorkeeper()
    assert not keeper.has_seen(b"a")
    assert not keeper.has_seen(b"b")
    assert keeper.has_seen(b"a")
    assert keeper.has_seen(b"a")


def test_it_forgets_at_the_latest_after_twice_as_many_as_it_remembers_and_never_before_it_has_seen_as_many():
    keeper = Doorkeeper(remembered=10)
    keeper.has_seen(b"a")
    for number in range(9):
        keeper.has_seen(bytes([number]))
    assert keeper.has_seen(b"a")
    for number in range(100, 110):
        keeper.has_seen(bytes([number]))
    assert keeper.has_seen(b"a")
    for number in range(40):
        keeper.has_seen(bytes([number]))
    assert not keeper.has_seen(b"a")


def test_who_keeps_coming_is_not_forgotten():
    keeper = Doorkeeper(remembered=10)
    keeper.has_seen(b"a")
    for number in range(200):
        keeper.has_seen(bytes([number]))
        assert keeper.has_seen(b"a")


def test_it_remembers_no_more_than_two_generations():
    keeper = Doorkeeper(remembered=10)
    for number in range(1000):
        keeper.has_seen(str(number).encode())
    assert len(keeper._new) + len(keeper._old) <= 20
