"""What several rooms' tests hold the space against, from DESIGN section 3 and the groups' names alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from micronas_tf.space import SearchSpace

NormalForm = frozenset[tuple[str, int]]


def normal_form(choices: Mapping[str, int]) -> NormalForm | None:
    """The choices that matter; None if the architecture is invalid."""
    cells: dict[str, dict[str, int]] = {}
    for name, value in choices.items():
        cell, part = name.rsplit(".", 1)
        cells.setdefault(cell, {})[part] = value
    kept: set[tuple[str, int]] = set()
    for cell, parts in cells.items():
        if parts.get("identity") == 1:
            kept.add((f"{cell}.identity", 1))
            continue
        if cell.startswith("fusion"):
            convs = [value for part, value in parts.items() if part.startswith("conv")]
            if parts["skip"] == 0 and not any(convs):
                return None
            if not any(convs):
                del parts["bottleneck"]
        kept |= {(f"{cell}.{part}", value) for part, value in parts.items()}
    return frozenset(kept)


def total(space: SearchSpace, figures: Sequence[npt.NDArray[np.float64]], architecture: Mapping[str, int]) -> float:
    """Sum of a tabulated figure over the rows that exist in this architecture."""
    result = 0.0
    for site, table in zip(space.sites, figures, strict=True):
        if site.exists(architecture):
            index = tuple(space.group(name).choices.index(architecture[name]) for name in site.width_groups)
            result += float(table[index])
    return result
