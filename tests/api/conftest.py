import pytest

from tests.support.client import Client
from tests.support.sqlite_files import fresh_database
from titan.api.services import Services
from titan.store.sqlite.store import open_sqlite_store


@pytest.fixture
async def services(tmp_path):
    async with open_sqlite_store(fresh_database(tmp_path / "titan.db")) as store:
        yield Services(store)


@pytest.fixture
def client(services):
    return Client(services)
