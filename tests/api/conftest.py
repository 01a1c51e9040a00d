import pytest

from tests.support.client import Client
from tests.support.memory_store import MemoryStore
from titan.api.services import Services


@pytest.fixture
def services():
    return Services(MemoryStore())


@pytest.fixture
def client(services):
    return Client(services)
