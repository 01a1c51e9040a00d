"""The end of a certificate's validity is read from its DER."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from trustme import CA

from titan.http.der import not_after

CERTIFICATE = CA().issue_cert("localhost").cert_chain_pems[0].bytes()
DER = x509.load_pem_x509_certificate(CERTIFICATE).public_bytes(Encoding.DER)


@pytest.mark.parametrize("end", [datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC), datetime(2077, 1, 2, 3, 4, 5, tzinfo=UTC)])
def test_both_forms_of_time_are_read(end):
    leaf = CA().issue_cert("localhost", not_after=end)
    der = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_bytes(Encoding.DER)
    assert not_after(der) == end.timestamp()


@given(st.integers(0, len(DER) - 1))
def test_a_cut_certificate_is_refused(length):
    with pytest.raises(ValueError):
        not_after(DER[:length])


@given(st.binary(max_size=64))
def test_anything_else_is_refused(data):
    with pytest.raises(ValueError):
        not_after(data)
