"""What can be wrong with what a peer sends, by how far it reaches."""

from wicketgate.grpc.frames import ErrorCode


class Fault(Exception):  # noqa: N818 - it is a finding about the peer, not an error of ours
    """The connection is over (RFC 9113 section 5.4.1)."""

    def __init__(self, code: ErrorCode, why: str) -> None:
        """Say why, in words that may be sent to the peer."""
        super().__init__(why)
        self.code = code
        self.why = why


class MalformedError(ValueError):
    """A request that is malformed; its stream is over (RFC 9113 section 8.1.1)."""
