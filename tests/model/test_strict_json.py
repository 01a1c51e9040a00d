"""Hostile JSON: refused with a reason and a place, at once, and never by an exception."""

import json
import time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titan.model.strict_json import JsonError, parse

MIB = 1 << 20


def fault(raw: bytes) -> JsonError:
    result = parse(raw)
    assert isinstance(result, JsonError), result
    return result


@pytest.mark.parametrize(
    ("raw", "reason", "place"),
    [
        (b"", "not JSON", "line 1"),
        (b"{", "not JSON", "line 1 column 2"),
        (b'{"a":1,\n "b": tru}', "not JSON", "line 2 column 7"),
        (b'{"a":NaN}', "not JSON", "column 6"),
        (b'{"a":Infinity}', "not JSON", "column 6"),
        (b'{"a":-Infinity}', "not JSON", "column"),
        (b'{"a":1e400}', "infinity", "column 6"),
        (b'{"a":[1,{"b":18446744073709551616}]}', "64 bits", "a[1].b"),
        (b'{"a":-9223372036854775809}', "64 bits", "a"),
        (b"18446744073709551616", "64 bits", ""),
        (b'{"a":' + b"9" * 5000 + b"}", "infinity", "column 6"),
        (b'{"a":"\\ud800"}', "surrogate", "column"),
        (b'{"a":"\\udc00x"}', "surrogate", "column"),
        (b'{"a":["b","\\u0000"]}', "NUL", "a[1]"),
        (b'{"a":{"x\\u0000y":1}}', "NUL", "a"),
        (b'{"a":"x\x00"}', "control character", "column"),
        (b'{"a":"\xff"}', "UTF-8", "byte 6"),
        (b'"\xed\xa0\x80"', "UTF-8", "byte 1"),
        (b"\xef\xbb\xbf{}", "byte order mark", ""),
        ("{}".encode("utf-16"), "UTF-8", "byte 0"),
        (b'{"a":1,"b":{"c":1,"c":2}}', "'c' is given twice", "b"),
        (b'{"a":1,"\\u0061":2}', "'a' is given twice", ""),
        (b'{"\\u003a":1,":":2}', "':' is given twice", ""),
        (b'[{"a" : 1 , "a" : 2}]', "'a' is given twice", "[0]"),
        (b"[" * 65 + b"]" * 65, "deeper than 64", ""),
        (b"[" * 100_000, "deeper than 64", ""),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "deeper than 64", ""),
        (b'{"a":' + b"[" * 1020 + b"]" * 1020 + b',"a":1}', "given twice", ""),
        (b"{} {}", "not JSON", "column 4"),
        (b"{'a':1}", "not JSON", "column 2"),
        (b"[1,]", "not JSON", "column"),
        (b"[01]", "not JSON", "column"),
        (b"// no\n{}", "not JSON", "column"),
    ],
)
def test_refused(raw, reason, place):
    result = fault(raw)
    assert reason in result.reason
    assert place in result.place
    assert bool(place) == bool(result.place)


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 64 + b"]" * 64,
        b'{"a":"\\\\u0000"}',
        b'{"a\\u003a":1}',
        b'{":":":","b":"::"}',
        b'{"a":1.5,"b":1E3,"c":18446744073709551615,"d":-9223372036854775808}',
        '"\U0001f600\\ud83d\\ude00"'.encode(),
        b' \t\r\n{"a" : null}\n',
    ],
)
def test_accepted(raw):
    assert parse(raw) == json.loads(raw)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_what_is_json_comes_out_equal(value, ascii_only, indent):
    assert parse(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()) == value


@settings(max_examples=300)
@given(values, st.booleans(), st.text(':"\\a', max_size=4))
def test_a_member_given_twice_is_found_wherever_it_stands(value, ascii_only, name):
    key = json.dumps(name)
    around = json.dumps({"before": value, "here": 0, "after": value}, ensure_ascii=ascii_only)
    raw = around.replace('"here": 0', f'"here": {{{key}: 1, {key}:{json.dumps(value)}}}')
    assert "given twice" in fault(raw.encode()).reason


@given(st.binary(max_size=60))
def test_no_bytes_raise(raw):
    result = parse(raw)
    assert isinstance(result, JsonError) or orjson.loads(raw) == result


def large(item: bytes, start: bytes = b"[", end: bytes = b"]") -> bytes:
    return start + b",".join([item] * (8 * MIB // (len(item) + 1) - 8)) + end


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 8 * MIB,
        large(b"{}"),
        large(b'{"":0,"":0}'),
        large(b'"a"', end=b',"\\u0000"]'),
        large(b"99999999999999999999999"),
        large(b"1e400"),
        b'["' + b"a" * 8 * MIB + b'\xff"]',
        b"[" + b"9" * 8 * MIB + b"]",
        b'"' + b"\\u0000" * MIB + b'"',
        large(b'"a":1', b"{", b"}"),
    ],
    ids=[
        "brackets",
        "empty objects",
        "duplicates",
        "NUL last",
        "integers",
        "1e400",
        "UTF-8",
        "digits",
        "NULs",
        "1 key",
    ],
)
def test_eight_mebibytes_are_refused_at_once(raw):
    begin = time.process_time()  # other work may run on the machine
    fault(raw)
    assert time.process_time() - begin < 1.0  # 2 to 200 ms on a free machine
