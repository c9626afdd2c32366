"""Unary gRPC over HTTP/2, for servers: bytes in, bytes out, and an asyncio server on top.

`http2`, `headers` and `unary` read no socket and no clock; time is an argument.
`server` moves bytes between them and asyncio, and decides nothing.
"""
