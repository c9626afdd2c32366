"""Correctness first: what a server must answer before it is measured.

Asked with gRPC's own client and read with Envoy's published Python package, so that
neither our transport, nor our load generator, nor our messages vouch for themselves.
"""

import grpc
from envoy_data_plane.envoy.service.auth.v3 import CheckResponse

from suite.checks import PATH, check_request, tampered
from suite.load.generator import VoidError
from wicketgate.adapters.envoy import SERVICE
from wicketgate.local.clerk_instance import USER
from wicketgate.local.ports import LOOPBACK

SECONDS = 10.0
_UNAUTHENTICATED = 16
_UNAUTHORIZED = 401


async def require_gate(port: int, token: str, *, path: str = PATH) -> bytes:
    """Ask a gate three questions, and return its answer to the one that is allowed.

    Raises:
        VoidError: a valid token does not let its user in, or anything else does.
    """
    async with grpc.aio.insecure_channel(f"{LOOPBACK}:{port}") as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/{SERVICE}/Check"
        )

        async def ask(credential: str) -> bytes:
            raw = check_request(credential, path=path)
            try:
                return await call(raw, timeout=SECONDS, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                msg = f"expected an answer, got {error.code().name}"
                raise VoidError(msg) from None

        allowed = await ask(token)
        _require_allowed(allowed)
        _require_denied("no token", await ask(""))
        _require_denied("a tampered token", await ask(tampered(token)))
        return allowed


def _require_allowed(raw: bytes) -> None:
    response = CheckResponse.parse(raw)
    code = response.status.code if response.status else 0
    headers = response.ok_response.headers if response.ok_response else []
    named = {each.header.key: each.header.value for each in headers if each.header}
    if code or named.get("clerk_user_id") != USER:
        msg = f"a valid token: expected {USER} to be let in, got code {code} and {named}"
        raise VoidError(msg)


def _require_denied(what: str, raw: bytes) -> None:
    response = CheckResponse.parse(raw)
    code = response.status.code if response.status else 0
    denied = response.denied_response
    status = denied.status.code if denied and denied.status else 0
    if code != _UNAUTHENTICATED or status != _UNAUTHORIZED:
        msg = f"{what}: expected code 16 and status 401, got {code} and {status}"
        raise VoidError(msg)
