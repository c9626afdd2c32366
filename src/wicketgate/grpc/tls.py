"""TLS for the server: ALPN ``h2``, and certificates that are followed as they are renewed.

Source: RFC 9113 sections 3.2 and 9.2; RFC 7301.
"""

import ssl
from asyncio import BaseTransport
from contextlib import suppress
from typing import Any, Final

from wicketgate.grpc.endpoint import TlsIdentity

_Stamp = tuple[tuple[int, int, int], ...]

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, those that RFC 9113 appendix A leaves; TLS 1.3 has no others."""


class FollowedContext:
    """A server's TLS context whose certificate is that of the files at each handshake."""

    def __init__(self, identity: TlsIdentity) -> None:
        """Read the files.

        Raises:
            OSError: one cannot be read, or is not what it should be.
        """
        self._identity = identity
        self._stamp = _stamp(identity)
        self._latest = _context(identity)
        self.context = _context(identity)
        # Called at each handshake, also without a server name.
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        # A half-written file must not end the certificate in use.
        with suppress(OSError):
            stamp = _stamp(self._identity)
            if stamp != self._stamp:
                self._latest = _context(self._identity)
                self._stamp = stamp
        connection.context = self._latest


def peer_sans(transport: BaseTransport) -> frozenset[str]:
    """Return the subject alternative names of the peer's certificate."""
    certificate: dict[str, Any] = transport.get_extra_info("peercert") or {}
    return frozenset(str(value) for _, value in certificate.get("subjectAltName", ()))


def _context(identity: TlsIdentity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["h2"])
    # RFC 9113 section 9.2.1 forbids renegotiation. Tickets would let a client in again whose
    # authority is no longer trusted.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    # An encrypted key is a mistake to report, not a prompt on the terminal.
    context.load_cert_chain(identity.certificate, identity.key, password="")
    if identity.client_ca is not None:
        context.load_verify_locations(identity.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _stamp(identity: TlsIdentity) -> _Stamp:
    files = (identity.certificate, identity.key, identity.client_ca)
    stats = [file.stat() for file in files if file is not None]
    return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)
