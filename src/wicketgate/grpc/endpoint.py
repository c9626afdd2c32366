"""Where a gRPC server is found, and how it proves itself there."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wicketgate.errors import EnvironmentFaultError

UNIX = "unix:"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsIdentity:
    """How the server proves itself, and whom it listens to.

    Attributes:
        certificate: PEM chain, read anew at a handshake after the file changed.
        key: PEM private key, likewise.
        client_ca: PEM bundle; when set, clients must present a certificate.
        allowed_sans: When not empty, a client needs one of these SANs.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    allowed_sans: frozenset[str] = frozenset()


async def require_free(address: str) -> None:
    """Refuse a Unix socket that somebody answers on; to bind it would take it from them.

    Raises:
        EnvironmentFaultError: somebody does.
    """
    if not address.startswith(UNIX):
        return
    with suppress(OSError):
        _, writer = await asyncio.open_unix_connection(address.removeprefix(UNIX))
        writer.close()
        msg = f"cannot listen on {address}: another process does; set WICKETGATE_AUTHZ_ADDRESS"
        raise EnvironmentFaultError(msg)


def refused(address: str) -> EnvironmentFaultError:
    """Return why the address cannot be listened on, as far as can be told."""
    folder = Path(address.removeprefix(UNIX)).parent
    if address.startswith(UNIX) and not folder.is_dir():
        why = f"there is no directory {folder}; make it"
    elif address.startswith(UNIX):
        why = f"a socket cannot be made in {folder}; check its permissions"
    else:
        why = "it is in use, not an address of this machine, or not permitted"
    return EnvironmentFaultError(
        f"cannot listen on {address}: {why}, or set WICKETGATE_AUTHZ_ADDRESS to another"
    )
