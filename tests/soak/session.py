"""One connection that asks many Checks at once, and looks whose answer each one is.

Bytes in, bytes out. Every stream is answered exactly once, with an allow that names the
user whose token was sent on that very stream; anything else is a `WrongAnswerError`.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from hpack import Decoder

from unit.grpc.peer import (
    ACK,
    END_STREAM,
    PREFACE,
    block,
    frame,
    ping,
    settings,
    window_update,
)
from wicketgate._gen.ext_authz_pb2 import CheckResponse
from wicketgate.adapters.envoy import SERVICE
from wicketgate.grpc.frames import Setting, Type

END_HEADERS: Final = 0x4
BLOCK: Final = block(
    (":method", "POST"),
    (":scheme", "http"),
    (":path", f"/{SERVICE}/Check"),
    (":authority", "gate"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)
NO_TABLE: Final = b"\x20"
"""The first block says that the server's table, of size 0, is known (RFC 7541, 4.2)."""
FIRST_WINDOW: Final = 65_535
"""What may be sent before more is granted (RFC 9113, 6.9.2)."""
GRANT: Final = 1 << 20
"""How many bytes of answers are taken before as many more are granted."""


class WrongAnswerError(AssertionError):
    """A stream got what it should not have got."""


class Question(NamedTuple):
    """A Check.

    Attributes:
        user: Whom the answer has to name.
        message: The serialised ``CheckRequest``, with gRPC's prefix.
    """

    user: str
    message: bytes


def question(user: str, raw: bytes) -> Question:
    """Return the question for a serialised ``CheckRequest``."""
    return Question(user, b"\0" + len(raw).to_bytes(4, "big") + raw)


class Session:
    """The client's half of a connection.

    Attributes:
        answered: How many answers were right.
        is_over: All were, and nothing came after the last.
    """

    def __init__(self, questions: Iterator[Question], *, depth: int) -> None:
        """Prepare to ask `questions`, `depth` at a time."""
        self.answered = 0
        self.is_over = False
        self._questions = questions
        self._depth = depth
        self._next_stream = 1
        self._window = FIRST_WINDOW
        self._stream_window = FIRST_WINDOW
        self._held: Question | None = None
        self._is_greeted = False
        self._is_last_asked = False
        self._asked: dict[int, str] = {}
        self._bodies: dict[int, bytes] = {}
        self._known_blocks: dict[bytes, dict[str, str]] = {}
        self._taken = 0
        self._rest = b""
        self._out: list[bytes] = []

    def hello(self) -> bytes:
        """Return what is sent first."""
        return PREFACE + settings() + window_update(0, GRANT)

    def receive(self, received: bytes) -> bytes:
        """Take bytes and return what is sent next.

        Raises:
            WrongAnswerError: they are not what they should be.
        """
        data = self._rest + received
        at, end = 0, len(data)
        while end - at >= 9:
            upto = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if upto > end:
                break
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            self._take(data[at + 3], data[at + 4], stream, data[at + 9 : upto])
            at = upto
        self._rest = data[at:]
        if self._is_greeted:
            self._ask()
        sent, self._out = b"".join(self._out), []
        return sent

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == Type.DATA:
            self._body(stream, payload)
        elif kind == Type.HEADERS:
            self._headers(flags, stream, payload)
        elif kind == Type.WINDOW_UPDATE:
            if not stream:
                self._window += int.from_bytes(payload, "big")
        elif kind == Type.SETTINGS:
            self._settings(flags, payload)
        elif kind == Type.PING:
            self._ping(flags, payload)
        else:
            msg = f"{Type(kind).name} on stream {stream}: {payload.hex()}"
            raise WrongAnswerError(msg)

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            return
        for at in range(0, len(payload), 6):
            if int.from_bytes(payload[at : at + 2], "big") == Setting.INITIAL_WINDOW_SIZE:
                self._stream_window = int.from_bytes(payload[at + 2 : at + 6], "big")
        self._is_greeted = True
        self._out.append(frame(Type.SETTINGS, ACK, 0))

    def _ping(self, flags: int, payload: bytes) -> None:
        if not flags & ACK:
            self._out.append(ping(payload, flags=ACK))
        elif self._asked:
            msg = "a ping was answered that was never sent"
            raise WrongAnswerError(msg)
        else:
            self.is_over = True

    def _headers(self, flags: int, stream: int, payload: bytes) -> None:
        if stream not in self._asked or not flags & END_HEADERS:
            msg = f"headers on stream {stream}, which waits for none"
            raise WrongAnswerError(msg)
        fields = self._known_blocks.get(payload)
        if fields is None:
            # Without a table, equal blocks are equal headers.
            decoded = Decoder().decode(payload)
            fields = {str(name): str(value) for name, value in decoded}
            self._known_blocks[payload] = fields
        if not flags & END_STREAM:
            if stream in self._bodies or fields[":status"] != "200":
                msg = f"stream {stream} begins with {fields}"
                raise WrongAnswerError(msg)
            self._bodies[stream] = b""
            return
        if fields.get("grpc-status") != "0":
            msg = f"stream {stream} ends with {fields}"
            raise WrongAnswerError(msg)
        self._verify(self._asked.pop(stream), self._bodies.pop(stream, b""))

    def _body(self, stream: int, payload: bytes) -> None:
        if stream not in self._bodies:
            msg = f"data on stream {stream}, which waits for none"
            raise WrongAnswerError(msg)
        self._bodies[stream] += payload
        self._taken += len(payload)
        if self._taken >= GRANT // 2:
            self._out.append(window_update(0, self._taken))
            self._taken = 0

    def _verify(self, user: str, body: bytes) -> None:
        size = max(len(body) - 5, 0)
        if body[:5] != b"\0" + size.to_bytes(4, "big"):
            msg = f"the answer to {user} is no message: {body[:64].hex()}"
            raise WrongAnswerError(msg)
        response = CheckResponse.FromString(body[5:])
        told = {option.header.key: option.header.value for option in response.ok_response.headers}
        named = (told.get("clerk_user_id"), told.get("wicketgate-principal"))
        if response.status.code != 0 or named != (user, f"user:{user}"):
            msg = f"the answer to {user} has code {response.status.code} and names {named}"
            raise WrongAnswerError(msg)
        self.answered += 1

    def _ask(self) -> None:
        while len(self._asked) < self._depth and not self._is_last_asked:
            asked = self._held or next(self._questions, None)
            if asked is None:
                self._is_last_asked = True
                break
            size = len(asked.message)
            if size > self._stream_window:
                msg = f"a Check of {size} bytes has no room in a stream"
                raise WrongAnswerError(msg)
            if size > self._window:
                self._held = asked
                return
            self._held = None
            self._window -= size
            stream, self._next_stream = self._next_stream, self._next_stream + 2
            self._asked[stream] = asked.user
            header_block = BLOCK if stream > 1 else NO_TABLE + BLOCK
            self._out.append(frame(Type.HEADERS, END_HEADERS, stream, header_block))
            self._out.append(frame(Type.DATA, END_STREAM, stream, asked.message))
        if self._is_last_asked and not self._asked and not self.is_over:
            # Whatever else was on its way is here before the answer to this.
            self._out.append(ping())
