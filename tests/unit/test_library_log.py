"""What libraries log, without what they say."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from wicketgate.adapters.library_log import capture_library_logs
from wicketgate.adapters.telemetry import make_log

SECRET = "Authorization: Bearer of-something"


@pytest.fixture
def captured() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:]
    stream = io.StringIO()
    capture_library_logs(make_log(stream, level="info"))
    yield stream
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in before:
        root.addHandler(handler)
    logging.captureWarnings(capture=False)


def test_a_library_s_exception_is_named_and_not_quoted(captured: io.StringIO) -> None:
    logging.getLogger("aiohttp.server").error("reading %s", SECRET, exc_info=ValueError(SECRET))

    line = json.loads(captured.getvalue())
    assert (line["event"], line["logger"], line["error"]) == (
        "library",
        "aiohttp.server",
        "ValueError",
    )
    assert SECRET not in captured.getvalue()
