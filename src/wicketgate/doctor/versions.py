"""Versions of Envoy with a known vulnerability that touches what stands around a gate.

Source: the security advisories of envoyproxy/envoy, and the release notes that name the
versions with the fix. As of November 2026.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from wicketgate.doctor.finding import Fault, Faults, Version
from wicketgate.doctor.node import Node
from wicketgate.doctor.parts import JWT, PER_ROUTE, RBAC, Manager, Mesh, config_of, kind_of

_VERSION: Final = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?(?:[-+/].*)?")
_GHSA: Final = "https://github.com/envoyproxy/envoy/security/advisories/"
_NVD: Final = "https://nvd.nist.gov/vuln/detail/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One vulnerability.

    Attributes:
        id: Its name.
        what: What it does, in a few words.
        fixed: The first good version of each branch that got a fix.
        since: The first bad version.
        needs: The kind of filter without which it does not matter; empty for none.
        source: Where it is described.
    """

    id: str
    what: str
    fixed: tuple[Version, ...]
    since: Version = (0, 0, 0)
    needs: str = ""
    source: str

    def affects(self, version: Version) -> bool:
        """Tell whether `version` has it."""
        if version < self.since:
            return False
        branches = {each[:2]: each for each in self.fixed}
        fix = branches.get(version[:2])
        return version < (fix if fix is not None else max(self.fixed))


ADVISORIES: Final = (
    Advisory(
        id="CVE-2026-47205",
        what="crashes when a route has an authorization service of its own and a client leaves",
        fixed=((1, 36, 9), (1, 37, 5), (1, 38, 3)),
        since=(1, 36, 0),
        needs=PER_ROUTE,
        source=f"{_GHSA}GHSA-mvh9-767w-x47j",
    ),
    Advisory(
        id="CVE-2026-47774",
        what="lets a client exhaust its memory with cookies over HTTP/2",
        fixed=((1, 35, 11), (1, 36, 7), (1, 37, 3), (1, 38, 1)),
        source=f"{_NVD}CVE-2026-47774",
    ),
    Advisory(
        id="CVE-2026-26308",
        what="joins repeated headers, so that rules of RBAC that deny are missed",
        fixed=((1, 34, 13), (1, 35, 9), (1, 36, 5), (1, 37, 1)),
        needs=RBAC,
        source=f"{_GHSA}GHSA-ghc4-35x6-crw5",
    ),
    Advisory(
        id="CVE-2025-64527",
        what="crashes in jwt_authn when a fetch of keys fails and there are two tokens",
        fixed=((1, 33, 13), (1, 34, 11), (1, 35, 7), (1, 36, 3)),
        needs=JWT,
        source=f"{_GHSA}GHSA-mp85-7mrq-r866",
    ),
    Advisory(
        id="CVE-2024-45809",
        what="crashes in jwt_authn with remote keys and clear_route_cache",
        fixed=((1, 29, 9), (1, 30, 6), (1, 31, 2)),
        needs=JWT,
        source=f"{_NVD}CVE-2024-45809",
    ),
    Advisory(
        id="CVE-2024-45806",
        what="believes x-envoy headers of every private address by default",
        fixed=((1, 28, 7), (1, 29, 9), (1, 30, 6), (1, 31, 2)),
        source=f"{_NVD}CVE-2024-45806",
    ),
    Advisory(
        id="CVE-2024-23324",
        what="can be made to send a Check that cannot be read, which failure_mode_allow lets pass",
        fixed=((1, 26, 7), (1, 27, 3), (1, 28, 1), (1, 29, 1)),
        source=f"{_GHSA}GHSA-gq3v-vvhj-96j6",
    ),
    Advisory(
        id="CVE-2023-27488",
        what="sends Checks that cannot be read when a header is not UTF-8",
        fixed=((1, 22, 9), (1, 23, 6), (1, 24, 4), (1, 25, 3), (1, 26, 0)),
        source=f"{_GHSA}GHSA-9g5w-hqr3-w2ph",
    ),
    Advisory(
        id="CVE-2021-32777",
        what="shows ext_authz the last of several headers of one name only",
        fixed=((1, 16, 5), (1, 17, 4), (1, 18, 4), (1, 19, 1)),
        source=f"{_NVD}CVE-2021-32777",
    ),
    Advisory(
        id="CVE-2021-29492",
        what="does not decode escaped slashes before it compares paths",
        fixed=((1, 15, 5), (1, 16, 4), (1, 17, 3), (1, 18, 3)),
        source=f"{_NVD}CVE-2021-29492",
    ),
)
"""The newest first."""


def version_of(text: str) -> Version | None:
    """Return the version in ``1.36.2``, ``v1.36`` and the like; `None` if there is none."""
    found = _VERSION.fullmatch(text.strip())
    return None if found is None else (int(found[1]), int(found[2]), int(found[3] or 0))


def version_in(mesh: Mesh) -> Version | None:
    """Return the version that a configuration tells."""
    major, minor = mesh.version.at("major_number").number, mesh.version.at("minor_number").number
    if major is None or minor is None:
        return None
    return int(major), int(minor), int(mesh.version.at("patch").number or 0)


def vulnerabilities(mesh: Mesh, known: Version) -> Faults:
    """Yield what is known about the version of Envoy that runs the configuration.

    Args:
        mesh: The configuration.
        known: The version.
    """
    used = set(_kinds(mesh.managers))
    for each in ADVISORIES:
        if each.affects(known) and (not each.needs or each.needs in used):
            better = ", ".join(".".join(map(str, fix)) for fix in each.fixed)
            yield Fault(
                "envoy-cve",
                mesh.version.place,
                f"Envoy {'.'.join(map(str, known))}: {each.id}, {each.what}",
                advice=f"fixed in {better}, and later",
                source=each.source,
            )


def _kinds(managers: tuple[Manager, ...]) -> Iterator[str]:
    for manager in managers:
        yield from (config_of(each)[0] for each in manager.filters)
        for level in manager.levels:
            if any(map(_overrides, (each for _, each in _settings(level)))):
                yield PER_ROUTE


def _settings(level: Node) -> Iterator[tuple[str, Node]]:
    return level.at("typed_per_filter_config").entries()


def _overrides(config: Node) -> bool:
    settings = config.at("check_settings")
    return kind_of(config) == PER_ROUTE and (
        settings.at("grpc_service").is_there or settings.at("http_service").is_there
    )
