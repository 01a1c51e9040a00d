"""The thumbnail of a shell's asset (IDTA-01002, Asset Administration Shell Repository): read, put, deleted as a file.

It is a member of the shell (`assetInformation/defaultThumbnail`), so putting or deleting it is a change of the shell: a
revision, an event, an entity tag, and that tag is the thumbnail's as well. The file is stored before the shell names
it; the shell is then read, changed and written under the condition that nobody else changed it meanwhile, else anew.
A file that a refused request leaves behind is swept with all that nobody names.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
import trio

from titan.api import heavy
from titan.api.call import Call
from titan.api.conditions import Conditions
from titan.api.files import BINARY, STEP_S, File, file_answer, image_type
from titan.api.forms import NAME, FileForm, FormFault, read_file_form
from titan.api.messages import Response
from titan.api.repository import Repository, validators
from titan.api.results import problem
from titan.api.services import Services
from titan.model.documents import Prepared, prepare_value
from titan.model.files import MAX_FILE_NAME_BYTES, FilePath, read_path, safe_file_name
from titan.model.verification import is_content_type
from titan.store.blobs import Upload
from titan.store.contract import (
    NEWEST,
    Document,
    Found,
    IfMatch,
    Kind,
    Need,
    PreconditionFailed,
    Stored,
    StoreUnavailable,
    WriteMode,
)

Resource = dict[str, Any]
"""Of the metamodel: `path`, and `contentType` where it is known."""


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Handlers for the thumbnails of the shells in a repository."""

    shells: Repository

    async def get(self, services: Services, call: Call) -> Response:
        """Answer the file; 304 where the client has it already."""
        with trio.fail_after(services.budget_s):
            found, thumbnail = await self._look(services, call, call.need)
            response = await self._file(services, call, found.stored, thumbnail)
        return replace(response, mark=found.mark)

    async def _file(
        self, services: Services, call: Call, stored: Stored | None, thumbnail: Resource | None
    ) -> Response:
        if stored is None or thumbnail is None:
            return self._missing(call, stored)
        path = read_path(thumbnail["path"])
        blob = None if path is None else await services.store.blobs.look(path.key)
        if path is None or blob is None:
            text = f"the shell's thumbnail is no file of this server; its path is {thumbnail['path'][:200]!r}"
            return problem(404, text, request_id=call.request.request_id)
        if call.conditions.failed(stored.revision, stored.modified_ms):
            return self.shells.precondition_failed(call, stored.revision)
        headers = validators(stored.revision, stored.modified_ms)
        if call.conditions.not_modified(stored.revision):
            return Response(304, b"", headers, None)
        return file_answer(services, File(path.key, path.file_name, thumbnail.get("contentType"), blob), headers)

    async def put(self, services: Services, call: Call) -> Response:
        """Take a file and make it the shell's thumbnail; what is refused anyway is refused before the file is read."""
        with _within(services.budget_s):
            found, thumbnail = await self._look(services, call)
        refusal = self._refusal(call, found.stored, thumbnail, needs_thumbnail=False)
        if refusal is not None:
            return refusal
        async with services.store.blobs.upload() as upload:
            received = await _receive(services, call, upload)
        if isinstance(received, FormFault):
            return problem(received.status, received.text, request_id=call.request.request_id)
        return await self._change(services, call, received)

    async def delete(self, services: Services, call: Call) -> Response:
        """Take the thumbnail off the shell, also one that is no file of this server."""
        return await self._change(services, call, None)

    async def _change(self, services: Services, call: Call, new: Resource | None) -> Response:
        """Give the shell this thumbnail, or none; begin anew for as long as somebody else is quicker."""
        with trio.fail_after(services.budget_s):
            while True:
                found, thumbnail = await self._look(services, call)
                stored = found.stored
                refusal = self._refusal(call, stored, thumbnail, needs_thumbnail=new is None)
                if stored is None or refusal is not None:
                    return refusal or self._missing(call, stored)
                document = await _changed(services, stored, new)
                seen = IfMatch((stored.revision,))
                outcome = await services.store.write(document, WriteMode.REPLACE, precondition=seen)
                if not isinstance(outcome, PreconditionFailed):
                    return self.shells.answer(call, outcome, b"", "")

    async def _look(self, services: Services, call: Call, need: Need = NEWEST) -> tuple[Found, Resource | None]:
        found = await services.store.find(Kind.SHELL, call.path[self.shells.parameter], need=need)
        stored = found.stored
        if stored is None:
            return found, None
        value = await heavy.run(services, len(stored.body), lambda: orjson.loads(stored.body))
        return found, value["assetInformation"].get("defaultThumbnail")

    def _refusal(
        self, call: Call, stored: Stored | None, thumbnail: Resource | None, *, needs_thumbnail: bool
    ) -> Response | None:
        """Judge a change against what is there; a 404 goes before any precondition (RFC 9110, 13.2.1)."""
        if stored is None or (needs_thumbnail and thumbnail is None):
            return self._missing(call, stored)
        if not _holds(call.conditions, stored, has_thumbnail=thumbnail is not None):
            return self.shells.precondition_failed(call, stored.revision)
        return None

    def _missing(self, call: Call, stored: Stored | None) -> Response:
        if stored is None:
            return self.shells.not_found(call)
        return problem(404, "the shell has no thumbnail", request_id=call.request.request_id)


