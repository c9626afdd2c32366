"""Prometheus' text format, version 0.0.4, of counters, gauges and histograms.

Source: Prometheus, "Exposition formats".
"""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

_number: Callable[[float], str] = floatToGoString
_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_VALUE: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def exposition_of(registry: CollectorRegistry) -> bytes:
    """Return what `registry` collects, in Prometheus' text format and half of the library's time.

    While a scrape is answered, no Check is. The library asks of each name, in each sample,
    whether it is one; ours are constants, of counters, gauges and histograms.
    """
    lines: list[str] = []
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        lines.append(f"# HELP {name} {family.documentation.translate(_HELP)}\n")
        lines.append(f"# TYPE {name} {family.type}\n")
        lines += map(_line, family.samples)
    return "".join(lines).encode()


def _line(sample: Sample) -> str:
    if not sample.labels:
        return f"{sample.name} {_number(sample.value)}\n"
    pairs = [f'{name}="{_escaped(text)}"' for name, text in sorted(sample.labels.items())]
    return f"{sample.name}{{{','.join(pairs)}}} {_number(sample.value)}\n"


def _escaped(text: str) -> str:
    # Hardly any text has something to escape, and to look is cheaper than to translate.
    return text.translate(_VALUE) if "\\" in text or '"' in text or "\n" in text else text
