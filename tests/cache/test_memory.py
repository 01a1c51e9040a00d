"""The process' own cache: what it keeps, drops and never exceeds."""

from hypothesis import given
from hypothesis import strategies as st

from titan.cache.memory import ENTRY_BYTES, Memory
from titan.store.contract import Stored

MUCH = 1 << 20


def stored(name: str = "one", revision: int = 1, size: int = 10) -> Stored:
    return Stored(name, revision, 0, b"x" * size)


def put(memory: Memory, one: Stored, *, with_blobs: bool = False) -> None:
    memory.put(one.id.encode(), one, with_blobs=with_blobs)


def get(memory: Memory, name: str = "one", *, with_blobs: bool = False) -> Stored | None:
    return memory.get(name.encode(), name, with_blobs=with_blobs)


def test_what_was_put_is_found_in_its_variant():
    memory = Memory(MUCH)
    put(memory, stored())
    assert get(memory) == stored()
    assert get(memory, with_blobs=True) is None


def test_a_key_of_another_id_is_no_hit():
    memory = Memory(MUCH)
    put(memory, stored())
    assert memory.get(b"one", "another", with_blobs=False) is None


def test_the_newer_one_stays_whichever_comes_last():
    memory = Memory(MUCH)
    put(memory, stored(revision=2))
    put(memory, stored(revision=1))
    assert get(memory) == stored(revision=2)
    assert len(memory) == 1


def test_what_is_named_is_dropped_unless_it_is_as_new():
    memory = Memory(MUCH)
    put(memory, stored(revision=2))
    put(memory, stored(revision=2), with_blobs=True)
    memory.named(b"one", 2)
    assert get(memory) is not None
    memory.named(b"one", 3)
    assert get(memory) is None
    assert get(memory, with_blobs=True) is None
    assert memory.bytes == 0


def test_the_least_recently_used_goes_first():
    room = 20 * (ENTRY_BYTES + 14)
    memory = Memory(room)
    for number in range(20):
        put(memory, stored(f"{number:04d}"))
    assert get(memory, "0000") is not None
    put(memory, stored("0020"))
    assert get(memory, "0001") is None
    assert get(memory, "0000") is not None


def test_what_is_large_is_not_kept():
    memory = Memory(MUCH)
    put(memory, stored(size=MUCH // 8))
    assert get(memory) is None


def test_without_room_nothing_is_kept():
    memory = Memory(0)
    put(memory, stored())
    assert get(memory) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5), st.integers(0, 3000), st.sampled_from("pgn"))))
def test_its_count_of_bytes_is_right_and_within_the_limit(steps):
    memory = Memory(64_000)
    for number, revision, size, what in steps:
        name = f"d{number}"
        match what:
            case "p":
                put(memory, stored(name, revision, size))
            case "g":
                get(memory, name)
            case _:
                memory.named(name.encode(), revision)
        assert memory.bytes <= memory.max_bytes
    left = [entry for entry in (get(memory, f"d{number}") for number in range(10)) if entry is not None]
    assert memory.bytes == sum(len(entry.body) + len(entry.id) + ENTRY_BYTES for entry in left)
    memory.clear()
    assert (memory.bytes, len(memory)) == (0, 0)
