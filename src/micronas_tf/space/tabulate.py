"""Any additive figure of operators, tabulated over the sites: the bridge from the table to costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from micronas_tf.ops import OpSpec
from micronas_tf.space.table import SearchSpace

SiteFigures = tuple[npt.NDArray[np.float64], ...]
"""For each site, an array with one axis per width group of the site, in the order of `Site.width_groups`."""


def tabulate(space: SearchSpace, figure: Callable[[OpSpec], float]) -> SiteFigures:
    """`figure` of every operator that every site can be. Each distinct operator is asked for once."""
    known: dict[OpSpec, float] = {}
    tables = []
    for site in space.sites:
        values = []
        for choices in space.site_choices(site):
            op = site.op(choices)
            if op not in known:
                known[op] = float(figure(op))
            values.append(known[op])
        tables.append(np.array(values).reshape([len(space.group(name)) for name in site.width_groups]))
    return tuple(tables)
