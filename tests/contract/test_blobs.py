"""Files that documents name, on every store."""

import hashlib
import re
from contextlib import aclosing
from dataclasses import replace

import pytest
import trio

from tests.support.fenced import fence, swept
from tests.support.store_documents import document
from titan.store.blobs import HEAD_BYTES, PIECE_BYTES
from titan.store.contract import Created, Idempotency, IfMatch, Kind, PreconditionFailed, Store, StoreUnavailable
from titan.store.contract import WriteMode as Mode

NEVER_MS = 1 << 50
"""A wall time to come: whatever nobody names is old enough."""


async def put(store: Store, *pieces: bytes) -> str:
    async with store.blobs.upload() as upload:
        for piece in pieces:
            await upload.write(piece)
        return await upload.finish()


async def content(store: Store, key: str) -> bytes:
    async with aclosing(store.blobs.read(key)) as pieces:
        return b"".join([piece async for piece in pieces])


def naming(*keys: str, name: str = "urn:test:one"):
    return replace(document(name), blobs=frozenset(keys))


async def is_there(store: Store, key: str) -> bool:
    return await store.blobs.look(key) is not None


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES + 7])
async def test_what_went_in_comes_out(store, size):
    whole = bytes(number * 7 % 251 for number in range(size))
    key = await put(store, *(whole[at : at + 60_000] for at in range(0, size, 60_000)))
    assert await content(store, key) == whole
    looked = await store.blobs.look(key)
    assert (looked.size, looked.head) == (size, whole[:HEAD_BYTES])


async def test_a_file_in_one_piece_is_read_in_small_ones(store):
    key = await put(store, bytes(3 << 20))
    async with aclosing(store.blobs.read(key)) as pieces:
        sizes = [len(piece) async for piece in pieces]
    assert max(sizes) <= PIECE_BYTES
    assert sum(sizes) == 3 << 20


async def test_a_key_says_what_the_content_is_and_is_never_used_twice(store):
    keys = {await put(store, b"same") for _ in range(3)}
    assert len(keys) == 3
    for key in keys:
        assert re.fullmatch("[0-9a-f]{64}-[0-9a-f]{32}", key)
        assert key.startswith(hashlib.sha256(b"same").hexdigest())


@pytest.mark.parametrize(
    "key", ["", "x", "../../etc/passwd", "0" * 97, "A" * 64 + "-" + "0" * 32, "0" * 64 + "-" + "0" * 32]
)
async def test_what_is_no_key_or_nobodys_is_not_there(store, key):
    assert await store.blobs.look(key) is None
    with pytest.raises(StoreUnavailable):
        await content(store, key)


async def test_an_upload_that_breaks_off_is_no_file(store):
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with store.blobs.upload() as upload:
            await upload.write(bytes(2 * PIECE_BYTES))
            raise ZeroDivisionError
    with trio.move_on_after(0.2):
        async with store.blobs.upload() as upload:
            await upload.write(bytes(2 * PIECE_BYTES))
            await trio.sleep_forever()
    async with store.blobs.upload():
        pass
    assert await swept(store, before_ms=NEVER_MS) == 0


async def test_what_no_document_names_is_swept_and_nothing_else(store):
    named, loose = await put(store, b"named"), await put(store, b"loose")
    await store.write(naming(named), Mode.CREATE)
    assert await swept(store, before_ms=1) == 0
    assert await swept(store, before_ms=NEVER_MS) == 1
    assert await content(store, named) == b"named"
    assert not await is_there(store, loose)
    with pytest.raises(StoreUnavailable):
        await content(store, loose)
    assert await swept(store, before_ms=NEVER_MS) == 0


async def test_many_are_swept_at_once(store):
    for number in range(12):
        await put(store, b"%d" % number)
    assert await swept(store, before_ms=NEVER_MS) == 12


async def test_replacing_the_document_lets_go_of_what_it_no_longer_names(store):
    old, new = await put(store, b"old"), await put(store, b"new")
    await store.write(naming(old), Mode.CREATE)
    await store.write(naming(new), Mode.REPLACE)
    assert await swept(store, before_ms=NEVER_MS) == 1
    assert [await is_there(store, key) for key in (old, new)] == [False, True]


