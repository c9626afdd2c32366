"""Traces, built from the settings of the gate."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import aiohttp

from wicketgate import __version__
from wicketgate.adapters.telemetry import Instruments
from wicketgate.adapters.traces import Traces
from wicketgate.errors import ConfigurationError
from wicketgate.settings import TraceSettings

if TYPE_CHECKING:
    from types import ModuleType

    from wicketgate.adapters.otlp import OtlpSender

_VARIABLE: Final = re.compile("OTEL_[A-Z_]+")


class FollowedTraces:
    """The traces of a gate, and where they go."""

    def __init__(self, traces: Traces, sender: "OtlpSender") -> None:
        """Keep both."""
        self.traces = traces
        self._sender = sender

    def reload(self, settings: TraceSettings | None) -> None:
        """Use the headers of `settings` for the next request: credentials are replaced."""
        if settings is not None:
            self._sender.headers = settings.headers


@asynccontextmanager
async def follow_traces(
    settings: TraceSettings | None, instruments: Instruments
) -> AsyncIterator[FollowedTraces | None]:
    """Tell traces for as long as the context lasts, unless the settings say nowhere.

    Args:
        settings: Where.
        instruments: Where it is counted and logged.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    if settings is None:
        yield None
        return
    otlp = _opentelemetry()
    async with aiohttp.ClientSession(
        # An idle connection may be closed by the other end just when it is needed.
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    ) as session:
        sender = otlp.OtlpSender(settings.endpoint, session, settings.headers)
        traces = Traces(
            otlp.SpanEncoder({"service.version": __version__, **settings.resource}),
            sender,
            log=instruments.log,
            registry=instruments.registry,
        )
        traces.start()
        try:
            yield FollowedTraces(traces, sender)
        finally:
            await traces.close()


def require_opentelemetry() -> None:
    """See to it that traces can be told.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    _opentelemetry()


def _opentelemetry() -> "ModuleType":
    # Imported when it is used: it takes a tenth of a second, and is no part of most gates.
    try:
        from wicketgate.adapters import otlp  # noqa: PLC0415
    except ImportError:
        msg = (
            "WICKETGATE_TRACES_ENDPOINT is set, but OpenTelemetry is not installed; "
            "expected: pip install 'wicketgate[otel]', or the variable unset"
        )
        raise ConfigurationError(msg) from None
    except ValueError as error:
        # The SDK reads limits when it is loaded, and says which one it cannot read.
        found = _VARIABLE.match(str(error))
        msg = (
            f"{found[0] if found else 'a variable OTEL_…'} is not what OpenTelemetry's SDK "
            "expects; it changes nothing here: unset it"
        )
        raise ConfigurationError(msg) from None
    return otlp
