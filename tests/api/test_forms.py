"""Whatever a client sends as a form ends in a file or in a fault that is said; the file is what stood in the part."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.client import Pieces
from tests.support.forms import BOUNDARY, CONTENT_TYPE, form, part
from titan.api.forms import FileForm, FormFault, read_file_form

LINE = BOUNDARY.encode()
scraps = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"\r\n",
            b"--",
            b"--" + LINE,
            b"\r\n--" + LINE + b"\r\n",
            b"\r\n--" + LINE + b"--\r\n",
            b'Content-Disposition: form-data; name="file"; filename="x"\r\n',
            b'Content-Disposition: form-data; name="fileName"\r\n',
            b"Content-Disposition: attachment\r\n",
            b"Content-Type: image/png\r\n",
            b"Content-Length: 3\r\n",
            b"content-length: -1\r\n",
            b" continued\r\n",
        ]
    ),
)


def read(body: bytes, size: int, content_type: str = CONTENT_TYPE) -> tuple[FileForm | FormFault, bytes]:
    written: list[bytes] = []

    async def write(content: bytes) -> None:
        written.append(content)

    async def main() -> FileForm | FormFault:
        return await read_file_form(content_type, Pieces(body, size), write, max_file_bytes=100_000)

    return trio.run(main), b"".join(written)


@settings(max_examples=400, deadline=None)
@given(st.lists(scraps, max_size=12), st.integers(1, 200))
def test_anything_is_a_form_or_a_fault(parts, size):
    found, _ = read(b"".join(parts), size)
    assert isinstance(found, FileForm | FormFault)
    if isinstance(found, FormFault):
        assert found.status == 400
        assert len(found.text) < 300


@settings(max_examples=200, deadline=None)
@given(st.lists(scraps, min_size=1, max_size=8).map(b"".join), st.integers(1, 200), st.booleans())
def test_the_file_is_what_stood_in_the_part(content, size, name_first):
    if not content or b"\r\n--" + LINE in b"\r\n" + content:
        return  # no file, or a boundary in it, which no client would choose
    parts = [part("fileName", b"n"), part("file", content, content_type="a/b")]
    found, written = read(form(*(parts if name_first else reversed(parts))), size)
    assert found == FileForm("n", "a/b", len(content), content[:16])
    assert written == content


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=100))
def test_any_content_type_has_a_boundary_or_a_fault(text):
    found, _ = read(form(part("file", b"x", filename="n")), 100, f"multipart/form-data; {text}")
    assert isinstance(found, FileForm | FormFault)
