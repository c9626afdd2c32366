"""What a server said in a session, without what depends on when it said it.

Answers and frames of the connection may come in another order when a session is cut in
other places, and messages in other pieces. What each stream gets stays the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hpack import Decoder

from unit.grpc.peer import Peer, parsed
from wicketgate.grpc.frames import Type


@dataclass
class Transcript:
    """What was said.

    Attributes:
        control: The frames of the connection, in order.
        streams: The frames of each stream, in order, messages in one piece.
    """

    control: list[str] = field(default_factory=list)
    streams: dict[int, list[str]] = field(default_factory=dict)


def transcript(sent: bytes, *, without: frozenset[int] = frozenset()) -> Transcript:
    """Return what a server said, except on some streams."""
    told = Transcript()
    decoder = Decoder()
    messages: dict[int, bytes] = {}
    for each in parsed(sent):
        stream = told.streams.setdefault(each.stream_id, [])
        if each.kind == Type.HEADERS:
            fields = decoder.decode(each.payload)
            stream.append(f"{messages.pop(each.stream_id, b'')!r} {fields} {each.flags}")
        elif each.kind == Type.DATA:
            messages[each.stream_id] = messages.get(each.stream_id, b"") + each.payload
        elif each.stream_id:
            stream.append(str(each))
        else:
            told.control.append(f"{each} {each.payload.hex()}")
    for stream_id in {0, *without}:
        told.streams.pop(stream_id, None)
    return told


def given_up(session: bytes) -> frozenset[int]:
    """Return the streams that the client resets; whether they are answered is chance."""
    return frozenset(
        each.stream_id for each in parsed(session[24:]) if each.kind == Type.RST_STREAM
    )


def replayed(pieces: Iterable[bytes]) -> tuple[Peer, bytes]:
    """Play a session to a server, and return it and what it said."""
    peer = Peer(hello=b"")
    said = [peer.greeting]
    said += [peer.send(piece) for piece in pieces]
    return peer, b"".join(said)
