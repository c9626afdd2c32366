"""Whether the TLS files can be used, before anything depends on them."""

import ssl
from typing import Final

from wicketgate.errors import ConfigurationError
from wicketgate.settings.groups import TlsFiles

_NO_PASSWORD: Final = ""
"""An encrypted key is a mistake to report, not a prompt on the terminal."""


def require_usable(tls: TlsFiles) -> None:
    """Read the files.

    Raises:
        ConfigurationError: a file is missing, unreadable, or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mistakes = []
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_NO_PASSWORD)
    except OSError as error:
        mistakes.append(
            f"WICKETGATE_TLS_CERT_FILE and WICKETGATE_TLS_KEY_FILE: {_why(error)}; expected "
            f"a PEM certificate chain and its private key ({tls.cert_file}, {tls.key_file})"
        )
    if tls.client_ca_file is not None:
        try:
            context.load_verify_locations(tls.client_ca_file)
        except OSError as error:
            mistakes.append(
                f"WICKETGATE_TLS_CLIENT_CA_FILE: {_why(error)}; expected a PEM bundle of "
                f"certificate authorities ({tls.client_ca_file})"
            )
    if mistakes:
        raise ConfigurationError(*mistakes)


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not usable").replace("_", " ").lower()
    return (error.strerror or type(error).__name__).lower()
