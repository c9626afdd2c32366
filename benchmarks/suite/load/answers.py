"""What an answer must be, checked on every one of them without decoding it.

Two answers are decoded in full when a session opens. What they have in common from the
beginning on, which holds the status and, when all callers are one user, who was let in, is what
every other answer must begin with. Where callers differ, each answer must name its own; a
denial must hold its HTTP status. Header blocks of responses are decoded once each and then
known by sight.
"""

from dataclasses import dataclass
from typing import Final

from hpack import Decoder, HPACKError

from wicketgate._gen.ext_authz_pb2 import CheckResponse

MAX_KNOWN: Final = 64
"""Different header blocks that a server may answer with; ours have one."""


class WrongAnswerError(Exception):
    """The server answered something else than it should; the case is void."""

    def __init__(self, *, expected: str, got: object) -> None:
        super().__init__(f"expected {expected}, got {got}")


@dataclass(frozen=True, slots=True)
class Expected:
    """What all answers of a session are to be.

    Attributes:
        code: ``CheckResponse.status.code``: 0 lets the request pass.
        has_user: Whether the answer names the user that the request is of.
    """

    code: int
    has_user: bool


def require(raw: bytes, user: bytes, expected: Expected) -> None:
    """Decode an answer and compare it with what is expected.

    Raises:
        WrongAnswerError: it is something else.
    """
    response = CheckResponse.FromString(raw)
    if response.status.code != expected.code:
        raise WrongAnswerError(expected=f"code {expected.code}", got=response.status.code)
    named = {each.header.key: each.header.value for each in response.ok_response.headers}
    if expected.has_user and named.get("clerk_user_id") != user.decode():
        raise WrongAnswerError(expected=f"{user!r} to be let in", got=named)
    if expected.code and not response.denied_response.status.code:
        raise WrongAnswerError(expected="an HTTP status", got="a denial without")


def common_beginning(first: bytes, second: bytes) -> bytes:
    """Return what right answers begin with, judged by two of them.

    That is all of an answer that does not hold the decision's id: the status, and what
    is changed of an allowed request. The id is in the dynamic metadata, which comes
    last, and in what a denied caller is told.

    Raises:
        WrongAnswerError: they do not begin alike, or not with what matters.
    """
    shared = _common_prefix(_without_id(first), _without_id(second))
    if not shared.startswith(CheckResponse.FromString(first).status.SerializeToString(), 2):
        raise WrongAnswerError(expected="answers that begin with their status", got=shared[:16])
    return shared


def _common_prefix(first: bytes, second: bytes) -> bytes:
    for at, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return first[:at]
    return min(first, second, key=len)


def _without_id(raw: bytes) -> bytes:
    response = CheckResponse.FromString(raw)
    response.ClearField("dynamic_metadata")
    response.ClearField("denied_response")
    beginning = response.SerializeToString()
    if not raw.startswith(beginning):
        raise WrongAnswerError(expected="fields in order", got=raw[:200])
    return beginning


def http_status_of(raw: bytes) -> bytes:
    """Return the bytes that say the HTTP status of a denial: field 1 of ``denied_response``."""
    status = CheckResponse.FromString(raw).denied_response.status.SerializeToString()
    return b"\x0a%c" % len(status) + status


class Blocks:
    """The response header blocks of one connection; its dynamic table is of size 0."""

    def __init__(self) -> None:
        self.heads: set[bytes] = set()
        self.trailers: set[bytes] = set()
        self._decoder = Decoder()
        self._decoder.max_allowed_table_size = 0

    def learn_head(self, block: bytes) -> None:
        """Decode the headers of a response.

        Raises:
            WrongAnswerError: they are not those of a gRPC response that goes on.
        """
        fields = self._fields(block)
        if fields.get(":status") != "200" or "grpc-status" in fields:
            raise WrongAnswerError(expected="headers of a response", got=fields)
        self._keep(self.heads, block)

    def learn_trailers(self, block: bytes) -> None:
        """Decode the trailers of a response.

        Raises:
            WrongAnswerError: they do not say that all is well.
        """
        fields = self._fields(block)
        if fields.get("grpc-status") != "0":
            raise WrongAnswerError(expected="grpc-status 0", got=fields)
        self._keep(self.trailers, block)

    def _fields(self, block: bytes) -> dict[str, str]:
        try:
            return {str(name): str(value) for name, value in self._decoder.decode(block)}
        except HPACKError as error:
            raise WrongAnswerError(expected="headers without a dynamic table", got=error) from None

    @staticmethod
    def _keep(known: set[bytes], block: bytes) -> None:
        if len(known) < MAX_KNOWN:
            known.add(block)
