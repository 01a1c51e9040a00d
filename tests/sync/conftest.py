"""A store of either kind and what is pulled into it."""

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from tests.contract.conftest import BACKENDS, made
from tests.support.fenced import fence
from tests.support.stand_in import StandIn, stand_in
from titan.store.contract import Fence, Kind, Store
from titan.sync.addresses import Allowed
from titan.sync.policy import Policy
from titan.sync.pull import pull
from titan.sync.report import Report
from titan.sync.source import Filter, Limits, Source

LOOPBACK = Allowed((ipaddress.ip_network("127.0.0.0/8"),))
POLICY = Policy(allowed=LOOPBACK, limits=Limits(connect_s=2.0, read_s=2.0, total_s=5.0))
ROLE = "external-sync"

EMBEDDED = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""For what does not depend on the store."""

Pull = Callable[..., Awaitable[Report]]


@pytest.fixture(params=BACKENDS)
def backend(request, tmp_path):
    with made(request.param, request, tmp_path) as backend:
        yield backend


@pytest.fixture
async def store(backend) -> AsyncIterator[Store]:
    async with backend.open() as opened:
        yield opened


@pytest.fixture
async def term(store: Store) -> Fence:
    return await fence(store, ROLE)


@pytest.fixture
def other() -> Iterator[StandIn]:
    with stand_in() as it:
        yield it


@pytest.fixture
def pull_it(store: Store, term: Fence, other: StandIn) -> Pull:
    """Pull from the stand-in once."""

    async def once(wanted: Filter | None = None, *, policy: Policy = POLICY, **members) -> Report:
        source = replace(Source("other", other.url, filter=wanted or Filter()), **members)
        return await pull(source, store, term, policy=policy)

    return once


def limited(**limits) -> Policy:
    """Return the policy with some limits that are others."""
    return replace(POLICY, limits=replace(POLICY.limits, **limits))


async def ids(store: Store, kind: Kind = Kind.SUBMODEL) -> list[str]:
    """Return what is there of a kind."""
    return sorted([stored.id async for stored in store.export(kind)])
