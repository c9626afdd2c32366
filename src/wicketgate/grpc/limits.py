"""What a peer may cost, each limit with its precedent."""

from dataclasses import dataclass

from wicketgate.grpc.frames import MIN_FRAME_SIZE

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one connection.

    Attributes:
        frame_bytes: The longest frame taken; the least that RFC 9113 section 4.2 allows
            to be asked for, and what every implementation begins with.
        header_bytes: Of one header block, CONTINUATION included, and of the list that it
            says. grpc-go and Envoy end at 16 and 60 KiB; CVE-2024-27316 had no end.
        continuations: CONTINUATION frames of one block (nghttp2: 8).
        settings: Entries of one SETTINGS frame (nghttp2: 32).
        message_bytes: The longest message. Above the largest headers that Envoy
            takes (8 MiB), because a Check that is refused for its size is a gRPC error,
            which ``failure_mode_allow`` may turn into an allow.
        buffered_bytes: Of all unfinished requests together: the connection's window.
        large_bytes: A request longer than this is refused while three quarters of
            `buffered_bytes` are taken, so that a few large ones cannot block the rest.
        streams: At once. Advertised high, because a refused stream is a failed
            request to Envoy.
        resets: Streams that are given up before they are answered, at once. nghttp2 has
            1,000 and 33 per second. More here: whoever talks to Envoy can make it give
            up streams on the connection that all others share, and a request that is
            given up costs less than one that is not (CVE-2023-44487, CVE-2025-8671).
        resets_per_second: ... and lasting.
        glitches: Frames that carry nothing forward (SETTINGS, PING, PRIORITY, empty
            DATA, unknown types), at once. CVE-2019-9512, -9515, -9518.
        glitches_per_second: ... and lasting, on top of those that belong to requests.
        pending_bytes: Answers that the peer's flow control holds back. Any more are not
            given, their streams are reset instead.
        greeting_seconds: From the connection to the peer's first SETTINGS, and to its
            acknowledgement of ours.
        stream_seconds: From a stream's HEADERS to the last of its answer, so that
            nothing is held for a peer that neither finishes asking nor takes the answer.
    """

    frame_bytes: int = MIN_FRAME_SIZE
    header_bytes: int = 65_536
    continuations: int = 8
    settings: int = 32
    message_bytes: int = 16 * MEBIBYTE
    buffered_bytes: int = 64 * MEBIBYTE
    large_bytes: int = MEBIBYTE
    streams: int = 10_000
    resets: int = 10_000
    resets_per_second: float = 1_000.0
    glitches: int = 1_000
    glitches_per_second: float = 100.0
    pending_bytes: int = 64 * MEBIBYTE
    greeting_seconds: float = 10.0
    stream_seconds: float = 60.0