async def test_replacing_the_document_keeps_what_it_still_names(store):
    key = await put(store, b"kept")
    await store.write(naming(key), Mode.PUT)
    await store.write(replace(naming(key), header=b'{"id":"urn:test:one","text":"other"}'), Mode.PUT)
    assert await swept(store, before_ms=NEVER_MS) == 0
    assert await is_there(store, key)


async def test_deleting_the_document_lets_go_of_all(store):
    keys = [await put(store, b"a"), await put(store, b"b")]
    await store.write(naming(*keys), Mode.CREATE)
    await store.delete(Kind.SHELL, "urn:test:one")
    assert await swept(store, before_ms=NEVER_MS) == 2


async def test_a_file_that_two_documents_name_stays_until_both_let_go(store):
    key = await put(store, b"shared")
    await store.write(naming(key, name="urn:a"), Mode.CREATE)
    await store.write(naming(key, name="urn:b"), Mode.CREATE)
    await store.delete(Kind.SHELL, "urn:a")
    assert await swept(store, before_ms=NEVER_MS) == 0
    await store.write(naming(name="urn:b"), Mode.PUT)
    assert await swept(store, before_ms=NEVER_MS) == 1


async def test_letting_go_gives_the_file_its_time_anew(store):
    """So that whoever reads it, or puts the old document back, still finds it."""
    key = await put(store, b"x")
    await store.write(naming(key), Mode.CREATE)
    written = (await store.write(naming(), Mode.PUT)).modified_ms
    assert await swept(store, before_ms=written) == 0
    await store.write(naming(key), Mode.PUT)
    assert await swept(store, before_ms=NEVER_MS) == 0
    assert await content(store, key) == b"x"


async def test_a_document_may_name_what_is_not_there(store):
    unknown = "0" * 64 + "-" + "0" * 32
    assert isinstance(await store.write(naming(unknown), Mode.CREATE), Created)
    assert not await is_there(store, unknown)


async def test_a_refused_write_names_nothing_and_lets_nothing_go(store):
    old, new = await put(store, b"old"), await put(store, b"new")
    await store.write(naming(old), Mode.CREATE)
    refused = await store.write(naming(new), Mode.PUT, precondition=IfMatch((1 << 40,)))
    assert isinstance(refused, PreconditionFailed)
    assert await swept(store, before_ms=NEVER_MS) == 1
    assert [await is_there(store, key) for key in (old, new)] == [True, False]


async def test_a_replayed_write_changes_nothing(store):
    key = await put(store, b"x")
    once = Idempotency(b"scope", b"request")
    await store.write(naming(), Mode.CREATE, idempotency=once)
    await store.write(naming(key), Mode.PUT)
    await store.write(naming(), Mode.CREATE, idempotency=once)
    assert await swept(store, before_ms=NEVER_MS) == 0


async def test_what_one_instance_took_every_other_one_gives(backend):
    async with backend.open() as here, backend.open() as there:
        key = await put(here, b"x" * PIECE_BYTES, b"y")
        await there.write(naming(key), Mode.CREATE)
        assert await swept(here, before_ms=NEVER_MS) == 0
        assert await content(there, key) == b"x" * PIECE_BYTES + b"y"


async def test_it_is_there_after_everything_was_closed(backend):
    async with backend.open() as store:
        key = await put(store, b"x")
        await store.write(naming(key), Mode.CREATE)
    async with backend.open() as store:
        assert await content(store, key) == b"x"


async def test_uploads_side_by_side_do_not_mix(store):
    keys: dict[int, str] = {}

    async def one(number: int) -> None:
        keys[number] = await put(store, *([bytes([number]) * 100_000] * (number + 1)))

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(one, number)
    for number, key in keys.items():
        assert await content(store, key) == bytes([number]) * 100_000 * (number + 1)


async def test_naming_and_sweeping_at_the_same_time_never_leaves_a_named_file_away(backend):
    """Whichever comes first wins whole; what is noted as named is there (the backend looks afterwards)."""
    async with backend.open() as here, backend.open() as there:
        keys = [await put(here, b"%d" % number) for number in range(20)]
        term = await fence(here)

        async def sweep() -> None:
            await here.blobs.sweep(before_ms=NEVER_MS, fence=term)

        async def name(number: int) -> None:
            await there.write(naming(keys[number], name=f"urn:{number}"), Mode.CREATE)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(name, number)
                nursery.start_soon(sweep)
        left = [key for key in keys if await is_there(here, key)]
        await sweep()
        assert [key for key in keys if await is_there(here, key)] == left
