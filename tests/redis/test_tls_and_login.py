"""TLS and users: what the operator gave is used, what is wrong with it is said, and a change on the server is found."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from trustme import CA

from tests.redis.test_client import get, set_and_get
from tests.support.redis import RedisServer, running_redis
from tests.support.redis_client import opened_redis
from tests.support.redis_programs import free_port
from tests.support.waiting import until
from titan.redis.contract import RedisAway, RedisRefused
from titan.redis.tls import Tls
from titan.telemetry.health import Status


@dataclass(frozen=True, slots=True)
class Secured:
    """A server whose TLS port asks for a certificate, as Redis does by default."""

    server: RedisServer
    port: int
    folder: Path

    def tls(self, *, ca: str = "ca.crt", cert: bool = True) -> Tls:
        ours = (self.folder / "client.crt", self.folder / "client.key") if cert else (None, None)
        return Tls(self.folder / ca, *ours)


@pytest.fixture(scope="module")
def secured(tmp_path_factory) -> Iterator[Secured]:
    folder, ca, port = tmp_path_factory.mktemp("tls"), CA(), free_port()
    ca.cert_pem.write_to_path(folder / "ca.crt")
    CA().cert_pem.write_to_path(folder / "other.crt")
    for name in ("server", "client"):
        issued = ca.issue_cert("localhost")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
    files = {"tls-cert-file": "server.crt", "tls-key-file": "server.key", "tls-ca-cert-file": "ca.crt"}
    settings = {name: str(folder / file) for name, file in files.items()}
    with running_redis(**{"tls-port": str(port), **settings}) as server:
        yield Secured(server, port, folder)


async def test_tls_with_a_certificate_of_ours(secured):
    async with opened_redis(f"rediss://localhost:{secured.port}", tls=secured.tls()) as it:
        assert await it.redis.run(set_and_get, "a", b"1") == b"1"


@pytest.mark.parametrize(
    ("host", "options", "reason"),
    [
        ("localhost", {"ca": "other.crt"}, "TLS failed: self-signed certificate in certificate chain"),
        ("127.0.0.1", {}, "TLS failed: IP address mismatch"),
        ("localhost", {"cert": False}, ""),  # what is seen of it depends on the moment: an alert, or an end
    ],
)
async def test_a_server_that_cannot_be_trusted_or_does_not_trust_us_is_away(secured, host, options, reason):
    url = f"rediss://{host}:{secured.port}"
    async with opened_redis(url, tls=secured.tls(**options), ready=False) as it:
        await it.wait(Status.DEGRADED)
        assert reason in it.check.result.detail
        assert it.redis.down_because is not None


async def test_plain_to_a_tls_port_is_said_to_be_away(secured):
    async with opened_redis(f"redis://127.0.0.1:{secured.port}", ready=False) as it:
        await it.wait(Status.DEGRADED)


async def test_a_user_with_no_more_rights_than_needed(server):
    server.cli("ACL", "SETUSER", "titan", "on", ">p/w@", "~titan:*", "+@all", "-@dangerous", "-@admin")
    async with opened_redis(server.url(login="titan:p%2Fw%40")) as it:
        assert await it.redis.run(set_and_get, "titan:a", b"1") == b"1"
        with pytest.raises(RedisRefused, match="NOPERM"):
            await it.redis.run(get, "other")
        assert it.actor.connected_clients is None  # INFO is dangerous, Redis says: the metric is absent
        assert it.redis.down_because is None
    assert "p/w@" not in str(it.lines)


@pytest.mark.parametrize("login", ["titan:wrong", "nobody:x", ":x"])
async def test_a_wrong_login_is_said_without_it(server, login):
    server.cli("ACL", "SETUSER", "titan", "on", ">right", "~*", "+@all")
    server.cli("CONFIG", "SET", "requirepass", "secret")
    try:
        async with opened_redis(server.url(login=login), ready=False) as it:
            await it.wait(Status.DEGRADED)
            assert "invalid username-password" in it.check.result.detail
            assert login.partition(":")[2] not in it.check.result.detail.partition("invalid")[0]
    finally:
        said = server.cli("--user", "titan", "--pass", "right", "CONFIG", "SET", "requirepass", "")
        assert said.startswith("OK")


async def test_a_user_that_is_taken_away_is_noticed_and_let_in_again(server):
    server.cli("ACL", "SETUSER", "titan", "on", ">pw", "~*", "+@all")
    async with opened_redis(server.url(login="titan:pw")) as it:
        server.cli("ACL", "DELUSER", "titan")
        await it.wait(Status.DEGRADED, within_s=2)
        with pytest.raises(RedisAway):
            await it.redis.run(get, "a")
        server.cli("ACL", "SETUSER", "titan", "on", ">pw", "~*", "+@all")
        await it.wait(Status.UP, within_s=2)
        await until(lambda: it.actor.connected_clients is not None)
