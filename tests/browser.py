"""A headless Chromium, driven over the DevTools protocol.

Source: Chrome DevTools Protocol, domains Page, Runtime, Log, Audits and Target.
"""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--no-default-browser-check"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0"),
)
_LISTENING: Final = re.compile(r"DevTools listening on (ws://\S+)")
_SECONDS: Final = 15.0
_START_SECONDS: Final = 30.0


class Page:
    """One tab.

    Attributes:
        complaints: What the console, the log and the security policy had to say, but for
            requests that failed because nobody answered.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._session = ""
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the protocol, and return what it returns."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(
            {
                "id": self._number,
                "method": method,
                "params": parameters,
                **({"sessionId": self._session} if self._session else {}),
            }
        )
        return await asyncio.wait_for(answer, _SECONDS)

    async def attach(self) -> None:
        """Make the tab, and listen to what it says."""
        context = await self.call("Target.createBrowserContext", disposeOnDetach=True)
        made = await self.call(
            "Target.createTarget", url="about:blank", browserContextId=context["browserContextId"]
        )
        attached = await self.call(
            "Target.attachToTarget", targetId=made["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Audits"):
            await self.call(f"{domain}.enable")

    async def open(self, url: str) -> None:
        """Go there; it need not have loaded yet."""
        await self.call("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - whatever JSON it comes to
        """Return what a JavaScript expression comes to, at last if it is a promise."""
        result = await self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            # Else the security policy would not count for what is asked here.
            allowUnsafeEvalBlockedByCSP=False,
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true; one that cannot be read is not yet."""
        attempt = (
            f"(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"
        )
        try:
            async with asyncio.timeout(_SECONDS):
                while True:
                    if await self.evaluate(attempt):
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = await self.evaluate("document.body?.innerText")
            msg = f"not true in {_SECONDS:g} s: {expression}\n{shown}\n{self.complaints}"
            raise AssertionError(msg) from None

    def hear(self, message: dict[str, Any]) -> None:
        """Take what the browser says."""
        if "id" in message:
            answer = self._answers.pop(message["id"], None)
            if answer is not None and not answer.done():
                if "error" in message:
                    answer.set_exception(AssertionError(message["error"]))
                else:
                    answer.set_result(message["result"])
            return
        parameters = message.get("params", {})
        match message["method"]:
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["source"] != "network":
                self.complaints.append(parameters["entry"]["text"])
            case "Audits.issueAdded":
                self.complaints.append(json.dumps(parameters["issue"]))


@asynccontextmanager
async def chromium(profile: Path, *, size: str = "1200,900") -> AsyncIterator[str]:
    """Run a browser for as long as the context lasts; yields where it is driven from.

    Args:
        profile: A directory of its own.
        size: Of its windows.
    """
    assert CHROMIUM is not None, "look whether there is one before"
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, *FLAGS, f"--user-data-dir={profile}", f"--window-size={size}"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        endpoint = await asyncio.wait_for(_endpoint(process.stderr), _START_SECONDS)
        # What it goes on to say is of no interest, and must not fill the pipe.
        draining = asyncio.create_task(_drain(process.stderr))
        yield endpoint
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def tab(endpoint: str) -> AsyncIterator[Page]:
    """Open a tab that shares nothing with others, for as long as the context lasts."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(endpoint, max_msg_size=64 * 1024 * 1024) as socket,
    ):
        page = Page(socket)
        hearing = asyncio.create_task(_hear(socket, page))
        await page.attach()
        try:
            yield page
        finally:
            await page.call("Page.close")
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)


async def _endpoint(stream: asyncio.StreamReader) -> str:
    async for raw in stream:
        found = _LISTENING.search(raw.decode("utf-8", "replace"))
        if found:
            return found[1]
    msg = "chromium ended before it listened"
    raise AssertionError(msg)


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65_536):
        pass


async def _hear(socket: aiohttp.ClientWebSocketResponse, page: Page) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            page.hear(json.loads(message.data))
