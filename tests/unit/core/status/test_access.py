"""Who may read the status page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.status.access import (
    NO_TOKEN,
    OFF,
    OTHER_NAME,
    OTHER_SITE,
    Access,
    Asked,
    NoEntry,
    Place,
)

TOKEN = "a-status-token-of-more-than-32-characters"
NEXT_TOKEN = "the-next-status-token-of-32-characters-"
HOST = "127.0.0.1:9464"
KNOWN = f"Bearer {TOKEN}"


def access(place: Place, *tokens: str) -> Access:
    return Access(place, ServiceTokens(tokens))


# --- where nothing is demanded -----------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:9464", "LocalHost:1", "127.0.0.1", HOST, "127.8.8.8:80"),
        *("[::1]:9464", "[::1]", "10.0.0.7:9464", "[fe80::1]:9464"),
    ],
)
def test_loopback_is_open_under_its_own_name_and_under_addresses(host: str) -> None:
    assert access(Place.LOOPBACK).to_data(Asked(host=host)) is None


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", "evil.example", "evil.example:9464", "localhost.evil.example"),
        *("127.0.0.1.evil.example", "127.0.0.1@evil.example", "a.localhost", "localhost."),
        *("127.0.0.1:9464 ", "127.0.0.1:", "[::1", "[evil]:1", "1.2.3", "::1", "127.0.0.1:x"),
        *("127.0.0.1:9464,evil.example", "evil.example#localhost", "١٢٧.0.0.1"),
    ],
)
def test_a_name_that_somebody_may_lead_to_loopback_is_refused(host: str | None) -> None:
    """
    DNS rebinding: the browser takes evil.example for ours, and sends its name.
    """
    assert access(Place.LOOPBACK).to_data(Asked(host=host)) == OTHER_NAME


@given(st.text(max_size=40))
def test_no_host_raises(host: str) -> None:
    assert access(Place.LOOPBACK).to_data(Asked(host=host)) in (None, OTHER_NAME)


@pytest.mark.parametrize("host", [None, "localhost", "whatever"])
def test_a_socket_is_open_under_any_name(host: str | None) -> None:
    assert access(Place.SOCKET).to_data(Asked(host=host)) is None


@pytest.mark.parametrize("place", [Place.LOOPBACK, Place.SOCKET])
def test_the_page_itself_is_open_where_the_data_may_be(place: Place) -> None:
    assert access(place).to_page() is None


# --- where everybody could ask -----------------------------------------------------


def test_on_a_network_there_is_no_page_without_a_token() -> None:
    closed = access(Place.NETWORK)

    assert closed.to_page() == OFF
    assert closed.to_data(Asked(host="localhost", authorization=KNOWN)) == OFF
    assert "WICKETGATE_STATUS_TOKEN" in OFF.text


@pytest.mark.parametrize("place", Place)
def test_with_a_token_the_page_is_shown_and_the_data_to_whoever_has_it(place: Place) -> None:
    guarded = access(place, TOKEN)

    assert guarded.to_page() is None
    assert guarded.to_data(Asked(host=HOST)) == NO_TOKEN
    assert guarded.to_data(Asked(host=HOST, authorization=KNOWN)) is None


def test_whoever_has_a_token_may_use_any_name() -> None:
    asked = Asked(host="status.example.com", authorization=KNOWN)

    assert access(Place.LOOPBACK, TOKEN).to_data(asked) is None


@pytest.mark.parametrize("token", [TOKEN, NEXT_TOKEN])
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_while_a_token_is_replaced_both_count(token: str, scheme: str) -> None:
    asked = Asked(host=HOST, authorization=f"{scheme}{token}")

    assert access(Place.NETWORK, TOKEN, NEXT_TOKEN).to_data(asked) is None


@pytest.mark.parametrize(
    "authorization",
    [
        *(None, "", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {NEXT_TOKEN}"),
        *(f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN} ", f" Bearer {TOKEN}"),
        *(f"Bearer {TOKEN},{TOKEN}", f"Bearer {TOKEN} {TOKEN}", "Bearer ä", f"Bearer{TOKEN}"),
        f"Bearer {TOKEN.upper()}",
    ],
)
def test_anything_but_the_token_is_refused(authorization: str | None) -> None:
    asked = Asked(host=HOST, authorization=authorization)

    assert access(Place.NETWORK, TOKEN).to_data(asked) == NO_TOKEN


def test_a_reload_replaces_the_tokens() -> None:
    guarded = access(Place.NETWORK, TOKEN)
    guarded.tokens = ServiceTokens([NEXT_TOKEN])

    assert guarded.to_data(Asked(host=HOST, authorization=KNOWN)) == NO_TOKEN
    assert guarded.to_data(Asked(host=HOST, authorization=f"Bearer {NEXT_TOKEN}")) is None


# --- other sites -------------------------------------------------------------------

OPEN = access(Place.LOOPBACK)
GUARDED = access(Place.NETWORK, TOKEN)


@pytest.mark.parametrize("guard", [OPEN, GUARDED])
@pytest.mark.parametrize(
    ("site", "origin", "expected"),
    [
        (None, None, None),
        ("same-origin", None, None),
        ("none", None, None),
        ("same-origin", f"http://{HOST}", None),
        (None, f"https://{HOST}", None),
        (None, f"HTTP://{HOST}", None),
        ("cross-site", None, OTHER_SITE),
        ("same-site", None, OTHER_SITE),
        ("Same-Origin", None, OTHER_SITE),
        ("", None, OTHER_SITE),
        (None, "https://evil.example", OTHER_SITE),
        (None, "null", OTHER_SITE),
        (None, "", OTHER_SITE),
        (None, "http://127.0.0.1:3000", OTHER_SITE),
        (None, f"http://{HOST}.evil.example", OTHER_SITE),
        (None, f"http://{HOST}/", OTHER_SITE),
        ("same-origin", "https://evil.example", OTHER_SITE),
    ],
)
def test_what_a_page_of_another_site_asks_for_is_refused(
    guard: Access, site: str | None, origin: str | None, expected: NoEntry | None
) -> None:
    asked = Asked(host=HOST, origin=origin, site=site, authorization=KNOWN)

    assert expected == guard.to_data(asked)


def test_an_origin_without_a_host_to_compare_it_with_is_refused() -> None:
    asked = Asked(host=None, origin="http://localhost", authorization=KNOWN)

    assert GUARDED.to_data(asked) == OTHER_SITE


@pytest.mark.parametrize("each", [OFF, NO_TOKEN, OTHER_SITE, OTHER_NAME])
def test_a_refusal_says_what_to_do_and_nothing_of_the_request(each: NoEntry) -> None:
    assert each.status in {401, 403}
    assert each.text.endswith(".\n")
    assert TOKEN not in each.text
