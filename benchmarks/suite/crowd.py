"""A crowd: distinct users with distinct tokens, minted by processes of their own.

Signing takes some 0.3 ms a token, so a crowd is made once for all who need one. Every user
and every session is another; all tokens are of one length.

python -m suite.crowd FIRST COUNT FILE < PRIVATE_KEY_PEM
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from suite.checks import Caller, check_messages_of, mint
from suite.load.generator import BENCHMARKS, VoidError
from suite.load.messages import write_messages
from wicketgate.local.clerk_instance import ClerkInstance
from wicketgate.local.clerk_users import numbered_id

MINTERS: Final = 2


def callers(clerk: ClerkInstance, first: int, count: int) -> Iterator[Caller]:
    """Yield `count` people, from number `first` on."""
    for number in range(first, first + count):
        user = numbered_id("user_", number)
        yield Caller(mint(clerk, user=user, number=number), user)


async def write_crowd(clerk: ClerkInstance, path: Path, *, first: int, count: int) -> None:
    """Write the Checks of a crowd, one each, with one process for each core.

    Raises:
        VoidError: it could not be made.
    """
    share = -(-count // MINTERS)
    starts = range(first, first + count, share)
    parts = [path.with_suffix(f".{number}") for number in range(len(starts))]
    await asyncio.gather(
        *(
            _minted(clerk, part, start, min(share, first + count - start))
            for part, start in zip(parts, starts, strict=True)
        )
    )
    with path.open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                os.sendfile(whole.fileno(), file.fileno(), 0, part.stat().st_size)
            part.unlink()


async def _minted(clerk: ClerkInstance, path: Path, first: int, count: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "suite.crowd", str(first), str(count), str(path)),
        env=os.environ | {"PYTHONPATH": str(BENCHMARKS)},
        stdin=asyncio.subprocess.PIPE,
    )
    pem = clerk.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        await process.communicate(pem)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        msg = f"minting ended with status {process.returncode}"
        raise VoidError(msg)


def main(first: str, count: str, file: str) -> None:
    """Write a part of a crowd."""
    key = load_pem_private_key(sys.stdin.buffer.read(), password=None)
    assert isinstance(key, RSAPrivateKey)
    clerk = ClerkInstance(key=key)
    write_messages(Path(file), check_messages_of(callers(clerk, int(first), int(count))))


if __name__ == "__main__":
    main(*sys.argv[1:])
