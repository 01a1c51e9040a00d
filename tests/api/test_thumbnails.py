"""Thumbnails: a file beside the shell, a member in it, and both change together."""

import json
import re
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
import trio

from tests.support.client import Client, Pieces, url
from tests.support.documents import complete_shell, shell
from tests.support.fenced import swept
from tests.support.forms import CONTENT_TYPE, GIF, JPEG, PNG, WEBP, file_form, form, part
from titan.api.dispatch import answer
from titan.api.messages import AnswerCut, Request, Response
from titan.api.shells import OPERATIONS
from titan.model.documents import Prepared, prepare
from titan.store.contract import Change, ChangeType, Kind, StoreUnavailable, WriteMode

NEVER_MS = 1 << 50
PUT = next(row for row in OPERATIONS if row.operation_id == "PutThumbnail_AasRepository")
GET = next(row for row in OPERATIONS if row.operation_id == "GetThumbnail_AasRepository")


def thumbnail(identifier: str = "s") -> str:
    return f"{url('/shells', identifier)}/asset-information/thumbnail"


@pytest.fixture
async def client(services):
    client = Client(services)
    assert (await client("POST", "/shells", shell("s"))).status == 201
    return client


async def put(client: Client, body: bytes | None = None, identifier: str = "s", **headers: str):
    body = file_form() if body is None else body
    return await client("PUT", thumbnail(identifier), body, **{"content_type": CONTENT_TYPE} | headers)


async def resource(client: Client, identifier: str = "s") -> Any:
    information = (await client("GET", url("/shells", identifier))).json["assetInformation"]
    return information.get("defaultThumbnail")


async def test_put_get_delete(client):
    done = await put(client)
    assert (done.status, done.body) == (204, b"")
    got = await client("GET", thumbnail())
    assert (got.status, got.body, got.response.media_type) == (200, PNG, "image/png")
    assert got.headers["content-length"] == str(len(PNG))
    assert got.headers["content-disposition"] == 'inline; filename="pump.png"'
    assert got.headers["accept-ranges"] == "none"
    assert "sandbox" in got.headers["content-security-policy"]
    assert got.headers["etag"] == done.headers["etag"] == (await client("GET", url("/shells", "s"))).headers["etag"]
    assert (await client("DELETE", thumbnail())).status == 204
    assert (await client("GET", thumbnail())).status == 404
    assert (await client("DELETE", thumbnail())).status == 404


async def test_what_the_shell_says_of_it(client):
    await put(client)
    named = await resource(client)
    assert re.fullmatch("blobs/[0-9a-f]{64}-[0-9a-f]{32}/pump.png", named["path"])
    assert named["contentType"] == "image/png"
    await client("DELETE", thumbnail())
    assert await resource(client) is None
    assert (await client("GET", url("/shells", "s"))).json == shell("s")


async def test_everything_else_in_the_shell_stays_as_it_was(services):
    client, whole = Client(services), complete_shell()
    await client("POST", "/shells", whole)
    assert (await put(client, identifier=whole["id"])).status == 204
    changed = (await client("GET", url("/shells", whole["id"]))).json
    whole["assetInformation"]["defaultThumbnail"] = changed["assetInformation"]["defaultThumbnail"]
    assert changed == whole
    assert (await client("GET", "/shells?idShort=Complete")).json["result"] == [whole]


async def test_a_change_is_one_revision_and_one_event(services, client):
    cursor = await services.store.cursor()
    first = await put(client)
    last = await client("DELETE", thumbnail())
    changes = (await services.store.changes(after=cursor)).items
    assert [(change.kind, change.id, change.type) for change in changes] == [
        (Kind.SHELL, "s", ChangeType.UPDATED),
        (Kind.SHELL, "s", ChangeType.UPDATED),
    ]
    assert [f'"{change.revision}"' for change in changes] == [first.headers["etag"], last.headers["etag"]]
    assert isinstance(changes[0], Change)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_shell_that_is_not_there(client, method):
    body, headers = (file_form(), {"content_type": CONTENT_TYPE}) if method == "PUT" else (None, {})
    refused = await client(method, thumbnail("none"), body, **headers)
    assert (refused.status, refused.texts) == (404, ["there is no Asset Administration Shell with this id"])


async def test_a_shell_without_a_thumbnail(client):
    refused = await client("GET", thumbnail())
    assert (refused.status, refused.texts) == (404, ["the shell has no thumbnail"])


