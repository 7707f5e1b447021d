"""The numbers of the search space (King et al., arXiv 2310.18384, section 5)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral
from typing import Any

from micronas_tf.errors import SpaceError


@dataclass(frozen=True, slots=True)
class SpaceConfig:
    """Every number that shapes the search space; the defaults are the paper's.

    Attributes:
        min_time: Time-Reduce cells halve the time extent while it stays at least this long.
        min_sensors: Sensor-Fusion blocks halve the sensor extent while it stays at least this wide.
        time_kernels: kernel lengths that a Time-Reduce cell chooses from (odd, at least 3: with SAME
            padding and stride 2 these, and only these, share their centres).
        time_filters_max: largest width of a Time-Reduce cell.
        time_granularity: step between the widths of a Time-Reduce cell.
        fusion_kernels: kernel lengths of the parallel convs of a Sensor-Fusion cell (odd, at least 3).
        fusion_filters_max: largest width of a Sensor-Fusion cell.
        fusion_granularity: step between the widths of a Sensor-Fusion cell.
        extra_cells: stride-1 cells that follow the stride-2 cell of each Sensor-Fusion block.
    """

    min_time: int = 16
    min_sensors: int = 5
    time_kernels: tuple[int, ...] = (3, 5, 7)
    time_filters_max: int = 16
    time_granularity: int = 4
    fusion_kernels: tuple[int, ...] = (3, 5, 7)
    fusion_filters_max: int = 64
    fusion_granularity: int = 8
    extra_cells: int = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            several = field.name.endswith("_kernels")
            object.__setattr__(self, field.name, _whole(field.name, getattr(self, field.name), several=several))
        for name in ("time", "fusion"):
            largest, step = getattr(self, f"{name}_filters_max"), getattr(self, f"{name}_granularity")
            if step < 1 or largest % step or largest < step:
                raise SpaceError(
                    f"{name}_filters_max must be a positive multiple of {name}_granularity. "
                    f"Received: {largest}, {step}."
                )
            kernels = getattr(self, f"{name}_kernels")
            if not kernels or list(kernels) != sorted({k for k in kernels if k % 2 == 1 and k >= 3}):
                raise SpaceError(f"{name}_kernels must be odd, at least 3 and ascending. Received: {kernels}.")
        if self.min_time < 1 or self.min_sensors < 1 or self.extra_cells < 0:
            raise SpaceError(
                "min_time and min_sensors must be at least 1 and extra_cells at least 0. "
                f"Received: {self.min_time}, {self.min_sensors}, {self.extra_cells}."
            )

    @property
    def time_widths(self) -> tuple[int, ...]:
        return tuple(range(self.time_granularity, self.time_filters_max + 1, self.time_granularity))

    @property
    def fusion_widths(self) -> tuple[int, ...]:
        return tuple(range(self.fusion_granularity, self.fusion_filters_max + 1, self.fusion_granularity))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SpaceConfig:
        """Raises SpaceError for a field that does not exist."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise SpaceError(f"Unknown field(s) of the search space: {', '.join(unknown)}. Known: {sorted(known)}.")
        return cls(**data)


def _whole(name: str, value: Any, *, several: bool) -> int | tuple[int, ...]:
    """Python's own numbers, of NumPy's too. Raises SpaceError for a value that no arithmetic on sizes survives."""
    if several and isinstance(value, list | tuple) and all(isinstance(item, Integral) for item in value):
        return tuple(int(item) for item in value)
    if several or not isinstance(value, Integral):
        what = "a list of whole numbers" if several else "a whole number"
        raise SpaceError(f"{name} of the search space must be {what}. Received: {value!r}.")
    return int(value)


def characterize_command(config: SpaceConfig, shape: tuple[int, int, int], board_id: str, runtime: str) -> str | None:
    """The command that measures every operator of a space; None where it has no options for the space's numbers.

    Args:
        config: numbers of the space.
        shape: window, sensors, classes.
        board_id: where to measure.
        runtime: whose kernels.
    """
    window, sensors, classes = shape
    usual = SpaceConfig()
    if replace(usual, extra_cells=config.extra_cells) != config:
        return None
    extra = f" --extra-cells {config.extra_cells}" if config != usual else ""
    return (
        f"micronas-tf characterize --board {shlex.quote(board_id)} --runtime {runtime} "
        f"--window {window} --sensors {sensors} --classes {classes}{extra}"
    )


def halvings(extent: int, least: int) -> int:
    """How often `extent` can be halved, rounding up, while it stays at least `least`; 1 at the minimum.

    The paper prints ⌊log2(extent/least)⌋, which would give UCI-HAR's 9 sensors no fusion block; the sizes
    of its own search spaces match this rule.
    """
    count = 0
    while -(-extent // 2) >= least and extent > 1:
        extent = -(-extent // 2)
        count += 1
    return max(count, 1)
