"""What metrics tell about the components of a process."""

from collections.abc import Callable, Mapping

from wicketgate.adapters.admin import State
from wicketgate.adapters.telemetry import Instruments


def watch_components(
    instruments: Instruments, components: Mapping[str, Callable[[], State]]
) -> None:
    """Export how each component of ``/readyz`` is: 1 for its state, and 0 for every other."""

    def read() -> dict[tuple[str, ...], float]:
        return {
            (_word(name), _word(state)): float(state is now)
            for name, now in ((name, read_state()) for name, read_state in components.items())
            for state in State
        }

    instruments.watch_labelled(
        "wicketgate_component_state",
        "1 for the state that a component is in, 0 for every other.",
        ("component", "state"),
        read,
    )


def _word(text: str) -> str:
    return text.replace(" ", "_")
