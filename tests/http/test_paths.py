"""From raw targets to segments: one decoding, after splitting."""

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http.support import running
from titan.http.paths import BadPath, Mounts, path_segments

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: text not in (".", ".."))


@given(st.lists(TEXT, min_size=1))
def test_what_was_quoted_comes_back(segments):
    raw = "".join("/" + quote(segment, safe="") for segment in segments).encode()
    assert path_segments(raw) == segments


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E)) | st.text("%0123456789abcdefC/."))
def test_any_target_that_h11_lets_through_gives_clean_segments_or_a_reason(target):
    found = path_segments(b"/" + target.encode())
    if not isinstance(found, BadPath):
        assert not {".", ".."} & set(found)
        assert not any(character < " " or character == "\x7f" for segment in found for character in segment)


GOOD = {
    b"/": [""],
    b"/shells": ["shells"],
    b"/shells/": ["shells", ""],
    b"//shells": ["", "shells"],
    b"/a%2Fb/c": ["a/b", "c"],
    b"/a%2fb": ["a/b"],
    b"/%C3%BC": ["ü"],
    b"/sme1.sme2%5B0%5D.p1/%24value": ["sme1.sme2[0].p1", "$value"],
    b"/a%252Fb": ["a%2Fb"],
    b"/...": ["..."],
    b"http://host:8080/shells/x": ["shells", "x"],
    b"HTTPS://host": [""],
}


@pytest.mark.parametrize("raw", GOOD)
def test_good_targets(raw):
    assert path_segments(raw) == GOOD[raw]


BAD = [
    b"/a/../b",
    b"/..",
    b"/./a",
    b"/%2e%2e/a",
    b"/a%",
    b"/a%2",
    b"/a%zz",
    b"/a%+1",
    b"/%00",
    b"/a%0Ab",
    b"/a%7F",
    b"/%C3",
    b"/%ED%A0%80",  # a surrogate in UTF-8
    b"/%C0%AF",  # an overlong slash
    b"shells",
    b"*",
    b"ftp://host/shells",
    b"",
]


@pytest.mark.parametrize("raw", BAD)
def test_bad_targets(raw):
    assert isinstance(path_segments(raw), BadPath)


@pytest.mark.parametrize(
    ("path", "prefix", "rest"),
    [
        (["shells"], "", ["shells"]),
        (["api", "v3.1", "shells"], "/api/v3.1", ["shells"]),
        (["api", "v3", "shells"], "/api/v3", ["shells"]),
        (["api", "v3"], "/api/v3", []),
        (["api", "v2", "shells"], "", ["api", "v2", "shells"]),
    ],
)
def test_the_longest_prefix_is_found(path, prefix, rest):
    assert Mounts(["", "/api/v3.1", "/api/v3"]).split(path) == (prefix, rest)


def test_a_path_below_no_prefix_is_none():
    assert Mounts(["/twins", "/twins/api/v3"]).split(["shells"]) is None


async def test_over_the_wire_every_bad_target_is_a_400_and_the_connection_goes_on():
    async with running() as site, await site.connect() as client:
        for raw in BAD:
            if raw and raw.isascii() and not set(raw) & set(string.whitespace.encode()):
                reply = await client.ask(f"GET {raw.decode()}")
                assert reply.status == 400, raw
        assert (await client.ask("GET /things")).status == 200
        assert (await client.ask("GET http://localhost/things")).status == 200


async def test_a_parameter_is_given_as_it_was_meant():
    async with running() as site, await site.connect() as client:
        reply = await client.ask("GET /things/YWJj/parts/a%5B0%5D.b%2Fc/%24value")
        assert reply.body.startswith(b"GetPartValue {'thingId': 'YWJj', 'idShortPath': 'a[0].b/c'}")
        for path in ("/things/", "/things//parts/a", "//things", "/things/a/parts", "/unknown", "/"):
            assert (await client.ask(f"GET {path}")).status == 404, path
