"""One object, one spelling in URLs (and correct padding besides)."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.model.identifiers import InvalidIdentifier, decode_identifier, encode_identifier, is_text

identifiers = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(is_text)
BASE64ISH = st.text("ABYZabz019-_+/=. \n\té%", max_size=24)


@given(identifiers)
def test_every_identifier_survives(identifier):
    assert decode_identifier(encode_identifier(identifier)) == identifier


@given(identifiers)
def test_correct_padding_is_tolerated(identifier):
    assert decode_identifier(base64.urlsafe_b64encode(identifier.encode()).decode()) == identifier


@given(st.one_of(BASE64ISH, st.text(max_size=12)))
def test_no_other_spelling_is(text):
    decoded = decode_identifier(text)
    if not isinstance(decoded, InvalidIdentifier):
        canonical = encode_identifier(decoded)
        assert text in {canonical, canonical + "=" * (-len(canonical) % 4)}


@given(identifiers, st.integers(0, 90), st.sampled_from("AZaz09-_+/=.%\n é"))
def test_a_changed_spelling_never_leads_to_the_same_object(identifier, place, character):
    canonical = encode_identifier(identifier)
    for changed in (
        canonical[:place] + character + canonical[place:],
        canonical[:place] + character + canonical[place + 1 :],
        canonical[:place] + canonical[place + 1 :],
    ):
        padded = canonical + "=" * (-len(canonical) % 4)
        if changed not in {canonical, padded}:
            assert decode_identifier(changed) != identifier


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "====",
        "A",
        "YW!Jj",
        "YWJ j",
        "YWJj====",
        "YWJj=",
        "YWJjZA=",
        "YWJjZA===",
        "YWJjZB",
        "YWJjZB==",
        "YW=Jj",
        "a+b/",
        "_w",
        "7aCA",  # a surrogate
        "AA",  # NUL
        "AQ",  # a control character
        "77-_",  # U+FFFF
        "invalid-base64url=====",
        "é",
        "\ud800",
        encode_identifier("x" * 2049),
        "A" * 8192,
        "A" * 10_000_000,
    ],
)
def test_refused(text):
    decoded = decode_identifier(text)
    assert isinstance(decoded, InvalidIdentifier)
    assert decoded.reason


@pytest.mark.parametrize("identifier", ["x" * 2048, "😀" * 2048, "../../etc/passwd", "a/b?c#d%2F", "\t\n\r"])
def test_accepted(identifier):
    assert decode_identifier(encode_identifier(identifier)) == identifier
