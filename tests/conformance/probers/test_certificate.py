"""Reading the end of a certificate from its bytes."""

import ssl
import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.endpoints import Authority

from tillwatch.probers.certificate import not_after


def der(authority: Authority, *arguments: str) -> bytes:
    """A self-signed certificate made by OpenSSL."""
    made = authority.folder / "made.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(authority.folder / "made.key"), "-out", str(made), "-subj", "/CN=收银", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return ssl.PEM_cert_to_DER_cert(made.read_text())


def ending_by_openssl(authority: Authority) -> datetime:
    shown = subprocess.run(
        ["openssl", "x509", "-in", str(authority.folder / "made.pem"), "-noout", "-enddate", "-dateopt", "iso_8601"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return datetime.fromisoformat(shown.strip().removeprefix("notAfter=")).astimezone(UTC)


# Two-digit years are used before 2050 and four-digit ones after.
@pytest.mark.parametrize("days", [1, 365, 365 * 60])
def test_the_end_is_the_one_openssl_reads(authority: Authority, days: int) -> None:
    assert not_after(der(authority, "-days", str(days))) == ending_by_openssl(authority)


def test_a_certificate_cut_short_anywhere_is_refused_or_read_right(authority: Authority) -> None:
    whole = der(authority, "-days", "30")
    right = not_after(whole)
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"not an X\.509 certificate"):
            not_after(whole[:length])
    assert not_after(whole + b"trailing") == right


@given(st.binary(max_size=400))
def test_bytes_that_are_no_certificate_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an X\.509 certificate"):
        not_after(data)
