"""However a session is cut into pieces, the answers are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.mutate import frames_of
from fuzz.sessions import RECORDED, sessions
from fuzz.transcript import Transcript, given_up, replayed, transcript
from unit.grpc.peer import PREFACE, in_pieces
from wicketgate.grpc.frames import Type

NAMES = sorted(sessions())
CUTS = 1_000
"""Of each session, at most; `python -m fuzz` cuts at every octet of all of them."""
DULL = 40
"""Octets of a payload, from which on its middle is one like the other."""


def told(name: str, pieces: list[bytes]) -> Transcript:
    """Return what is said to a session in these pieces."""
    peer, said = replayed(pieces)
    assert peer.fault == ""
    assert not any(peer.connection.kept[what] for what in ("streams", "answers", "unread"))
    return transcript(said, without=given_up(sessions()[name]))


def places(session: bytes) -> list[int]:
    """Return where to cut: everywhere but in the middle of long DATA, or nearly so."""
    found = set(range(1, len(PREFACE)))
    at = len(PREFACE)
    for each in frames_of(session):
        end = at + len(each)
        if each[3] == Type.DATA and len(each) > 2 * DULL:
            found |= {*range(at, at + DULL), *range(end - DULL, end)}
        else:
            found |= {*range(at, end)}
        at = end
    return sorted(found)[:: len(found) // CUTS + 1]


@pytest.mark.parametrize("name", NAMES)
def test_every_request_of_a_session_is_answered(name: str) -> None:
    session = sessions()[name]

    said = told(name, [session])

    assert len(said.streams) >= 3
    for answer in said.streams.values():
        assert answer[0].startswith("b''")
        assert answer[-1].endswith(" 5")


def test_no_recorded_session_is_left_out() -> None:
    recorded = {path.stem for path in RECORDED.iterdir()}

    assert {"grpcio", "envoy", "envoy-health", "nghttp", "h2load"} <= recorded
    assert {*recorded, "h2"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_octet_at_a_time(name: str) -> None:
    session = sessions()[name]

    assert told(name, [bytes([octet]) for octet in session]) == told(name, [session])


@pytest.mark.parametrize("name", NAMES)
def test_cut_in_two_anywhere(name: str) -> None:
    session = sessions()[name]
    whole = told(name, [session])

    for at in places(session):
        assert told(name, [session[:at], session[at:]]) == whole, f"cut at {at}"


@given(st.sampled_from(NAMES), st.data())
def test_cut_in_many_places(name: str, drawn: st.DataObject) -> None:
    session = sessions()[name]
    cuts = drawn.draw(st.lists(st.integers(0, len(session)), max_size=12))

    assert told(name, in_pieces(session, cuts)) == told(name, [session])
