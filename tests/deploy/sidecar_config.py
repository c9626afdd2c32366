"""Derive ``deploy/sidecar/envoy.yaml`` from the project's own ``envoy.yaml``.

    python tests/deploy/sidecar_config.py > deploy/sidecar/envoy.yaml

Three addresses and the words beside them are all that differs; a test compares.
"""

import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
OURS: Final = REPOSITORY / "envoy.yaml"
DERIVED: Final = REPOSITORY / "deploy" / "sidecar" / "envoy.yaml"

_HEADER: Final = """\
# Envoy in the pod of a service, with a gate of its own behind a Unix socket.
#
# Made of envoy.yaml at the top of the repository by tests/deploy/sidecar_config.py: change that
# file, and make this one anew. What differs is the address of `edge`, which other pods must reach,
# that of the gate, and that of the admin interface, which the service beside it must not reach.
# `internal`, which admits service tokens, stays on the pod's loopback.
"""
_CHANGES: Final = (
    (
        "this port can read the configuration and stop the process: loopback only.",
        (
            "this socket can read the configuration and stop the process. The service\n"
            "  # shares the pod's loopback, so this is in a volume that no other container mounts."
        ),
    ),
    (
        "address: { socket_address: { address: 127.0.0.1, port_value: 9901 } }",
        "address: { pipe: { path: /run/envoy/admin.sock, mode: 384 } } # 0600",
    ),
    (
        "address: { socket_address: { address: 127.0.0.1, port_value: 8000 } }",
        "address: { socket_address: { address: 0.0.0.0, port_value: 8000 } }",
    ),
    (
        "address: { socket_address: { address: 127.0.0.1, port_value: 9191 } }",
        "address: { pipe: { path: /run/wicketgate/checks.sock } }",
    ),
)


def derived(text: str) -> str:
    """Return what becomes of the text of ``envoy.yaml``.

    Raises:
        ValueError: it no longer has one of the addresses, or has it twice.
    """
    _, mark, rest = text.partition("\n\n")
    body = mark[1:] + rest
    for before, after in _CHANGES:
        if body.count(before) != 1:
            msg = f"expected once: {before}"
            raise ValueError(msg)
        body = body.replace(before, after)
    return _HEADER + body


if __name__ == "__main__":
    sys.stdout.write(derived(OURS.read_text("utf-8")))
