"""An Environment is cut into its identifiables whatever its size, spelling and chunks, and joined again."""

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.model import environment
from titan.model.environment import Malformed, Piece, Pieces, cut, join
from titan.store.contract import Kind

SECTIONS = {
    "assetAdministrationShells": Kind.SHELL,
    "submodels": Kind.SUBMODEL,
    "conceptDescriptions": Kind.CONCEPT_DESCRIPTION,
}


class Text:
    """A file that gives at most `chunk` bytes at a time."""

    def __init__(self, raw: bytes, chunk: int = 1 << 20) -> None:
        self.raw = raw
        self.chunk = chunk

    def read_at(self, position: int, size: int) -> bytes:
        return self.raw[position : position + min(size, self.chunk)]


def pieces_of(raw: bytes, chunk: int = 1 << 20) -> list[tuple[Kind, object]]:
    found = cut(Text(raw, chunk))
    assert isinstance(found, Pieces), found
    pieces = list(found)
    assert len(pieces) == len(found)
    return [(piece.kind, json.loads(raw[piece.start : piece.end])) for piece in pieces]


def reason(raw: bytes) -> str:
    found = cut(Text(raw))
    assert isinstance(found, Malformed), list(found)
    return found.reason


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from('"\\{}[],: \n'), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(texts, values, max_size=4)
environments = st.dictionaries(st.sampled_from(sorted(SECTIONS)), st.lists(documents, max_size=4))


@given(environments, st.integers(1, 40), st.booleans(), st.sampled_from([None, 1]))
def test_pieces_are_the_documents_wherever_chunks_end(content, chunk, ascii_only, indent):
    raw = json.dumps(content, ensure_ascii=ascii_only, indent=indent).encode()
    expected = [(SECTIONS[section], document) for section, items in content.items() for document in items]
    assert pieces_of(raw, chunk) == expected


@given(st.dictionaries(texts.filter(lambda name: name != "modelType"), values, max_size=4), st.integers(1, 40))
def test_one_identifiable_is_one_piece(members, chunk):
    document = {**members, "modelType": "Submodel"}
    raw = b" " + json.dumps(document).encode() + b"\n"
    assert pieces_of(raw, chunk) == [(Kind.SUBMODEL, document)]


def test_pieces_say_where_they_are():
    found = cut(Text(b'{"submodels": [ {"a":1}, {} ]}'))
    assert isinstance(found, Pieces)
    assert list(found) == [Piece(Kind.SUBMODEL, 16, 23), Piece(Kind.SUBMODEL, 25, 27)]
    assert [piece.size for piece in found] == [7, 2]


def test_an_environment_may_be_empty():
    assert pieces_of(b"{}") == []
    assert pieces_of(b'{"submodels":[]}') == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "is empty"),
        (b"hello", "not JSON: unexpected character"),
        (b"[]", "is no JSON object"),
        (b'[{"modelType":"Submodel"}]', "is no JSON object"),
        (b"42", "is no JSON object"),
        (b'{"submodels":[1]}', "submodels has an item that is no object"),
        (b'{"submodels":[{},[]]}', "submodels has an item that is no object"),
        (b'{"submodels":[null,{}]}', "submodels has an item that is no object"),
        (b'{"submodels":[{},null]}', "submodels has an item that is no object"),
        (b'{"submodels":{"a":{}}}', "submodels is no array"),
        (b'{"submodels":null}', "submodels is no array"),
        (b'{"submodels":[{]}]}', "not JSON"),
        (b'{"submodels":[{[}]]}', "not JSON"),
        (b"}{", "not JSON"),
        (b'{"submodels":[],"submodels":[]}', "'submodels' is given twice"),
        (b'{"shells":[]}', "member 'shells'"),
        (b'{"modelType":"Property"}', "is a Property"),
        (b'{"modelType":{"a":{}}}', "is a {'a'"),
        (b'{"submodels":[{]]}', "not JSON"),
        (b'{"submodels":[{}', "ends in the middle: after 16 bytes 2 brackets"),
        (b'{"submodels":["', "ends in the middle"),
        (b'{"submodels":[{}]}\n{"submodels":[{}]}', "not JSON: unexpected content"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"submodels":[]}'.encode("utf-16"), "UTF-16"),
        ('{"submodels":[]}'.encode("utf-16-le"), "UTF-16"),
        (b"PK\x03\x04\x00\x00", "not JSON"),
        (b'{"subm\xf6dels":[]}', "not UTF-8"),
        (b"[" * 100_000, "deeper than 64"),
        (b'{"a":' * 100_000, "middle"),
    ],
)
def test_what_is_no_environment_is_refused_whole(raw, expected):
    assert expected in reason(raw)


def test_the_text_around_the_identifiables_is_bounded(monkeypatch):
    monkeypatch.setattr(environment, "_MAX_ENVELOPE_BYTES", 100)
    assert "stand outside" in reason(b'{"a":"' + b"x" * 200 + b'"}')
    assert pieces_of(b'{"submodels":[{"a":"' + b"x" * 200 + b'"}]}') == [(Kind.SUBMODEL, {"a": "x" * 200})]


@given(environments)
async def test_what_is_joined_can_be_cut_again(content):
    ordered = {section: content[section] for section in environment.SECTIONS if content.get(section)}

    async def given_documents() -> AsyncIterator[tuple[Kind, bytes]]:
        for section, items in ordered.items():
            for document in items:
                yield SECTIONS[section], json.dumps(document).encode()

    raw = b"".join([part async for part in join(given_documents())])
    assert json.loads(raw) == ordered
    assert [document for _, document in pieces_of(raw)] == [one for items in ordered.values() for one in items]
