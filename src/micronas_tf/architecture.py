"""Decision groups and architectures: what the search decides, and one complete decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import index
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


class Architecture(Mapping[str, int]):
    """A complete decision: group name → chosen *value* (filters, kernel length, 0/1).

    An immutable mapping that compares and hashes by its items, in whatever order they come.

    Raises:
        SpaceError: a value is not a whole number.
    """

    __slots__ = ("_choices", "_hash")

    def __init__(self, choices: Mapping[str, int]) -> None:
        try:
            self._choices = {str(name): index(value) for name, value in choices.items()}
        except TypeError as error:
            raise SpaceError(f"The choices of an architecture are whole numbers. Received: {dict(choices)}.") from error
        self._hash = hash(frozenset(self._choices.items()))

    def __getitem__(self, name: str) -> int:
        return self._choices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Architecture({self._choices})"

    def to_json(self) -> dict[str, Any]:
        """A JSON object with a schema version; `from_json` gives back an equal architecture."""
        return {"schema": ARCHITECTURE_SCHEMA, "choices": dict(self._choices)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        if data.get("schema") != ARCHITECTURE_SCHEMA or not isinstance(data.get("choices"), dict):
            raise SpaceError(
                f"An architecture file has schema {ARCHITECTURE_SCHEMA} and choices. Received: {dict(data)}."
            )
        return cls(data["choices"])
