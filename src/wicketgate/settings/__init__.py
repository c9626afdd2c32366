"""What the operator decided, read once.

This is the only reader of the environment, and the environment is an argument.
All mistakes are reported together, one line each: the variable, what is wrong,
what was expected, an example. A line never holds a secret, nor anything that
came from a secret's file or may be a secret in the wrong place.

Each process reads its own settings and leaves those of the others alone, as
they often share one environment.
"""

from wicketgate.settings.authz import AuthzSettings, Transport
from wicketgate.settings.catalogue import SETTINGS, Process, Setting, settings_of, settings_table
from wicketgate.settings.database import DatabaseSettings
from wicketgate.settings.files import files_of
from wicketgate.settings.first_sight import FirstSightMode, FirstSightSettings
from wicketgate.settings.groups import TlsFiles
from wicketgate.settings.locations import Address, TcpAddress, UnixAddress
from wicketgate.settings.migrate import MigrateSettings
from wicketgate.settings.sync import SyncSettings
from wicketgate.settings.traces import TraceSettings
from wicketgate.settings.values import LogLevel
from wicketgate.settings.webhooks import WebhooksSettings

__all__ = [
    "SETTINGS",
    "Address",
    "AuthzSettings",
    "DatabaseSettings",
    "FirstSightMode",
    "FirstSightSettings",
    "LogLevel",
    "MigrateSettings",
    "Process",
    "Setting",
    "SyncSettings",
    "TcpAddress",
    "TlsFiles",
    "TraceSettings",
    "Transport",
    "UnixAddress",
    "WebhooksSettings",
    "files_of",
    "settings_of",
    "settings_table",
]
