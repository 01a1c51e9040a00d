"""The balancers' files that users get let through what the server takes, and keep to themselves what is operators'."""

import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.bench.twins import submodel
from tests.support import haproxy, nginx
from tests.support.balancer import Balancing
from tests.support.documents import shell
from tests.support.events import following
from tests.support.server import free_port, serving
from tests.support.websocket import UPGRADE, telling
from titan.api.results import CODES
from titan.model.identifiers import encode_identifier

SOON_S = 10.0
"""Less than the 15 s after which a stream says something in any case."""

BALANCERS = {"nginx": nginx.balancing, "haproxy": haproxy.balancing}


@pytest.fixture(scope="module", params=BALANCERS)
def balancing(request: pytest.FixtureRequest) -> Balancing:
    return BALANCERS[request.param]


@pytest.fixture(scope="module")
def proxied(tmp_path_factory, balancing: Balancing):
    """One instance behind a balancer, and a second address where nobody listens."""
    folder = tmp_path_factory.mktemp("balancer")
    with (
        serving(folder / "data") as instance,
        balancing(folder / "proxy", [instance.port, free_port()]) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client


def test_every_request_is_answered_though_half_of_the_instances_are_away(proxied):
    statuses = [
        proxied.post("/submodels", json={"modelType": "Submodel", "id": f"urn:half:{number}"}) for number in range(20)
    ]
    assert {answer.status_code for answer in statuses} == {201}


def test_an_id_of_2048_characters_comes_through_both_ways(proxied):
    document_id = "urn:" + "ß" * 2044
    headers = {"Content-Type": "application/json"}
    created = proxied.post("/submodels", content=submodel(document_id, 16384), headers=headers)
    assert created.status_code == 201
    path = "/submodels/" + encode_identifier(document_id)
    assert urllib.parse.urlsplit(created.headers["Location"]).path.endswith(path)
    assert proxied.get(path).json()["id"] == document_id


def test_two_ids_of_the_longest_kind_fit_into_one_request(proxied):
    longest = encode_identifier("\U0001f527" * 2048)
    answer = proxied.get(f"/shells/{longest}/submodels/{longest}")
    assert answer.status_code in {404, 501}
    assert answer.json()["messages"]


def test_a_body_as_large_as_the_server_takes_reaches_it(proxied):
    answer = proxied.post("/submodels", content=b" " * (8 * 1024 * 1024), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["messages"]


def test_what_is_too_large_is_answered_as_the_standard_has_it(proxied):
    answer = proxied.post("/submodels", content=b" " * (8 * 1024 * 1024 + 1))
    assert_result(answer, 413)


def assert_result(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    assert [message["code"] for message in answer.json()["messages"]] == [CODES.get(status, f"HTTP{status}")]


class Dying(BaseHTTPRequestHandler):
    """An instance that ends each time that it has got a write, before it answers; ready otherwise."""

    server: "Instance"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.writes += 1

    def log_message(self, *_: object) -> None:
        pass


class Instance(ThreadingHTTPServer):
    writes = 0


def test_a_write_that_an_instance_may_have_carried_out_is_sent_to_no_other_one(balancing: Balancing, tmp_path):
    with Instance(("127.0.0.1", 0), Dying) as one, Instance(("127.0.0.1", 0), Dying) as other:
        for instance in (one, other):
            threading.Thread(target=instance.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            with balancing(tmp_path, [one.server_port, other.server_port]) as url:
                assert_result(httpx.post(f"{url}/shells", content=b"{}", timeout=20), 502)
        finally:
            for instance in (one, other):
                instance.shutdown()
        assert one.writes + other.writes == 1


def test_a_file_passes_through_both_ways(proxied):
    assert proxied.post("/shells", json=shell("s")).status_code == 201
    target = "/shells/cw/asset-information/thumbnail"
    content = bytes(range(256)) * (20 * 4096)  # 20 MiB, more than any other body may have
    assert proxied.put(target, files={"file": ("big.bin", content)}).status_code == 204
    assert proxied.get(target).content == content
    assert proxied.put("/shells/bm9uZQ/asset-information/thumbnail", files={"file": content}).status_code == 404


async def test_events_pass_through_as_they_are_made(proxied):
    async with following(str(proxied.base_url)) as client:
        for number in range(3):
            assert proxied.post("/shells", json=shell(f"urn:proxied:{number}")).status_code == 201
            assert (await client.event(within_s=SOON_S))["subject"] == f"urn:proxied:{number}"


@pytest.mark.parametrize("path", ["/events/ws", "/api/v3.1/events/ws"])
def test_events_pass_through_a_websocket_too(proxied, path):
    with telling(str(proxied.base_url), path=path) as client:
        assert proxied.put("/shells/dXJuOndz", json=shell("urn:ws")).status_code in {201, 204}
        assert client.event(within_s=SOON_S)["subject"] == "urn:ws"
    refused = proxied.get(f"{path}?cursr=x", headers=UPGRADE)
    assert (refused.status_code, refused.headers["Content-Type"]) == (400, "application/json")


@pytest.mark.parametrize("path", ["/metrics", "/system/tree", "//system/tree", "/%73ystem/tree"])
def test_what_is_for_operators_is_not_for_clients(proxied, path):
    assert proxied.get(path).status_code == 404


def test_elements_may_be_called_as_what_is_for_operators(proxied):
    for name in ("metrics", "system"):
        answer = proxied.get(f"/submodels/cw/submodel-elements/{name}")
        assert answer.headers["Content-Type"].startswith("application/json")  # of an instance, whatever it says


def test_the_rate_limit_is_each_clients_own_whatever_it_claims_to_be(balancing: Balancing, tmp_path):
    settings = {"TITAN_SECURITY__REQUESTS_PER_MINUTE": "3", "TITAN_HTTP__TRUSTED_PROXIES": "127.0.0.1"}
    with (
        serving(tmp_path / "data", settings=settings) as server,
        balancing(tmp_path / "proxy", [server.port]) as url,
    ):
        for address in ("127.0.0.2", "127.0.0.3"):
            with httpx.Client(transport=httpx.HTTPTransport(local_address=address)) as client:
                asked = [client.get(f"{url}/shells", headers={"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(4)]
            assert [answer.status_code for answer in asked] == [200, 200, 200, 429]
            assert asked[3].headers["RateLimit"].startswith('"client";r=0;t=')
            assert "Retry-After" in asked[3].headers
