"""The files that the settings of a process name, for whoever follows their changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wicketgate.settings.catalogue import Process, settings_of

_FILES: Final = (
    "WICKETGATE_POLICY_FILE",
    "WICKETGATE_SERVICE_TOKENS_FILE",
    "WICKETGATE_TLS_CERT_FILE",
    "WICKETGATE_TLS_KEY_FILE",
    "WICKETGATE_TLS_CLIENT_CA_FILE",
)
"""Settings that are files, beside the secrets that may come from one."""


def files_of(environ: Mapping[str, str], process: Process) -> tuple[Path, ...]:
    """Return every file that `environ` names for `process`; it need not be there."""
    settings = settings_of(process)
    names = [setting.file_name for setting in settings if setting.secret]
    names += [setting.name for setting in settings if setting.name in _FILES]
    paths = [environ.get(name, "").strip() for name in names]
    # A path with a NUL is a mistake, which the settings report.
    return tuple(Path(path) for path in paths if path and "\0" not in path)
