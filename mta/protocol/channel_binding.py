"""What ties an authentication to the TLS channel it runs in (RFC 5929, RFC 9266).

Somebody who sits between client and server has two channels, and so two different bindings.
"""

import ssl

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

END_POINT = "tls-server-end-point"
UNIQUE = "tls-unique"
EXPORTER = "tls-exporter"

# RFC 5929 4.1: a certificate signed with one of these is hashed with SHA-256 all the same.
_TOO_WEAK = (hashes.MD5, hashes.SHA1)


def end_point(certificate: bytes) -> bytes | None:
    """The binding of type tls-server-end-point: a hash of the server's certificate.

    `certificate` is DER, or PEM, of which the first one counts. None when the type is not defined
    for it, as with Ed25519, whose signatures name no hash. Raises ValueError when it is neither.
    """
    if b"-----BEGIN" in certificate:
        parsed = x509.load_pem_x509_certificate(certificate)
    else:
        parsed = x509.load_der_x509_certificate(certificate)
    try:
        algorithm = parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    return parsed.fingerprint(hashes.SHA256() if isinstance(algorithm, _TOO_WEAK) else algorithm)


def bindings(tls: ssl.SSLObject | ssl.SSLSocket, end_point: bytes | None) -> dict[str, bytes]:
    """The bindings of this channel by type. `end_point` is that of the certificate it uses.

    tls-unique is not defined with TLS 1.3 (RFC 9266 3); tls-exporter came in its place, as soon
    as the `ssl` module can tell it.
    """
    found = {} if end_point is None else {END_POINT: end_point}
    of_channel = EXPORTER if tls.version() == "TLSv1.3" else UNIQUE
    if of_channel in ssl.CHANNEL_BINDING_TYPES:
        data = tls.get_channel_binding(of_channel)
        if data:
            found[of_channel] = data
    return found
