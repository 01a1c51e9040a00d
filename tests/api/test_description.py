"""/description promises what is served, no more and no less."""

from tests.support.shared import shared_json
from titan.api.description import PROFILES
from titan.api.operations import OPERATIONS


async def test_it_answers_the_profiles_alone(client):
    answer = await client("GET", "/description")
    assert (answer.status, answer.json) == (200, {"profiles": list(PROFILES)})


def test_an_official_profile_is_listed_exactly_if_all_its_operations_work():
    built = {(row.method, row.path) for row in OPERATIONS if row.handler}
    wanted: dict[str, set[tuple[str, str]]] = {}
    for row in shared_json("spec/operations_v3.1.2.json")["operations"]:
        for profile in row["profiles"]:
            wanted.setdefault(profile, set()).add((row["method"], row["path"]))
    assert len(wanted) == 27
    complete = {profile for profile, operations in wanted.items() if operations <= built}
    assert {profile for profile in PROFILES if profile.startswith("https://admin-shell.io/")} == complete
    assert PROFILES