@pytest.mark.parametrize(
    "path", ["/aasx/thumbnail.png", "https://example.com/x.png", "blobs/0/x.png", "blobs/../../etc"]
)
async def test_a_thumbnail_that_is_kept_elsewhere(client, path):
    """It is told, not fetched: the server asks no other one for a client. It can be replaced and removed."""
    elsewhere = shell("e")
    elsewhere["assetInformation"]["defaultThumbnail"] = {"path": path}
    assert (await client("POST", "/shells", elsewhere)).status == 201
    refused = await client("GET", thumbnail("e"))
    assert refused.status == 404
    assert path in refused.texts[0]
    assert (await client("DELETE", thumbnail("e"))).status == 204
    assert await resource(client, "e") is None
    assert (await put(client, identifier="e")).status == 204


# --- who names a file keeps it


async def test_replacing_lets_the_old_file_go(services, client):
    await put(client)
    await put(client, file_form(GIF, "b.gif", "image/gif"))
    assert (await client("GET", thumbnail())).body == GIF
    assert await swept(services.store, before_ms=NEVER_MS) == 1
    assert (await client("GET", thumbnail())).body == GIF


@pytest.mark.parametrize("how", ["thumbnail", "shell", "put without"])
async def test_what_lets_the_file_go(services, client, how):
    await put(client)
    assert await swept(services.store, before_ms=NEVER_MS) == 0
    match how:
        case "thumbnail":
            await client("DELETE", thumbnail())
        case "shell":
            await client("DELETE", url("/shells", "s"))
        case _:
            await client("PUT", url("/shells", "s"), shell("s"))
    assert await swept(services.store, before_ms=NEVER_MS) == 1


async def test_a_put_of_the_whole_shell_that_still_names_the_file_keeps_it(services, client):
    await put(client)
    whole = (await client("GET", url("/shells", "s"))).json
    whole["idShort"] = "Renamed"
    assert (await client("PUT", url("/shells", "s"), whole)).status == 204
    assert await swept(services.store, before_ms=NEVER_MS) == 0
    assert (await client("GET", thumbnail())).body == PNG


async def test_a_copy_of_the_shell_has_the_thumbnail_too_and_each_keeps_it(services, client):
    await put(client)
    copy = (await client("GET", url("/shells", "s"))).json | {"id": "copy"}
    await client("POST", "/shells", copy)
    await client("DELETE", url("/shells", "s"))
    assert await swept(services.store, before_ms=NEVER_MS) == 0
    assert (await client("GET", thumbnail("copy"))).body == PNG


async def test_the_old_shell_put_back_has_its_thumbnail_again(client):
    await put(client)
    before = (await client("GET", url("/shells", "s"))).json
    await client("DELETE", thumbnail())
    await client("PUT", url("/shells", "s"), before)
    assert (await client("GET", thumbnail())).body == PNG


# --- preconditions


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_if_match_is_the_state_of_the_shell(services, client, method):
    old = (await put(client)).headers["etag"]
    await client("PUT", url("/shells", "s"), (await client("GET", url("/shells", "s"))).json)
    body, headers = (file_form(GIF), {"content_type": CONTENT_TYPE}) if method == "PUT" else (None, {})
    refused = await client(method, thumbnail(), body, if_match=old, **headers)
    current = (await client("GET", url("/shells", "s"))).headers["etag"]
    assert (refused.status, refused.headers["etag"]) == (412, current)
    assert (await client("GET", thumbnail())).body == PNG
    assert (await client(method, thumbnail(), body, if_match=current, **headers)).status == 204
    assert await swept(services.store, before_ms=NEVER_MS) == 1  # the replaced or deleted one


async def test_what_the_stars_ask_for_is_a_thumbnail(client):
    assert (await put(client, if_match="*")).status == 412
    assert (await put(client, if_none_match="*")).status == 204
    assert (await put(client, if_none_match="*")).status == 412
    assert (await put(client, if_match="*")).status == 204
    assert (await client("DELETE", thumbnail(), if_none_match="*")).status == 412
    assert (await client("DELETE", thumbnail(), if_match="*")).status == 204
    assert (await client("DELETE", thumbnail(), if_match="*")).status == 404


