"""A self-signed certificate for our own name, until an administrator puts a real one in place."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

RENEW_BEFORE = timedelta(days=14)
VALIDITY = timedelta(days=397)


def ensure(directory: Path, hostname: str) -> bool:
    """Make cert.pem and key.pem (mode 0600) unless there are good ones. True when made.

    A certificate of somebody else's making is kept whatever its state: renewing it is not ours.
    """
    certificate, key = directory / "cert.pem", directory / "key.pem"
    if certificate.exists() and key.exists() and _is_good(certificate.read_bytes(), hostname):
        return False
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write(
        key,
        private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    signed = _sign(private_key, hostname)
    _write(certificate, signed.public_bytes(serialization.Encoding.PEM))
    return True


def _is_good(pem: bytes, hostname: str) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return False
    if certificate.issuer != certificate.subject:
        return True
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    return left > RENEW_BEFORE and hostname in names.get_values_for_type(x509.DNSName)


def _sign(private_key: rsa.RSAPrivateKey, hostname: str) -> x509.Certificate:
    now = datetime.now(UTC)
    # A common name has at most 64 characters (RFC 5280, ub-common-name); the SAN is what counts.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private_key, hashes.SHA256())
    )


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_bytes(data)
    fresh.rename(path)
