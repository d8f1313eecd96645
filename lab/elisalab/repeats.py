# SPDX-License-Identifier: Apache-2.0
"""What was measured several times in one run: the median, and between what it was."""

from __future__ import annotations

from statistics import median
from typing import Any


def fold(rows: list[dict[str, Any]], same: tuple[str, ...], figures: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row for all that agree in `same`, in the order of the first of each.

    Each of `figures` becomes its median, with NAME_range, the least and the greatest, beside it; of the rest only numbers
    stay, as their medians.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in same), []).append(row)
    return [_folded(group, same, figures) for group in groups.values()]


def _folded(group: list[dict[str, Any]], same: tuple[str, ...], figures: tuple[str, ...]) -> dict[str, Any]:
    first = group[0]
    one: dict[str, Any] = {key: first[key] for key in same}
    for key in first:
        if key in same:
            continue
        values = [row[key] for row in group]
        one[key] = _plain(median(values))
        if key in figures:
            one[f"{key}_range"] = [min(values), max(values)]
    return {**one, "repetitions": len(group)}


def _plain(value: float) -> float:
    """The mean of two middle values has digits that nobody measured."""
    return value if isinstance(value, int) else round(value, 4)
