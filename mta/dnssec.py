"""Whether the name servers' word on DNSSEC counts, which DANE and REQUIRETLS depend on.

We do not validate ourselves. That a validating name server found the signatures good is one bit
in its answer (AD), which anybody between it and us could set; only on loopback there is nobody.
"""

from ipaddress import ip_address

from mta.models import DnssecTrust
from mta.protocol.dns_resolver import nameservers
from mta.protocol.mx import DnsTrouble, is_ip


def is_believed(trust: str, nameserver: str) -> bool:
    """`trust` is a value of DnssecTrust, `nameserver` as for DnsResolver."""
    if trust != DnssecTrust.LOOPBACK:
        return trust == DnssecTrust.ALWAYS
    try:
        servers = nameservers(nameserver)
    except DnsTrouble:
        return False
    return all(is_ip(each) and ip_address(each).is_loopback for each in servers)
