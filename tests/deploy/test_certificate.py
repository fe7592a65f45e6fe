"""The self-signed certificate: made once, kept while it is good, never over a real one."""

import ssl
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy import certificate

NAME = "mail.example.test"


def test_it_names_us_and_its_files_are_ours_alone(tmp_path: Path) -> None:
    assert certificate.ensure(tmp_path, NAME)
    found = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    for name in ("cert.pem", "key.pem"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
        tmp_path / "cert.pem", tmp_path / "key.pem"
    )


def test_a_good_one_is_kept(tmp_path: Path) -> None:
    certificate.ensure(tmp_path, NAME)
    before = (tmp_path / "cert.pem").read_bytes()
    assert not certificate.ensure(tmp_path, NAME)
    assert (tmp_path / "cert.pem").read_bytes() == before


def test_another_name_needs_another_one(tmp_path: Path) -> None:
    certificate.ensure(tmp_path, NAME)
    assert certificate.ensure(tmp_path, "other.example.test")


def test_one_about_to_expire_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "VALIDITY", timedelta(days=13))
    certificate.ensure(tmp_path, NAME)
    monkeypatch.undo()
    assert certificate.ensure(tmp_path, NAME)


@pytest.mark.parametrize("broken", ["cert.pem", "key.pem"])
def test_half_of_one_is_replaced(tmp_path: Path, broken: str) -> None:
    certificate.ensure(tmp_path, NAME)
    (tmp_path / broken).unlink()
    assert certificate.ensure(tmp_path, NAME)


def test_one_of_an_authority_is_never_touched(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signed = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old.example.test")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An Authority")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1))
        .not_valid_after(datetime(2020, 2, 1))
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_text("its key")
    assert not certificate.ensure(tmp_path, NAME)
