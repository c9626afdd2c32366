"""``wicketgate doctor``: its arguments, and what it may ask the world."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Final

from wicketgate.errors import ConfigurationError

DOCTOR: Final = """\
Find what is likely to bite in the configuration around the gate.

A SOURCE is an Envoy bootstrap (envoy.yaml), what Envoy's /config_dump answers, the URL
of an admin port, or manifests: Istio's (meshConfig, AuthorizationPolicy, EnvoyFilter)
or Envoy Gateway's (SecurityPolicy, ClientTrafficPolicy). Several manifests that belong
together go into one file. Settings of a gate in the environment are looked at as well.

  wicketgate doctor envoy.yaml
  wicketgate doctor http://127.0.0.1:9901
  kubectl get -n istio-system -o yaml cm,envoyfilters,authorizationpolicies |
    wicketgate doctor -
  wicketgate doctor --online

Each finding says what happens, where, and which lines to write instead. All kinds are
in docs/doctor.md. Nothing is changed, and without --online nothing but the SOURCE is
asked.

Exit status: 0 no error (with --strict: nothing), 1 something, 2 a SOURCE is unreadable.
"""

_ONLINE: Final = "also ask Clerk for its keys and the time, and the database for its tables"


def add_doctor(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command ``doctor``."""
    parser = add_parser(
        "doctor",
        help="find what is likely to bite in a mesh's configuration",
        description=DOCTOR,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="a file, or an admin port's URL; - is stdin"
    )
    parser.add_argument("--online", action="store_true", help=_ONLINE)
    parser.add_argument(
        "--envoy-version", metavar="VERSION", help="such as 1.36.2, where the file does not say"
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="ID", help="leave a kind of finding out"
    )
    parser.add_argument("--strict", action="store_true", help="warnings count")
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    parser.set_defaults(run=_doctor)


def _doctor(parsed: argparse.Namespace) -> int:
    # Imported late: pydantic, RE2, aiohttp and Postgres' library take half a second
    # that --help and mistakes need not wait for.
    from wicketgate.adapters.http_get import http_get  # noqa: PLC0415
    from wicketgate.doctor.catalogue import RULE_BY_ID  # noqa: PLC0415
    from wicketgate.doctor.examine import Scope  # noqa: PLC0415
    from wicketgate.doctor.versions import version_of  # noqa: PLC0415
    from wicketgate.tools.doctor import Outside, Wish, run_doctor  # noqa: PLC0415

    version = None if parsed.envoy_version is None else version_of(parsed.envoy_version)
    if parsed.envoy_version is not None and version is None:
        msg = "--envoy-version is not a version; expected one such as 1.36.2"
        raise ConfigurationError(msg)
    unknown = [name for name in parsed.ignore if name not in RULE_BY_ID]
    if unknown:
        msg = f"--ignore {unknown[0]!r}: there is no such finding; docs/doctor.md lists them"
        raise ConfigurationError(msg)
    wish = Wish(
        sources=tuple(parsed.sources),
        scope=Scope(version),
        ignored=frozenset(parsed.ignore),
        is_online=parsed.online,
        is_strict=parsed.strict,
        as_json=parsed.json,
    )
    outside = Outside(
        environ=os.environ,
        stdin=sys.stdin.buffer,
        fetch=http_get,
        pending=_pending,
        clock=time.time,
    )
    return asyncio.run(run_doctor(wish, outside, out=sys.stdout))


async def _pending(database_url: str, schema: str) -> list[str]:
    # Imported late, as above.
    from wicketgate.adapters.migrations import pending  # noqa: PLC0415

    return await pending(database_url, schema=schema)
