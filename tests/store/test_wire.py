"""Frames come out as they went in, however the bytes were cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.store.sqlite import wire

values = st.recursive(
    st.none() | st.integers(-(2**63), 2**63) | st.text() | st.binary() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
)


@given(st.lists(values, max_size=5), st.lists(st.integers(1, 30), min_size=1))
def test_any_values_cut_anywhere(sent, cuts):
    data = b"".join(map(wire.frame, sent))
    frames = wire.Frames()
    received = []
    while data:
        for cut in cuts:
            received += frames.feed(data[:cut])
            data = data[cut:]
    assert received == sent


def test_a_frame_that_is_cut_off_is_no_frame():
    frames = wire.Frames()
    assert frames.feed(wire.frame(("whole",)) + wire.frame(("cut", b"off"))[:-1]) == [("whole",)]


def test_a_stream_out_of_step_is_an_error_and_no_endless_wait():
    with pytest.raises(ValueError, match="out of step"):
        wire.Frames().feed(b"\xff\xff\xff\xff")
