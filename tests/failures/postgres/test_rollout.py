"""Operators restart the instances of one database in turn, and migrate it, while clients write, read and follow.

Two programs serve side by side: today's, and one that is today's with one more migration. ./dev chaos does it longer,
and with restarts alone.
"""

from tests.chaos.installation import installed
from tests.chaos.rollout import EXPECTED, POOL, roll_out_and_back, under_load
from titan.store.schema import NEWEST_SCHEMA


def test_no_request_fails_while_schema_and_program_are_replaced_and_taken_back(postgres, tmp_path):
    with installed(postgres, tmp_path, settings=POOL) as here:
        with under_load(here, tmp_path) as load:
            roll_out_and_back(here, load.sent, requests=600)
        schema = here.postgres.psql("SELECT revision FROM titan_schema", here.database)

    sent = load.sent
    assert sent.lost() == []
    assert load.missed == []
    assert set(sent.statuses()) == EXPECTED
    assert len(sent.outcomes) >= 1_000  # else it met no load worth the name
    assert schema == NEWEST_SCHEMA
