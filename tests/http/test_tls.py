"""TLS from files: versions, reloading, expiry, slow handshakes."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives import serialization
from trustme import CA

from supervisors.actors import http as http_actor
from tests.http.support import Client, large, running
from tests.supervisors.actors.support import instance
from tests.support.waiting import until
from titan.http.limits import HttpLimits
from titan.http.tls import BadCertificate, TlsCertificate

EXPIRES = datetime(2040, 1, 1, tzinfo=UTC)


class Files:
    """A certificate and its key on disk, which can be replaced."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.certificate = folder / "tls.crt"
        self.key = folder / "tls.key"
        self.ca = CA()
        self.write()

    def write(self, *, name: str = "localhost", expires: datetime = EXPIRES) -> None:
        issued = self.ca.issue_cert(name, not_after=expires)
        self.key.write_bytes(issued.private_key_pem.bytes())
        self.certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))

    def load(self) -> TlsCertificate:
        return TlsCertificate(self.certificate, self.key)

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@asynccontextmanager
async def connected(port: int, context: ssl.SSLContext, name: str = "localhost") -> AsyncIterator[Client]:
    transport = await trio.open_tcp_stream("127.0.0.1", port)
    stream = trio.SSLStream(transport, context, server_hostname=name, https_compatible=True)
    async with stream:
        await stream.do_handshake()
        yield Client(stream)


async def test_it_serves_over_tls_with_hsts(files):
    async with running(tls=files.load()) as site, connected(site.port, files.client_context()) as client:
        for _ in range(2):
            reply = await client.ask("GET /things")
            assert reply.status == 200
            assert reply.headers["strict-transport-security"].startswith("max-age=")


async def test_plain_http_says_nothing_of_hsts():
    async with running() as site, await site.connect() as client:
        assert "strict-transport-security" not in (await client.ask("GET /things")).headers


async def test_only_http_1_1_is_negotiated(files):
    context = files.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with running(tls=files.load()) as site, connected(site.port, context) as client:
        assert isinstance(client.stream, trio.SSLStream)
        assert client.stream.selected_alpn_protocol() == "http/1.1"
        assert (await client.ask("GET /things")).status == 200


async def test_tls_1_1_is_refused(files):
    context = files.client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with running(tls=files.load()) as site:
        with pytest.raises(trio.BrokenResourceError):
            async with connected(site.port, context):
                pass
        await until(lambda: site.server.connections == 0)
        assert site.seen.connection_failures == []


async def test_a_client_that_speaks_plain_http_is_closed(files):
    async with running(tls=files.load()) as site, await site.connect() as client:
        await client.send(b"GET /things HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(2), suppress(trio.BrokenResourceError):
            while await client.stream.receive_some():
                pass
        await until(lambda: site.server.connections == 0)
        assert site.seen.connection_failures == []


async def test_a_handshake_that_takes_too_long_is_closed(files):
    limits = HttpLimits(handshake_timeout_s=0.2)
    async with running(limits=limits, tls=files.load()) as site, await site.connect() as client:
        began = trio.current_time()
        assert await client.is_closed()
        assert 0.15 < trio.current_time() - began < 3


async def test_a_large_answer_that_is_not_read_is_cut_off(files):
    limits = HttpLimits(write_timeout_s=0.2)
    async with running(large, limits, tls=files.load()) as site, connected(site.port, files.client_context()) as client:
        await client.send(b"GET /things HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: site.server.connections == 0)
        assert site.seen.connection_failures == []


async def test_after_the_last_answer_the_client_sees_the_end_at_once(files):
    limits = HttpLimits(linger_s=60)
    async with running(limits=limits, tls=files.load()) as site, connected(site.port, files.client_context()) as client:
        reply = await client.ask("GET /things\nConnection: close")
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await client.is_closed()


async def test_new_files_serve_new_connections_and_old_ones_go_on(files, monkeypatch):
    monkeypatch.setattr(http_actor, "CERTIFICATE_CHECK_S", 0.02)
    certificate = files.load()
    assert certificate.expires_at == EXPIRES.timestamp()
    async with instance(tls=certificate) as site, connected(site.port, files.client_context()) as old:
        files.write(name="other.test", expires=datetime(2041, 1, 1, tzinfo=UTC))
        await until(lambda: site.seen.certificates[-1:] == [datetime(2041, 1, 1, tzinfo=UTC).timestamp()])
        async with connected(site.port, files.client_context(), "other.test") as new:
            assert (await new.ask("GET /things")).status == 200
        assert (await old.ask("GET /things")).status == 200
        assert certificate.expires_at == datetime(2041, 1, 1, tzinfo=UTC).timestamp()


async def test_broken_new_files_keep_the_old_certificate_and_are_named_once(files, monkeypatch):
    monkeypatch.setattr(http_actor, "CERTIFICATE_CHECK_S", 0.02)
    async with instance(tls=files.load()) as site:
        files.key.write_text("no key")
        await until(lambda: bool(site.seen.certificates))
        await trio.sleep(0.1)  # several looks
        (said,) = site.seen.certificates
        assert str(files.key) in str(said)
        async with connected(site.port, files.client_context()) as client:
            assert (await client.ask("GET /things")).status == 200
        files.write()
        await until(lambda: site.seen.certificates[-1] == EXPIRES.timestamp())


def test_what_is_wrong_with_the_files_is_said(files, tmp_path):
    other = Files(tmp_path / "other")
    cases = {
        "the key does not belong to the certificate": (files.certificate, other.key),
        "No such file or directory": (files.certificate, tmp_path / "absent"),
        "not readable as PEM": (files.key, files.key),
    }
    for reason, (certificate, key) in cases.items():
        with pytest.raises(BadCertificate, match=reason):
            TlsCertificate(certificate, key)


def test_an_encrypted_key_is_refused_without_asking_for_its_password(files):
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    with pytest.raises(BadCertificate, match="encrypted"):
        files.load()
