"""Unary gRPC over HTTP/2, for servers: bytes in, bytes out, and an asyncio server on top.

`http2`, `headers`, `unary` and what they stand on read no socket and no clock; time is
an argument. `protocol`, `calls` and `server` connect them with asyncio. `docs/decisions`
0016 says why this exists.
"""
