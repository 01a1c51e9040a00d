"""Forms with a file (`multipart/form-data`: IDTA-01002 `fileName` and `file`), read piece by piece (RFC 7578).

The parts may come in any order. `fileName` may be left out where the part `file` has a file name of its own, as that
of a browser or of curl has. Part headers are bounded, and what the form does not know is refused.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from titan.store.blobs import HEAD_BYTES

MAX_BOUNDARY = 70
"""RFC 2046, 5.1.1."""
MAX_HEADER_BYTES = 4096
MAX_HEADERS = 8
MAX_FIELD_BYTES = 4096

NAME, FILE = "fileName", "file"


@dataclass(frozen=True, slots=True)
class FileForm:
    """A form that was read to its end; its file went where it was sent."""

    name: str | None
    """The client's, unchecked; None where it gave none."""
    content_type: str | None
    """As declared by the part, unchecked."""
    size: int
    head: bytes


@dataclass(frozen=True, slots=True)
class FormFault:
    """What is wrong with a form, and the status to say so."""

    text: str
    status: int = 400


async def read_file_form(
    content_type: str,
    pieces: AsyncIterator[bytes],
    write: Callable[[bytes], Awaitable[None]],
    *,
    max_file_bytes: int,
) -> FileForm | FormFault:
    """Read a form; the content of its file goes to `write` as it comes, so it is not to be kept before the form is.

    `content_type` is the request's. Stops reading at the first fault. What `pieces` and `write` raise comes out.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not (0 < len(boundary) <= MAX_BOUNDARY and boundary.isascii() and boundary.isprintable()):
        return FormFault(f"Content-Type: a boundary of 1 to {MAX_BOUNDARY} characters is needed")
    parser = PushMultipartParser(boundary, max_header_size=MAX_HEADER_BYTES, max_header_count=MAX_HEADERS)
    form = _Form(write, max_file_bytes)
    try:
        async for piece in pieces:
            for event in parser.parse(piece):
                if (fault := await form.take(event)) is not None:
                    return fault
        parser.close()
    except MultipartError as error:
        return FormFault(f"the body is no sound multipart/form-data: {error.args[0]}")
    return form.result()


class _Form:
    """What has been read so far."""

    def __init__(self, write: Callable[[bytes], Awaitable[None]], max_file_bytes: int) -> None:
        self._write = write
        self._max_file_bytes = max_file_bytes
        self._parts: dict[str, MultipartSegment] = {}
        self._part = ""
        self._name = b""
        self._head = b""
        self._size = 0

    async def take(self, event: MultipartSegment | bytes | None) -> FormFault | None:
        """Take what the parser found: the headers of a part, some of its content, or (None) its end."""
        if event is None:
            return None
        if isinstance(event, MultipartSegment):
            return self._begin(event)
        if self._part == FILE:
            return await self._take_file(event)
        self._name += event
        return (
            FormFault(f"{NAME}: has more than {MAX_FIELD_BYTES} bytes") if len(self._name) > MAX_FIELD_BYTES else None
        )

    def _begin(self, part: MultipartSegment) -> FormFault | None:
        self._part = part.name or ""
        if self._part not in {NAME, FILE}:
            return FormFault(f"{self._part[:64]!r}: unknown part; this form has {NAME} and {FILE}")
        if self._part in self._parts:
            return FormFault(f"{self._part}: the part is there more than once")
        self._parts[self._part] = part
        return None

    async def _take_file(self, content: bytes) -> FormFault | None:
        self._size += len(content)
        if self._size > self._max_file_bytes:
            return FormFault(f"{FILE}: is larger than the {self._max_file_bytes} bytes that this server takes", 413)
        if len(self._head) < HEAD_BYTES:
            self._head += content[: HEAD_BYTES - len(self._head)]
        await self._write(content)
        return None

    def result(self) -> FileForm | FormFault:
        """Return the whole form."""
        file = self._parts.get(FILE)
        if file is None:
            return FormFault(f"{FILE}: the part is missing")
        if not self._size:
            return FormFault(f"{FILE}: is empty")
        name = file.filename
        if NAME in self._parts:
            try:
                name = self._name.decode()
            except UnicodeDecodeError:
                return FormFault(f"{NAME}: is not UTF-8")
        declared = [value for header, value in file.headerlist if header == "Content-Type"]
        return FileForm(name, declared[0].strip() if declared else None, self._size, self._head)
