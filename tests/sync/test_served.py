"""As installed: servers that are configured to pull do it by themselves, on both stores, and say what came of it."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable

import httpx

from tests.support.documents import submodel
from tests.support.leaders import QUICK, leads
from tests.support.places import Place
from tests.support.server import Server, clean_environment, free_port, serving
from tests.support.stand_in import Asked, StandIn
from tests.support.waiting import wait_until
from titan.model.identifiers import encode_identifier

A = "urn:a"
ROLE = "external-sync"


def sources(url: str, **members: object) -> dict[str, str]:
    entry = {"name": "plant-b", "url": url, "interval_s": 1, "kinds": ["submodel"], **members}
    return {"TITAN_SYNC__SOURCES": json.dumps([entry]), "TITAN_SYNC__ALLOWED_NETWORKS": "127.0.0.0/8"}


def held(server: Server) -> dict[str, object]:
    answer = httpx.get(f"{server.url}/submodels", headers={"Cache-Control": "no-cache"}, trust_env=False)
    return {document["id"]: document for document in answer.json()["result"]}


def soon(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, within_s=30.0, what=what)


def test_a_server_follows_another_one_by_itself(place: Place, other: StandIn):
    other.put("submodels", submodel(A))
    settings = sources(other.url, token="secret")
    with place.serving("a", **settings) as server:
        soon(lambda: held(server) == {A: submodel(A)}, "the first document")
        other.put("submodels", submodel(A, idShort="New"), {**submodel("urn:bad"), "evil": 1})
        soon(lambda: held(server) == {A: submodel(A, idShort="New")}, "the change")
        soon(lambda: metric(server, "refused"), "the refusal in the metrics")
        assert metric(server, "created") == 1
        other.documents["submodels"].clear()
        soon(lambda: held(server) == {}, "the deletion")
        assert {asked.headers["authorization"] for asked in other.asked} == {"Bearer secret"}
        assert "secret" not in server.logs()
        soon(lambda: "external-sync:plant-b" in tasks(server, settings, place), "the task's run")


def metric(server: Server, outcome: str) -> float:
    lines = httpx.get(f"{server.url}/metrics", trust_env=False).text.splitlines()
    found = [line for line in lines if line.startswith("titan_sync_documents_total") and f'outcome="{outcome}"' in line]
    assert len(found) <= 1
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def tasks(server: Server, settings: dict[str, str], place: Place) -> str:
    own = {"TITAN_DATA_DIR": str(server.data_dir)}
    if place.database_url is not None:
        own["DATABASE_URL"] = place.database_url
    done = subprocess.run(
        [sys.executable, "-m", "titan", "tasks", "--json"],
        env=clean_environment({**own, **settings}),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_two_that_follow_each_other_hold_the_same_and_come_to_rest(tmp_path):
    ports = free_port(), free_port()
    with (
        serving(tmp_path / "a", port=ports[0], settings=sources(f"http://127.0.0.1:{ports[1]}")) as a,
        serving(tmp_path / "b", port=ports[1], settings=sources(f"http://127.0.0.1:{ports[0]}")) as b,
    ):
        homes = {"urn:of-a": a, "urn:of-b": b}
        for name, server in homes.items():
            put(server, submodel(name))
        soon(lambda: held(a).keys() == held(b).keys() == homes.keys(), "both documents on both")
        several_pulls(a, b)  # before that, a home takes the copy's content for the other server's own
        for name, server in homes.items():
            put(server, submodel(name, idShort="Edited"))
        edited = {name: submodel(name, idShort="Edited") for name in homes}
        soon(lambda: held(a) == held(b) == edited, "the edits on both")
        tags = [tag(server, name) for server in (a, b) for name in homes]
        several_pulls(a, b)
        assert [tag(server, name) for server in (a, b) for name in homes] == tags


def several_pulls(*servers: Server) -> None:
    """Wait for at least two whole pulls of each; one counts each of the two documents once."""
    seen = [metric(server, "unchanged") for server in servers]
    soon(
        lambda: all(metric(server, "unchanged") >= before + 6 for server, before in zip(servers, seen, strict=True)),
        "some more pulls of each",
    )


def put(server: Server, document: dict[str, object]) -> None:
    path = f"/submodels/{encode_identifier(str(document['id']))}"
    assert httpx.put(server.url + path, json=document, trust_env=False).status_code in {201, 204}


def tag(server: Server, document_id: str) -> str:
    return httpx.get(f"{server.url}/submodels/{encode_identifier(document_id)}", trust_env=False).headers["etag"]


def test_a_leader_killed_in_the_middle_of_a_pull_is_followed_by_one_that_goes_on(shared: Place, other: StandIn):
    """The other server holds back its fifth page until whoever asked for it is dead."""
    other.page_items = 5
    documents = {f"urn:{number:02}": submodel(f"urn:{number:02}") for number in range(40)}
    other.put("submodels", *documents.values())
    reached, is_dead = threading.Event(), threading.Event()

    def hold_back(asked: Asked) -> None:
        if asked.query.get("cursor") == "20":
            reached.set()
            assert is_dead.wait(60)

    other.instead = hold_back
    settings = {**QUICK, **sources(other.url, interval_s=3600), "TITAN_LOG_FORMAT": "json"}
    with shared.serving("a", **settings) as a, shared.serving("b", **settings) as b:
        assert reached.wait(30)
        leader, follower = (a, b) if leads(a, ROLE) else (b, a)
        before = revisions(follower)
        assert sorted(before) == list(documents)[:20]
        leader.kill()
        leader.wait()
        other.forget()
        is_dead.set()
        soon(lambda: held(follower) == documents, "the rest")
        pages = [asked.query.get("cursor") for asked in other.asked if asked.path == "/submodels"]
        assert pages == ["20", "25", "30", "35"]
        after = revisions(follower)
        assert {name: after[name] for name in before} == before, "what was there is not written again"
        assert metric(follower, "created") == 20
        assert leads(follower, ROLE)
        begun = [json.loads(line) for line in follower.logs().splitlines() if '"task begun"' in line]
        assert [line["resumed"] for line in begun if line["task"] == "external-sync:plant-b"] == [True]


def revisions(server: Server) -> dict[str, str]:
    """Return each document's entity tag."""
    return {name: etag(server, name) for name in held(server)}


def etag(server: Server, name: str) -> str:
    return httpx.get(f"{server.url}/submodels/{encode_identifier(name)}", trust_env=False).headers["ETag"]
