"""Ask the process in this container how it is: the image's health check.

Exits with 0 when the admin address answers 200. Asked is ``/healthz``, or the path that
is given; ``/readyz`` also waits for keys and for Postgres. Which process runs here is
not known, so both admin ports are tried, as the settings of the container name them.
"""
# ruff: noqa: INP001 - run as a file, and part of no package

import os
import sys
from http.client import HTTPConnection, HTTPException

SETTINGS = ("WICKETGATE_ADMIN_ADDRESS", "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS")
SECONDS = 1.0  # for each of the two, and the container's health check waits for 3


def is_well(port: int, path: str) -> bool:
    """Return whether something on this port of loopback answers 200."""
    # http.client and not urllib: a proxy in the environment must not carry the question off.
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200  # noqa: PLR2004 - OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    """Return the exit status."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/healthz"
    ports = [os.environ.get(name, "").rpartition(":")[2] for name in SETTINGS]
    return 0 if any(is_well(int(port), path) for port in ports if port.isdigit()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
