"""The patterns put in place of aas-core's accept the same texts, and no text makes them slow."""

import importlib
import time

import pytest
from aas_core3_1 import verification
from hypothesis import example, given, settings
from hypothesis import strategies as st

from titan.model.patterns import _BOUNDED, ORIGINALS, replacement

PIECES = {
    "": [*"aZ09-_.~/:;?#[]@!$&'()*+,=% \t\"\\é\n", "%41", "//", "http:", "::", "[::1]", ":80", "a@", "1.2.3.4"],
    "XS": [*"019+-.:TZPYMDHS=eE ", "INF", "NaN", "2020-02-29", "00:00:00", "24:00:00", "AQ==", "Qk0=", "AAAA"],
    "BCP_47": [*"aZx19-", "en", "zh-min-nan", "i-klingon", "-abcde", "-x-1"],
}


@pytest.mark.parametrize("name", sorted(ORIGINALS))
def test_the_same_texts_are_accepted(name):
    pieces = PIECES.get(name, PIECES["XS" if name.startswith("XS") and name != "XS_ANY_URI" else ""])
    new, old = replacement(name), ORIGINALS[name]

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(st.lists(st.sampled_from(pieces), max_size=10).map("".join))
    @example("")
    def same(text):
        if not text.endswith("\n"):
            assert (new.match(text) is not None) == (old.match(text) is not None), text

    same()


@pytest.mark.parametrize(
    "text", ["http://[::1]:80/a?b#c", "//u@[1:2::3:1.2.3.4]", "urn:a:%41", "a/b;c=d", "?q", "mailto:a@b", "#", "//[a]b"]
)
def test_uris_that_matter_are_judged_as_before(text):
    for name in ("XS_ANY_URI", "RFC_2396"):
        assert (replacement(name).match(text) is None) == (ORIGINALS[name].match(text) is None), (name, text)


@pytest.mark.parametrize("name", sorted(ORIGINALS))
def test_a_final_line_feed_is_part_of_the_text(name):
    accepted = ["a-b", "AA", "1", "0", "-1", "P1D", "00:00:00", "2020-01-01", "2020-01-01T00:00:00Z", "true", "a/b"]
    for text in accepted:
        if replacement(name).match(f"{text}\n") is not None:
            assert name in {"XML_SERIALIZABLE_STRING", "XS_STRING"}


SEEDS = ["a", "a-", "1", "0", "%41", "a.", ":a", "en-abcde-", "x-a", "a@", ";a=b", "AA", "Q ", "[", "\\", "/", "a;"]
STARTS = ["", "//", "http://", 'a/a;a="', "x", "[", "//[", "P", "-", "2020-01-01T00:00:00."]


@pytest.mark.parametrize("name", sorted(ORIGINALS.keys() - {"RFC_8089_PATH"}))
def test_a_text_as_large_as_a_request_is_judged_at_once(name):
    pattern = replacement(name)
    for start in STARTS:
        for seed in SEEDS:
            for end in ("", "\x00"):
                text = start + seed * (200_000 // len(seed)) + end
                begin = time.process_time()
                pattern.match(text)
                took = time.process_time() - begin
                assert took < 0.5, (start, seed, end, took)  # the originals: minutes


def test_what_is_longer_than_a_bound_is_refused():
    for name, bound in _BOUNDED.items():
        assert replacement(name).match("1" * (bound + 1)) is None


def test_they_are_in_place():
    importlib.import_module("titan.model.verification")
    assert not verification.matches_id_short("Speed\n")
    assert not verification.is_xs_long("0" * 5000)
    assert not verification.is_xs_date("9" * 5000 + "-01-01")