def _holds(conditions: Conditions, stored: Stored, *, has_thumbnail: bool) -> bool:
    """Say whether a change may be made: `*` asks for a thumbnail, a tag for the state of the shell."""
    if conditions.match == ():
        return has_thumbnail
    if conditions.failed(stored.revision, stored.modified_ms):
        return False
    if conditions.none_match == ():
        return not has_thumbnail
    return not conditions.not_modified(stored.revision)


async def _receive(services: Services, call: Call, upload: Upload) -> Resource | FormFault:
    """Read the form, make its file last and say how the shell is to name it."""

    async def write(content: bytes) -> None:
        with _within(STEP_S):
            await upload.write(content)

    assert call.request.stream is not None  # the row says so
    form = await read_file_form(
        call.request.headers["content-type"], call.request.stream, write, max_file_bytes=services.max_file_bytes
    )
    if isinstance(form, FormFault):
        return form
    name = safe_file_name(form.name or "")
    if name is None:
        return FormFault(f"{NAME}: a name of 1 to {MAX_FILE_NAME_BYTES} bytes is needed, besides folders and dots")
    content_type = _content_type(form)
    if not is_content_type(content_type):
        return FormFault(f"file: {content_type[:64]!r} is no content type of up to 128 characters")
    with _within(STEP_S):
        key = await upload.finish()
    return {"path": str(FilePath(key, name)), "contentType": content_type}


def _content_type(form: FileForm) -> str:
    """Return the declared type; where it says nothing, as the standard's own clients do, what the content says."""
    if form.content_type is not None and form.content_type.lower() != BINARY:
        return form.content_type
    return image_type(form.head) or BINARY


async def _changed(services: Services, stored: Stored, thumbnail: Resource | None) -> Document:
    """Return the shell with this thumbnail, or with none. What it broke of the metamodel before it may go on to."""

    def work() -> Document:
        value = orjson.loads(stored.body)
        value["assetInformation"].pop("defaultThumbnail", None)
        if thumbnail is not None:
            value["assetInformation"]["defaultThumbnail"] = thumbnail
        prepared = prepare_value(Kind.SHELL, value, lenient=True)
        assert isinstance(prepared, Prepared)  # its structure was sound, and is
        return prepared.document

    return await heavy.run(services, len(stored.body), work)


@contextmanager
def _within(limit_s: float) -> Iterator[None]:
    """Bound one step of an upload, before the one that changes the shell."""
    try:
        with trio.fail_after(limit_s):
            yield
    except trio.TooSlowError:
        raise StoreUnavailable("the file could not be stored in time; nothing was changed") from None
