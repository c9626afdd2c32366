"""What the image does, run as a cluster runs it: each function says what it has seen.

That is: as the image's user, without any privilege or a way to get one, on a root that
cannot be written, with one directory that can. Addresses alone are others, because the
network is this machine's.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import grpc

from gates import check_request
from image_check.contents import CACHE, USER
from image_check.image import Image, nothing, same
from processes import check, code
from wicketgate import __version__
from wicketgate.local.child import ChildProcess
from wicketgate.local.clerk import ClerkDouble
from wicketgate.local.ports import LOOPBACK, held_ports

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
REFUSED: Final = 16
"""UNAUTHENTICATED, which is 401 to the client."""

ENTER: Final = f"""
mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" &&
mount -t tmpfs -o uid={USER},gid={USER},mode=0700 cache "$1/{CACHE}" &&
mount --bind /proc "$1/proc" &&
exec chroot "$@"
"""
"""In a mount namespace of its own, so that it is undone when the process ends."""
DROP: Final = (
    *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"),
    *("--bounding-set=-all", "--inh-caps=-all", "--"),
)


def container(image: Image, words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return a command that runs `words` in a container of the image."""
    given: dict[str, str] = dict(pair.split("=", 1) for pair in image.config["Env"]) | dict(
        environment
    )
    return [
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh"),
        *(str(image.root), *DROP, "env", "-i", "--chdir=/"),
        *(f"{name}={value}" for name, value in given.items()),
        *words,
    ]


async def said(
    image: Image, words: Sequence[str], environment: Mapping[str, str]
) -> tuple[int | None, str]:
    """Run `words` to their end; return the status and what was written."""
    process = await asyncio.create_subprocess_exec(
        *container(image, words, environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), START_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode("utf-8", "replace").strip()


async def its_version(image: Image, requirements: str) -> str:  # noqa: ARG001
    """Ask the entry point for its version."""
    status, output = await said(image, [*image.config["Entrypoint"], "--version"], {})
    same("`--version` says otherwise", (0, f"wicketgate {__version__}"), (status, output))
    return f"says {output}"


async def its_place(image: Image, requirements: str) -> str:  # noqa: ARG001
    """Try to write, and to become root again."""
    attempt = (
        "import os, pathlib\n"
        "wrote = []\n"
        "for place in ('/', '/tmp', '/opt/wicketgate', '/etc', '/var/cache/wicketgate'):\n"
        "    try:\n"
        "        pathlib.Path(place, 'file').write_text('')\n"
        "        wrote.append(place)\n"
        "    except OSError:\n"
        "        pass\n"
        "print(os.getuid(), os.getgid(), os.getgroups(), wrote)\n"
    )
    _, output = await said(image, ["python", "-c", attempt], {})
    same("it can do more or less than it should", f"{USER} {USER} [] ['/{CACHE}']", output)
    return f"can write to /{CACHE} and nowhere else, as {USER} without groups"


async def its_settings(image: Image, requirements: str) -> str:
    """Have both processes check their settings."""
    clerk = {"CLERK_PUBLISHABLE_KEY": ClerkDouble().instance.publishable_key}
    traces = {"WICKETGATE_TRACES_ENDPOINT": f"http://{LOOPBACK}:4318/v1/traces"}
    webhooks = {
        "CLERK_WEBHOOK_SIGNING_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "DATABASE_URL": f"postgresql://wicketgate@{LOOPBACK}/wicketgate",
    }
    cases = [(["authz"], clerk, 0), (["authz"], {}, 2), (["webhooks"], webhooks, 0)]
    if requirements == "otel":
        cases.append((["authz"], clerk | traces, 0))
    for words, environment, wanted in cases:
        status, output = await said(
            image, [*image.config["Entrypoint"], *words, "--check"], environment
        )
        same(f"`{words[0]} --check` wrote {output!r}", wanted, status)
    return f"checks the settings of both processes{' and of tracing' if len(cases) > 3 else ''}"


async def its_work(image: Image, requirements: str) -> str:  # noqa: ARG001
    """Run the gate, ask for its health as a container's is asked for, and let it decide."""
    async with AsyncExitStack() as stack:
        clerk = await stack.enter_async_context(ClerkDouble())
        checks, admin, nobody = stack.enter_context(held_ports(3))
        directory = stack.enter_context(TemporaryDirectory(prefix="wicketgate-image-"))
        environment = {
            "CLERK_PUBLISHABLE_KEY": clerk.instance.publishable_key,
            "CLERK_JWKS_URL": clerk.jwks_url,
            "WICKETGATE_AUTHZ_ADDRESS": f"{LOOPBACK}:{checks}",
            "WICKETGATE_ADMIN_ADDRESS": f"{LOOPBACK}:{admin}",
            "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS": f"{LOOPBACK}:{nobody}",
            "WICKETGATE_DRAIN_SECONDS": "0",
        }
        words = [*image.config["Entrypoint"], *image.config["Cmd"]]
        gate = ChildProcess(
            "gate", container(image, words, environment), directory=Path(directory)
        )
        kind, *question = image.config["Healthcheck"]["Test"]
        same("its health check needs a shell", "CMD", kind)

        async def is_healthy() -> bool:
            return (await said(image, question, environment))[0] == 0

        nothing("it is healthy before it runs", await is_healthy())
        await gate.start()
        stack.push_async_callback(gate.stop)
        await gate.wait_until(is_healthy, seconds=START_SECONDS, what="healthy")

        token = clerk.instance.mint(now=time.time())
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{checks}") as channel:
            allowed = await check(channel, check_request({"authorization": f"Bearer {token}"}))
            refused = await check(channel, check_request({}))
        same("a user is refused", 0, code(allowed))
        same("somebody without a token is answered", REFUSED, code(refused))

        await gate.interrupt(getattr(signal, image.config["StopSignal"]))
        same("it does not stop in good order", 0, gate.returncode)
    return "is healthy, lets a user in, refuses who has no token, and stops"


Use = Callable[[Image, str], Coroutine[None, None, str]]

PROGRAM: Final[tuple[Use, ...]] = (its_version, its_place, its_settings, its_work)
