"""Revocations, as people and programs read them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TextIO

from wicketgate.adapters.postgres_revocations import RevocationRow
from wicketgate.core.revocation_table import Kind
from wicketgate.tools.terminal import Style, table

_HEADERS = ("kind", "id", "revoked", "in force until", "by", "reason")


def report_rows(rows: Sequence[RevocationRow], *, out: TextIO, as_json: bool) -> None:
    """Write a table of `rows`, or one JSON document."""
    if as_json:
        json.dump({"revocations": [_document(row) for row in rows]}, out)
        out.write("\n")
    elif rows:
        style = Style.for_stream(out)
        out.write(table((_cells(row, style) for row in rows), _HEADERS, style) + "\n")
    else:
        out.write("nothing is revoked\n")


def revoked_line(row: RevocationRow) -> str:
    """Return what was done, and how far it goes."""
    tokens = (
        f"every token issued up to {_written(row.revoked_at)} is"
        if row.kind is Kind.USER
        else "all its tokens are"
    )
    return f"revoked: {row.id}; {tokens} refused, until {_written(row.expires_at)}"


def _cells(row: RevocationRow, style: Style) -> tuple[str, ...]:
    if row.is_in_force:
        until = _written(row.expires_at)
    elif row.lifted_at is not None:
        until = style.dim(f"lifted {_written(row.lifted_at)}")
    else:
        until = style.dim(f"expired {_written(row.expires_at)}")
    return row.kind.value, row.id, _written(row.revoked_at), until, row.source, row.reason


def _document(row: RevocationRow) -> dict[str, str | bool | None]:
    return {
        name: _written(value) if isinstance(value, datetime) else value
        for name, value in asdict(row).items()
    }


def _written(moment: datetime) -> str:
    """Return `moment` as RFC 3339, in milliseconds as Clerk has them."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
