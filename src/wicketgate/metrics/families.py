"""Families of metrics that are made of what is kept elsewhere, at each scrape."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily)


def filled(family: Family, samples: Iterable[tuple[Sequence[str], float]]) -> Family:
    """Return `family` with these samples: the values of its labels, and the number."""
    for key, number in samples:
        family.add_metric(key, number)
    return family


class Readings(Collector):
    """A gauge for each key of what is read."""

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        """Read with `read` at each scrape; its keys are the values of `labels`."""
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._read = read

    def collect(self) -> list[Metric]:
        """Return the one family."""
        family = GaugeMetricFamily(self._name, self._meaning, labels=self._labels)
        return [filled(family, self._read().items())]


class Reading(Collector):
    """A gauge or a counter without labels."""

    def __init__(
        self,
        family: type[GaugeMetricFamily | CounterMetricFamily],
        name: str,
        meaning: str,
        read: Callable[[], float | None],
    ) -> None:
        """Read with `read` at each scrape; `None` leaves it out."""
        self._family = family
        self._name = name
        self._meaning = meaning
        self._read = read

    def collect(self) -> list[Metric]:
        """Return the one family, or nothing."""
        value = self._read()
        return [] if value is None else [self._family(self._name, self._meaning, value)]
