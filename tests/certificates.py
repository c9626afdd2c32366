"""Certificates for tests: one authority, and whoever it vouches for."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write both into `folder` and return their paths."""
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        for path, content in zip(paths, (self.certificate, self.key), strict=True):
            path.write_bytes(content)
        return paths


class Authority:
    """A certificate authority."""

    def __init__(self) -> None:
        self._key = generate_private_key(SECP256R1())

    @cached_property
    def certificate(self) -> bytes:
        """Its own certificate, as PEM."""
        return self._sign("authority", self._key, (), is_authority=True)

    def issue(self, name: str, *sans: x509.GeneralName) -> Pair:
        """Vouch for `name`."""
        key = generate_private_key(SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(self._sign(name, key, sans), pem)

    def server(self, name: str = "server") -> Pair:
        """Vouch for a server on loopback."""
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return self.issue(name, x509.DNSName("localhost"), loopback)

    def client(self, uri: str) -> Pair:
        """Vouch for a client with a SPIFFE-like identity."""
        return self.issue("client", x509.UniformResourceIdentifier(uri))

    def _sign(
        self,
        name: str,
        key: EllipticCurvePrivateKey,
        sans: tuple[x509.GeneralName, ...],
        *,
        is_authority: bool = False,
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