async def test_conditions_of_a_read(client):
    tag = (await put(client)).headers["etag"]
    unchanged = await client("GET", thumbnail(), if_none_match=tag)
    assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", tag)
    assert (await client("GET", thumbnail(), if_match='"0"')).status == 412
    assert (await client("GET", thumbnail(), if_unmodified_since="Mon, 01 Jan 2001 00:00:00 GMT")).status == 412
    since = await put(client, if_unmodified_since="Mon, 01 Jan 2001 00:00:00 GMT")
    assert since.status == 412


async def test_of_many_with_one_tag_one_wins(services, client):
    tag = (await put(client)).headers["etag"]
    statuses: list[int] = []

    async def one(number: int) -> None:
        statuses.append((await put(client, file_form(PNG + bytes([number])), if_match=tag)).status)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(one, number)
    assert sorted(statuses) == [204, *[412] * 7]


async def test_many_put_and_delete_and_change_the_shell_at_the_same_time(services, client):
    """Every answer is one that the others explain, and what is left is whole."""
    seen: list[tuple[str, int]] = []

    async def put_one(number: int) -> None:
        seen.append(("PUT", (await put(client, file_form(PNG + bytes([number])))).status))

    async def delete_one() -> None:
        seen.append(("DELETE", (await client("DELETE", thumbnail())).status))

    async def rename(number: int) -> None:
        body = (await client("GET", url("/shells", "s"))).json | {"idShort": f"Name{number}"}
        seen.append(("shell", (await client("PUT", url("/shells", "s"), body)).status))

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(put_one, number)
            nursery.start_soon(delete_one)
            nursery.start_soon(rename, number)
    assert {status for what, status in seen if what != "DELETE"} == {204}
    assert {status for what, status in seen if what == "DELETE"} <= {204, 404}
    left = await client("GET", thumbnail())
    await swept(services.store, before_ms=NEVER_MS)
    after = await client("GET", thumbnail())
    assert after.status == left.status == (404 if await resource(client) is None else 200)
    if after.status == 200:
        assert after.body == left.body


async def test_the_shell_goes_while_the_file_comes(services, client):
    class Meanwhile(Pieces):
        async def __anext__(self) -> bytes:
            if not self.read:
                await client("DELETE", url("/shells", "s"))
            return await super().__anext__()

    request = Request({"aasIdentifier": "cw"}, headers={"content-type": CONTENT_TYPE}, stream=Meanwhile(file_form()))
    response = await answer(services, PUT, request)
    assert response.status == 404
    assert await swept(services.store, before_ms=NEVER_MS) == 1


# --- what is refused is refused before it is read


@pytest.mark.parametrize(
    ("identifier", "headers", "status"),
    [
        ("bm9uZQ", {"content-type": CONTENT_TYPE}, 404),
        ("cw", {"content-type": CONTENT_TYPE, "if-match": '"0"'}, 412),
        ("cw", {"content-type": "image/png"}, 415),
        ("cw", {}, 415),
        ("cw", {"content-type": "multipart/form-data"}, 400),
        ("cw", {"content-type": f"multipart/form-data; boundary={'x' * 71}"}, 400),
        ("==", {"content-type": CONTENT_TYPE}, 400),
    ],
)
async def test_nothing_is_read_of_what_is_refused_anyway(services, client, identifier, headers, status):
    body = Pieces(file_form())
    response = await answer(services, PUT, Request({"aasIdentifier": identifier}, headers=headers, stream=body))
    assert (response.status, body.read) == (status, 0)


# --- the form


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (form(part("fileName", b"x.png")), "file: the part is missing"),
        (form(part("file", b"", filename="x.png")), "file: is empty"),
        (form(part("file", PNG)), "fileName: a name"),
        (form(part("file", PNG, filename="x.png"), part("file", PNG)), "file: the part is there more than once"),
        (form(part("fileName", b"a"), part("fileName", b"b")), "fileName: the part is there more than once"),
        (form(part("filename", b"a"), part("file", PNG)), "'filename': unknown part"),
        (form(part("", b"a"), part("file", PNG)), "'': unknown part"),
        (form(part("fileName", b"\xff"), part("file", PNG)), "fileName: is not UTF-8"),
        (form(part("fileName", b"x" * 5000), part("file", PNG)), "fileName: has more than 4096 bytes"),
        (form(part("fileName", b"x" * 256), part("file", PNG)), "fileName: a name of 1 to 255 bytes"),
        (form(part("fileName", b"../.."), part("file", PNG)), "fileName: a name"),
        (file_form(content_type="png"), "file: 'png' is no content type"),
        (file_form(content_type="image/png; " + "x" * 130), "is no content type"),
        (form(b"Content-Type: image/png\r\n\r\n" + PNG), "no sound multipart/form-data"),
        (form(part("file", PNG, filename="x" * 5000)), "no sound multipart/form-data"),
        (file_form()[:-30], "no sound multipart/form-data"),
        (b"", "no sound multipart/form-data"),
        (b'{"file": "x"}', "no sound multipart/form-data"),
    ],
)
async def test_what_is_wrong_with_a_form_is_named_and_leaves_nothing(services, client, body, named):
    refused = await put(client, body)
    assert refused.status == 400
    assert named in refused.texts[0]
    assert (await client("GET", thumbnail())).status == 404
    assert await swept(services.store, before_ms=NEVER_MS) == 0


