"""No connection goes where it may not: whatever a name, a URL, a redirect or the environment says (reliability C9)."""

import ipaddress
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
import trio
import trustme

from tests.support.documents import submodel
from tests.support.stand_in import Said, stand_in
from tests.sync.conftest import EMBEDDED, POLICY, ids
from titan.sync.addresses import Allowed
from titan.sync.policy import Policy
from titan.sync.pull import pull
from titan.sync.report import Report
from titan.sync.source import Source

pytestmark = EMBEDDED  # whose connections are none that could be taken for a pull's

A = "urn:a"


@dataclass
class Connections:
    """Where this process connected to or sent datagrams to, as Python's audit events tell it."""

    addresses: list[str] = field(default_factory=list)
    is_on: bool = False

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.is_on and event in {"socket.connect", "socket.sendto"}:
            address = arguments[1]
            self.addresses.append(str(address[0]) if isinstance(address, tuple) else str(address))


RECORDED = Connections()
sys.addaudithook(RECORDED.hook)  # once: a hook cannot be taken away again


@pytest.fixture
def connections() -> Iterator[Connections]:
    RECORDED.addresses.clear()
    RECORDED.is_on = True
    yield RECORDED
    RECORDED.is_on = False


@pytest.fixture
def pull_from(store, term, connections):
    """Pull from a URL."""

    async def once(url: str, policy: Policy, **options) -> Report:
        return await pull(Source("s", url, **options.pop("members", {})), store, term, policy=policy, **options)

    return once


def only(*networks: str) -> Policy:
    return replace(POLICY, allowed=Allowed(tuple(map(ipaddress.ip_network, networks))))


NOWHERE = replace(POLICY, allowed=Allowed())
"""What is in force without any setting."""


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",  # decimal
        "0x7f000001",  # hexadecimal
        "0x7f.1",
        "017700000001",  # octal
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "[::ffff:169.254.169.254]",
        "[fe80::1%25lo]",
        "10.0.0.1",
        "192.168.0.1",
        "[fd00:ec2::254]",
        "127.0.0.1.",
    ],
)
async def test_a_url_that_leads_inside_is_not_connected_to(host, other, pull_from, connections):
    report = await pull_from(f"http://{host}:{other.port}", NOWHERE)
    assert report.failure is not None
    assert "not connected" in report.failure or "cannot be resolved" in report.failure, report.failure
    assert connections.addresses == []
    assert other.asked == []


async def test_a_name_that_leads_inside_is_not_connected_to(other, pull_from, connections):
    for address in ("127.0.0.1", "::1", "169.254.169.254", "10.1.2.3", "fe80::1%lo"):

        async def resolve(host: str, port: int, address: str = address) -> list[str]:
            return [address]

        report = await pull_from(f"http://aas.example:{other.port}", NOWHERE, resolve=resolve)
        assert "not connected: aas.example" in (report.failure or "")
    assert connections.addresses == []


async def test_of_a_names_addresses_only_the_allowed_ones_are_tried(other, pull_from, connections):
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.3", "169.254.169.254", "127.0.0.1", "::1"]

    report = await pull_from(f"http://aas.example:{other.port}", only("127.0.0.1/32"), resolve=resolve)
    assert report.failure is None
    assert set(connections.addresses) == {"127.0.0.1"}
    assert {asked.headers["host"] for asked in other.asked} == {f"aas.example:{other.port}"}


async def test_a_name_that_changes_its_address_is_checked_anew_for_each_connection(other, pull_from, connections):
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.3"]

    def closing(_asked):
        other.instead = lambda _: None
        return Said(200, b'{"paging_metadata":{"cursor":"0"},"result":[]}', {"Connection": "close"})

    other.instead = closing
    report = await pull_from(f"http://aas.example:{other.port}", only("127.0.0.1/32"), resolve=resolve)
    assert "127.0.0.3 is not in sync.allowed_networks" in (report.failure or "")
    assert connections.addresses == ["127.0.0.1"]
    assert len(asked) > 1


async def test_a_redirect_is_not_followed(other, store, pull_from, connections):
    with stand_in() as trap:
        for status in (301, 302, 303, 307, 308):
            other.instead = lambda _asked, status=status: Said(status, headers={"Location": f"{trap.url}/submodels"})
            report = await pull_from(other.url, only("127.0.0.0/8"))
            assert report.failure == f"the server answers {status}; redirects are not followed"
        assert trap.asked == []


async def test_nothing_of_the_environment_is_obeyed(other, store, pull_from, monkeypatch, tmp_path):
    other.put("submodels", submodel(A))
    with stand_in() as trap:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, trap.url)
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login titan password secret\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        assert (await pull_from(other.url, only("127.0.0.0/8"))).failure is None
        assert trap.asked == []
    assert await ids(store) == [A]
    assert all("authorization" not in asked.headers for asked in other.asked)


async def test_cookies_are_not_kept(other, pull_from):
    other.put("submodels", submodel(A))
    other.instead = lambda asked: None if asked.path != "/shells" else Said(404, headers={"Set-Cookie": "a=b"})
    await pull_from(other.url, only("127.0.0.0/8"))
    other.instead = lambda _: None
    await pull_from(other.url, only("127.0.0.0/8"))
    assert all("cookie" not in asked.headers for asked in other.asked)


@pytest.mark.parametrize(("name", "is_believed"), [("aas.example", True), ("other.example", False)])
async def test_tls_is_spoken_to_the_name_whatever_its_address(name, is_believed, store, pull_from, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("aas.example").configure_cert(context)

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with stand_in(context) as other:
        other.put("submodels", submodel(A))
        report = await pull_from(
            f"https://{name}:{other.port}",
            only("127.0.0.1/32"),
            resolve=resolve,
            members={"ca_file": tmp_path / "ca.pem"},
        )
        assert (report.failure is None) is is_believed
        assert is_believed or "certificate" in (report.failure or "")
        assert await ids(store) == ([A] if is_believed else [])
        unknown = await pull_from(f"https://{name}:{other.port}", only("127.0.0.1/32"), resolve=resolve)
        assert "certificate" in (unknown.failure or "")


async def test_authorities_that_cannot_be_read_are_a_failure_of_that_pull(pull_from, tmp_path):
    report = await pull_from("https://127.0.0.1", only("127.0.0.1/32"), members={"ca_file": tmp_path / "none"})
    assert "ca_file" in (report.failure or "")


async def test_a_resolver_that_does_not_answer_takes_no_longer_than_connecting_may(pull_from, connections):
    async def resolve(host: str, port: int) -> list[str]:
        await trio.sleep_forever()
        raise AssertionError

    policy = replace(only("127.0.0.1/32"), limits=replace(POLICY.limits, connect_s=0.1))
    with trio.fail_after(3):
        report = await pull_from("http://aas.example", policy, resolve=resolve)
    assert "in time" in (report.failure or "")
    assert connections.addresses == []
