"""A parser of arguments that complains without quoting what may be a token.

argparse quotes what it does not understand, and a token that is pasted in the wrong place
(``--json=<token>``, no command at all) would be in the terminal and in the logs of a pipeline.
"""

import argparse
import re
from typing import Final, NoReturn

_SECRETIVE: Final = ("explain-token", "policy explain")
"""The ends of the names of commands that are given tokens."""
_LONG: Final = 32
"""No command and no option of ours is as long; a token is longer."""
_VALUE: Final = re.compile(r"ignored explicit argument .*", re.DOTALL)
_AMBIGUOUS: Final = re.compile(r"ambiguous option: .* could match", re.DOTALL)
_QUOTED: Final = re.compile(rf"'[^']{{{_LONG},}}'|\S{{{_LONG},}}")


class DiscreetParser(argparse.ArgumentParser):
    """Quotes nothing that is long, and where a token is expected nothing at all.

    Commands that are added to it get a parser of the same kind.
    """

    def parse_known_args(  # type: ignore[override]  # typeshed has overloads, all of them this
        self,
        args: list[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; what is left over is a mistake here, where a token is expected."""
        parsed, others = super().parse_known_args(args, namespace)
        if others and self.prog.endswith(_SECRETIVE):
            self.error("there is an option that it does not have")
        return parsed, others

    def error(self, message: str) -> NoReturn:
        """Complain and exit."""
        message = _VALUE.sub("takes no value", message)
        message = _AMBIGUOUS.sub("ambiguous option: it could match", message)
        if not self.prog.endswith(_SECRETIVE):
            message = _QUOTED.sub("(not shown)", message)
        super().error(message)
