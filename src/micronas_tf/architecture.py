"""Decision groups and architectures: what the search decides, and one complete decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from micronas_tf.errors import SpaceError

ARCHITECTURE_SCHEMA: Final = 1

GroupKind: TypeAlias = Literal["width", "kernel", "switch", "identity"]


@dataclass(frozen=True, slots=True)
class DecisionGroup:
    """One decision of the search: exactly one of `choices` is taken.

    Attributes:
        name: unique in its space, for example `fusion0.1.width`.
        kind: `width` (filters), `kernel` (length in time), `switch` (a branch: 0 = off, 1 = on) or `identity`
            (1 = the cell is skipped, 0 = it is there).
        choices: the values to choose from, strictly ascending.
    """

    name: str
    kind: GroupKind
    choices: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.choices or list(self.choices) != sorted(set(self.choices)):
            raise SpaceError(f"Choices of {self.name!r} must ascend strictly. Received: {self.choices}.")
        if self.kind in ("switch", "identity") and self.choices != (0, 1):
            raise SpaceError(f"A {self.kind} has the choices (0, 1). Received for {self.name!r}: {self.choices}.")

    def __len__(self) -> int:
        return len(self.choices)


@dataclass(frozen=True, slots=True)
class Architecture(Mapping[str, int]):
    """A complete decision: group name → chosen *value* (filters, kernel length, 0/1).

    A mapping that compares and hashes by its items; the order of the groups is that of the space.
    """

    items_: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        if len(dict(self.items_)) != len(self.items_):
            raise SpaceError("An architecture decides each group once. Received a group twice.")

    @classmethod
    def of(cls, choices: Mapping[str, int]) -> Architecture:
        return cls(tuple((str(name), int(value)) for name, value in choices.items()))

    def __getitem__(self, name: str) -> int:
        for key, value in self.items_:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.items_)

    def __len__(self) -> int:
        return len(self.items_)

    def __hash__(self) -> int:
        return hash(frozenset(self.items_))

    def to_json(self) -> dict[str, Any]:
        """A JSON object with a schema version; `from_json` gives back an equal architecture."""
        return {"schema": ARCHITECTURE_SCHEMA, "choices": dict(self.items_)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        if data.get("schema") != ARCHITECTURE_SCHEMA:
            raise SpaceError(
                f"An architecture file has schema {ARCHITECTURE_SCHEMA}. Received: {data.get('schema')!r}."
            )
        return cls.of(data["choices"])
