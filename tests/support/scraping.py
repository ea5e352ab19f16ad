"""Metrics as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """All samples of one answer."""

    def __init__(self, text: str) -> None:
        self._samples = [
            sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
        self.names = {sample.name for sample in self._samples}

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def share_below(self, name: str, bound: str, **labels: str) -> float:
        """The share of a histogram's values that do not exceed one of its bounds."""
        all_of_it = self.value(f"{name}_count", **labels)
        return self.value(f"{name}_bucket", le=bound, **labels) / all_of_it


def scrape(url: str, headers: Mapping[str, str] | None = None) -> Scrape:
    answer = httpx.get(url, headers=headers, trust_env=False, timeout=10)
    assert answer.status_code == 200, answer.text
    return Scrape(answer.text)
