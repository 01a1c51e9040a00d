"""Large documents are worked on beside the loop, and leave the interpreter as they found it."""

import gc
import json
import threading

import pytest
import trio

from tests.support.documents import collection, prop, submodel
from titan.api.heavy import INLINE_MAX_BYTES, run


async def test_small_work_stays_on_the_loops_thread_and_large_work_does_not(services):
    here = threading.get_ident()
    assert await run(services, INLINE_MAX_BYTES, threading.get_ident) == here
    assert await run(services, INLINE_MAX_BYTES + 1, threading.get_ident) != here


async def test_the_collector_is_off_meanwhile_and_on_after(services):
    assert not await run(services, INLINE_MAX_BYTES + 1, gc.isenabled)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        await run(services, INLINE_MAX_BYTES + 1, lambda: 1 // 0)
    assert gc.isenabled()


async def test_the_loop_goes_on_while_a_large_document_is_read(client):
    document = submodel("s", submodelElements=[collection(f"Group{n}", prop(), prop("Second")) for n in range(6000)])
    body = json.dumps(document).encode()
    assert len(body) > 1 << 20
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await trio.sleep(0.001)
            beats += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        assert (await client("POST", "/submodels", body)).status == 201
        assert beats > 10
        beats = 0
        read = await client("GET", "/submodels?level=core")
        nursery.cancel_scope.cancel()
    assert len(read.json["result"][0]["submodelElements"]) == 6000
