"""Made-up motion of a wrist, so that the examples need no download.

    python -m examples.motion samples.csv

writes a table with one row per sample, in the columns that `micronas-tf` reads. Each person holds the arm and moves it
in a way of their own, so that people differ as they do in real recordings. It is no substitute for real motion: the
accuracies that the examples reach say nothing about yours.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

RATE_HZ = 50.0
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
"""Three letters for each sensor: by these names micronas-tf knows which channels are one vector, and turns it."""

GRAVITY = 9.81
# Of each activity: steps a second, swing of the acceleration in m/s², swing of the rotation in rad/s.
ACTIVITIES = {
    "resting": (0.0, 0.0, 0.0),
    "walking": (1.8, 2.5, 1.5),
    "stairs": (1.4, 3.0, 1.0),
    "running": (2.7, 8.0, 3.0),
}


def recording(activity: str, seconds: float, tilt: Floats, pace: float, rng: np.random.Generator) -> Floats:
    """Samples [time, 6] of one activity: gravity and a periodic swing, tilted, and the noise of the sensors.

    Args:
        activity: one of ACTIVITIES.
        seconds: how long.
        tilt: rotation matrix [3, 3] of how the device sits on this arm.
        pace: of this person, 1 is the usual one.
        rng: draws the phase and the noise.
    """
    steps_hz, acceleration, rotation = ACTIVITIES[activity]
    phase = 2 * np.pi * (steps_hz * pace * np.arange(round(seconds * RATE_HZ)) / RATE_HZ + rng.uniform())
    # The foot's impact gives the second harmonic; an arm swings once in two steps.
    up = GRAVITY + acceleration * (np.sin(phase) + 0.4 * np.sin(2 * phase))
    forward, side = 0.5 * acceleration * np.cos(phase), 0.3 * acceleration * np.sin(phase / 2)
    swing = rotation * np.stack([0.2 * np.sin(phase), np.cos(phase / 2), 0.3 * np.cos(phase)], axis=1)
    turned = [np.stack([forward, side, up], axis=1) @ tilt, swing @ tilt]
    return np.concatenate(turned, axis=1) + rng.normal(0, [0.4] * 3 + [0.15] * 3, (len(phase), 6))


def rotation_about(axis: Floats, degrees: float) -> Floats:
    """Rodrigues' formula."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: Floats = np.eye(3) + np.sin(np.radians(degrees)) * cross + (1 - np.cos(np.radians(degrees))) * cross @ cross
    return turned


def samples(people: int = 8, seconds: float = 16.0, seed: int = 0) -> pd.DataFrame:
    """A table of samples: every person does every activity once, one recording each."""
    rng = np.random.default_rng(seed)
    pieces = []
    for person in range(people):
        tilt, pace = rotation_about(rng.normal(size=3), rng.normal(0, 20)), rng.normal(1.0, 0.06)
        for activity in ACTIVITIES:
            piece = pd.DataFrame(recording(activity, seconds, tilt, pace, rng).round(3), columns=list(CHANNELS))
            piece.insert(0, "time", (np.arange(len(piece)) / RATE_HZ).round(3))
            # Time begins anew in every recording, so its name must keep the recordings apart.
            pieces.append(piece.assign(label=activity, subject=f"person{person}", recording=f"{person}-{activity}"))
    return pd.concat(pieces, ignore_index=True)


def windows(
    people: int = 8, seconds: float = 16.0, seed: int = 0, length: int = 64
) -> tuple[NDArray[np.float32], NDArray[np.str_], NDArray[np.int64]]:
    """The same as arrays, as a pipeline of one's own has them: x [N, time, 6], label [N], person [N]."""
    x, y, person = [], [], []
    for (_, name), piece in samples(people, seconds, seed).groupby(["subject", "recording"], sort=False):
        values = piece[list(CHANNELS)].to_numpy(np.float32)
        count = len(values) // length
        x.append(values[: count * length].reshape(count, length, len(CHANNELS)))
        y += [str(piece["label"].iloc[0])] * count
        person += [int(str(name).partition("-")[0])] * count
    return np.concatenate(x), np.array(y), np.array(person)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--people", default=8, show_default=True)
@click.option("--seconds", default=16.0, show_default=True, help="Of each recording.")
@click.option("--seed", default=0, show_default=True)
def main(path: Path, people: int, seconds: float, seed: int) -> None:
    """Write a table of samples to PATH, a .csv file."""
    samples(people, seconds, seed).to_csv(path, index=False)


if __name__ == "__main__":
    main()
