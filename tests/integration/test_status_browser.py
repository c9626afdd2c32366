"""The status page in a real browser: what a person sees of it, and what it runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from browser import CHROMIUM, Page, chromium, tab
from conformance.table import World, bearer
from gates import check_request
from processes import check, environ, gate
from wicketgate.local.ports import held_ports

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="there is no chromium, which is not among what make installs"
    ),
    # A browser takes seconds to start, so they share one.
    pytest.mark.asyncio(loop_scope="module"),
]

TOKEN = "a-status-token-of-more-than-32-characters"
MARKUP = "/x/<img/src=x/onerror=document.title='owned'>"
POLICY = f"""
version: 1
rules:
  - name: markup
    match: {{ paths: "{MARKUP}" }}
    allow: {{ user: {{ org_role: admin }} }}
  - {{ name: app, match: {{ paths: /app/** }}, allow: user }}
"""
IS_LIVE = "document.body.className === 'live'"
SHOWN = "document.body.innerText"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A browser, by where it is driven from."""
    async with chromium(tmp_path_factory.mktemp("profile")) as endpoint:
        yield endpoint


async def rows(page: Page, table: str) -> list[str]:
    """Return the text of each row of a table."""
    expression = f"[...document.querySelectorAll('#{table} tbody tr')].map((row) => row.innerText)"
    return list(await page.evaluate(expression))


async def test_a_denial_appears_while_somebody_looks(
    world: World, tmp_path: Path, browser: str
) -> None:
    """
    From nothing decided to a row, without a reload, a complaint, or markup that is obeyed.
    """
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    async with (
        gate(environ(world, WICKETGATE_POLICY_FILE=str(policy))) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
        tab(browser) as page,
    ):
        await page.open(f"http://{running.admin}/")
        await page.until(f"{IS_LIVE} && {SHOWN}.includes('Nothing yet.')")
        assert "Nobody was." in await page.evaluate(SHOWN)
        assert await page.evaluate("document.title") == "wicketgate authz"

        await check(channel, check_request({}, path="/app/me"))
        await check(channel, check_request(bearer()(world), path=MARKUP))
        await page.until("document.querySelectorAll('#events tbody tr').length === 2")
        newest, first = await rows(page, "events")
        await page.until("document.querySelector('#rules tbody').innerText.includes('1')")
        rules = await rows(page, "rules")
        images = await page.evaluate("document.images.length")
        title = await page.evaluate("document.title")
        heads = await page.evaluate(
            "[...document.querySelectorAll('table:has(tbody tr)')].every((each) => "
            "each.getAttribute('role') === 'table' && each.querySelector('th[scope=col]'))"
        )
        live = await page.evaluate(
            "document.querySelectorAll('[aria-live], [role=status]').length"
        )
        await page.call(
            "Emulation.setDeviceMetricsOverride",
            width=360,
            height=740,
            deviceScaleFactor=1,
            mobile=False,
        )
        width = await page.evaluate("document.scrollingElement.scrollWidth")

    assert "role_not_admitted" in newest
    assert MARKUP in newest
    assert "no_credential" in first
    assert "A bearer token is required." in first
    assert [each.split()[0] for each in rules] == ["markup", "app", "default"]
    assert MARKUP in rules[0]
    assert (images, title) == (0, "wicketgate authz")
    assert heads
    assert live == 1, "only the connection is read out, and not every second"
    assert width <= 360
    assert page.complaints == []


async def test_a_gate_that_is_gone_is_said_to_be_and_is_found_again(
    world: World, browser: str
) -> None:
    with held_ports(1) as (port,):
        variables = environ(world, WICKETGATE_ADMIN_ADDRESS=f"127.0.0.1:{port}")
        async with tab(browser) as page:
            async with gate(variables):
                await page.open(f"http://127.0.0.1:{port}/")
                await page.until(IS_LIVE)
            await page.until("document.body.className === 'stale'")
            said = await page.evaluate("document.getElementById('connection').textContent")
            dimmed = await page.evaluate(
                "getComputedStyle(document.querySelector('main')).opacity"
            )
            async with gate(variables):
                await page.until(IS_LIVE)

    assert said.startswith("not connected since ")
    assert float(dimmed) < 1
    assert page.complaints == []


async def test_a_token_is_asked_for_and_stays_in_the_tab(world: World, browser: str) -> None:
    async with (
        gate(environ(world, WICKETGATE_STATUS_TOKEN=TOKEN)) as running,
        tab(browser) as page,
    ):
        await page.open(f"http://{running.admin}/")
        await page.until("!document.getElementById('entry').hidden")
        await submit(page, TOKEN.upper())
        await page.until(f"{SHOWN}.includes('not known here')")
        is_empty = await page.evaluate("document.getElementById('main').hidden")
        await submit(page, TOKEN)
        await page.until(IS_LIVE)
        kept = await page.evaluate(
            "[localStorage.length, location.href, document.documentElement.outerHTML]"
        )
        await page.call("Page.reload")
        await page.until(f"{IS_LIVE} && document.getElementById('entry').hidden")

    assert is_empty
    assert kept[:2] == [0, f"http://{running.admin}/"]
    assert TOKEN not in kept[2]
    assert page.complaints == []


async def submit(page: Page, token: str) -> None:
    """Type a token and press Enter, as a person does."""
    await page.evaluate("document.getElementById('token').focus()")
    await page.call("Input.insertText", text=token)
    for kind in ("keyDown", "keyUp"):
        await page.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key="Enter",
            code="Enter",
            text="\r",
            windowsVirtualKeyCode=13,
        )