async def test_a_file_that_is_too_large_is_refused_where_it_becomes_so(services):
    client = Client(replace(services, max_file_bytes=10_000))
    await client("POST", "/shells", shell("s"))
    assert (await put(client, file_form(bytes(10_000), content_type=None))).status == 204
    body = Pieces(file_form(bytes(50_000)))
    request = Request({"aasIdentifier": "cw"}, headers={"content-type": CONTENT_TYPE}, stream=body)
    response = await answer(client.services, PUT, request)
    assert response.status == 413
    assert b"10000 bytes" in _body(response)
    assert body.read < 12_000


def _body(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
async def test_pieces_of_any_size_make_the_same_file(services, client, size):
    content = b"\r\n--" + PNG + b"\r\n------a-boundar" + bytes(range(256)) * 3
    request = Request(
        {"aasIdentifier": "cw"},
        headers={"content-type": CONTENT_TYPE},
        stream=Pieces(file_form(content, content_type="x/y"), size),
    )
    assert (await answer(services, PUT, request)).status == 204
    assert (await client("GET", thumbnail())).body == content


async def test_the_parts_may_come_in_any_order_and_the_file_may_bring_its_own_name(client):
    await put(client, form(part("file", PNG, filename="a.png", content_type="image/png"), part("fileName", b"b.png")))
    assert 'filename="b.png"' in (await client("GET", thumbnail())).headers["content-disposition"]
    await put(client, form(part("file", PNG, filename="a.png", content_type="image/png")))
    assert 'filename="a.png"' in (await client("GET", thumbnail())).headers["content-disposition"]


@pytest.mark.parametrize(
    ("name", "kept", "disposition"),
    [
        ("C:\\Users\\me\\pump.png", "pump.png", 'filename="pump.png"'),
        ("../../../etc/passwd", "passwd", 'filename="passwd"'),
        (" .hidden. ", "hidden", 'filename="hidden"'),
        ("a b;c.png", "a%20b%3Bc.png", 'filename="a b;c.png"'),
        ('q"uote.png', "q%22uote.png", "filename=\"q_uote.png\"; filename*=UTF-8''q%22uote.png"),
        ("Pümpe.png", "P%C3%BCmpe.png", "filename=\"P_mpe.png\"; filename*=UTF-8''P%C3%BCmpe.png"),
        ("a\r\nSet-Cookie: x", "a__Set-Cookie%3A%20x", 'filename="a__Set-Cookie_ x"; filename*='),
        ("exe\u202egpj.png", "exe_gpj.png", 'filename="exe_gpj.png"'),
    ],
)
async def test_a_clients_name_for_its_file_is_made_safe(client, name, kept, disposition):
    assert (await put(client, file_form(name=name))).status == 204
    assert (await resource(client))["path"].rpartition("/")[2] == kept
    assert disposition in (await client("GET", thumbnail())).headers["content-disposition"]


# --- what it is, and as what it is answered


@pytest.mark.parametrize(
    ("content", "declared", "kept", "answered"),
    [
        (PNG, "image/png", "image/png", "image/png"),
        (JPEG, "image/jpeg", "image/jpeg", "image/jpeg"),
        (JPEG, "image/jpg", "image/jpg", "image/jpeg"),
        (GIF, "IMAGE/GIF", "IMAGE/GIF", "image/gif"),
        (WEBP, "image/webp;a=b", "image/webp;a=b", "image/webp"),
        (PNG, None, "image/png", "image/png"),
        (PNG, "application/octet-stream", "image/png", "image/png"),
        (b"x", None, "application/octet-stream", None),
        (PNG, "image/jpeg", "image/jpeg", None),
        (b"<svg/>", "image/png", "image/png", None),
        (b"<svg/>", "image/svg+xml", "image/svg+xml", None),
        (PNG, "image/svg+xml", "image/svg+xml", None),
        (b"<script>alert(1)</script>", "text/html", "text/html", None),
        (b"alert(1)", "text/javascript", "text/javascript", None),
        (b"%PDF-1.7", "application/pdf", "application/pdf", None),
    ],
)
async def test_only_what_is_and_says_to_be_a_safe_image_is_shown(client, content, declared, kept, answered):
    assert (await put(client, file_form(content, content_type=declared))).status == 204
    assert (await resource(client))["contentType"] == kept
    got = await client("GET", thumbnail())
    assert got.body == content
    assert got.response.media_type == (answered or "application/octet-stream")
    assert got.headers["content-disposition"].startswith("attachment" if answered is None else "inline")


async def test_a_shell_that_lies_about_the_type_makes_nothing_shown(client):
    await put(client, file_form(b"<script>", content_type="text/plain"))
    whole = (await client("GET", url("/shells", "s"))).json
    whole["assetInformation"]["defaultThumbnail"]["contentType"] = "image/png"
    await client("PUT", url("/shells", "s"), whole)
    got = await client("GET", thumbnail())
    assert got.response.media_type == "application/octet-stream"
    assert got.headers["content-disposition"].startswith("attachment")


async def test_a_shell_that_lies_about_the_name_gets_a_safe_one(client):
    await put(client)
    whole = (await client("GET", url("/shells", "s"))).json
    path = whole["assetInformation"]["defaultThumbnail"]["path"].rpartition("/")[0]
    for name, answered in (("..%2F..%2Fx%0D%0Ay", "x__y"), ("%22%3B", "_;"), (".", "file"), ("x" * 300, "file")):
        whole["assetInformation"]["defaultThumbnail"]["path"] = f"{path}/{name}"
        assert (await client("PUT", url("/shells", "s"), whole)).status == 204
        assert f'filename="{answered}"' in (await client("GET", thumbnail())).headers["content-disposition"]


# --- a store that is in trouble


class TroubledBlobs:
    """The files of a store that begins to fail in the middle."""

    def __init__(self, blobs: Any) -> None:
        self._blobs = blobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    async def read(self, key: str):
        async with aclosing(self._blobs.read(key)) as pieces:
            yield (await anext(pieces))[:10]
        raise StoreUnavailable("the disk is gone")


class WithBlobs:
    def __init__(self, store: Any, blobs: Any) -> None:
        self._store = store
        self.blobs = blobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_an_answer_that_cannot_go_on_is_cut(services, client):
    await put(client)
    troubled: Any = WithBlobs(services.store, TroubledBlobs(services.store.blobs))
    response = await answer(replace(services, store=troubled), GET, Request({"aasIdentifier": "cw"}))
    assert response.status == 200
    assert not isinstance(response.body, bytes)
    assert await anext(response.body) == PNG[:10]
    with pytest.raises(AnswerCut, match="the disk is gone"):
        await anext(response.body)


async def test_a_shell_that_was_taken_leniently_can_have_a_thumbnail(services):
    lenient = Client(replace(services, lenient=True))
    broken = shell("s", assetInformation={"assetKind": "Instance", "specificAssetIds": []})
    assert (await lenient("POST", "/shells", broken)).status == 201
    strict = Client(services)
    assert (await put(strict)).status == 204
    assert (await strict("GET", thumbnail())).body == PNG


async def test_the_members_of_a_shell_stay_in_order(services, client):
    await services.store.write(
        replace(
            (await _document(client)),
            header=b'{"modelType":"AssetAdministrationShell","id":"s","assetInformation":'
            b'{"globalAssetId":"urn:x","assetKind":"Instance"}}',
        ),
        WriteMode.REPLACE,
    )
    await put(client)
    body = (await client("GET", url("/shells", "s"))).body
    assert list(json.loads(body)) == ["modelType", "id", "assetInformation"]
    assert list(json.loads(body)["assetInformation"]) == ["globalAssetId", "assetKind", "defaultThumbnail"]


async def _document(client: Client):
    prepared = prepare(Kind.SHELL, (await client("GET", url("/shells", "s"))).body)
    assert isinstance(prepared, Prepared)
    return prepared.document
