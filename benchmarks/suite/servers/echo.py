"""A ``grpc.aio`` server that answers every Check with the same bytes: what gRPC alone costs.

python -m suite.servers.echo PORT ANSWER_IN_HEX
"""

import asyncio
import sys

import grpc

from wicketgate.adapters.envoy import SERVICE


async def main(port: str, answer: bytes) -> None:
    """Serve until the process is ended."""

    async def check(_: bytes, __: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return answer

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(check)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"Check": handler}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], bytes.fromhex(sys.argv[2])))
