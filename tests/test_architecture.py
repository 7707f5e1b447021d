"""Decision groups and architectures: checked at birth, equal after JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from micronas_tf.architecture import Architecture, DecisionGroup
from micronas_tf.errors import SpaceError

CHOICES = {"time0.kernel": 5, "time0.width": 12, "fusion0.0.skip": 0, "fusion0.0.conv3": 1}


@pytest.mark.parametrize(
    "group",
    [
        DecisionGroup("a.width", "width", (4, 8, 12, 16)),
        DecisionGroup("a.kernel", "kernel", (3,)),
        DecisionGroup("a.skip", "switch", (0, 1)),
        DecisionGroup("a.identity", "identity", (0, 1)),
    ],
)
def test_length_of_a_group_is_its_number_of_choices(group: DecisionGroup) -> None:
    assert len(group) == len(list(group.choices))
    assert group == DecisionGroup(group.name, group.kind, group.choices)


@pytest.mark.parametrize("choices", [(), (8, 4), (4, 4), (4, 8, 8), (4, 12, 8)])
def test_choices_ascend_strictly(choices: tuple[int, ...]) -> None:
    with pytest.raises(SpaceError, match=r"Choices of 'a.width' must ascend strictly. Received: \("):
        DecisionGroup("a.width", "width", choices)


@pytest.mark.parametrize("choices", [(0,), (1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("kind", ["switch", "identity"])
def test_a_switch_is_off_or_on(kind: Any, choices: tuple[int, ...]) -> None:
    with pytest.raises(SpaceError, match=r"has the choices \(0, 1\). Received for 'a': "):
        DecisionGroup("a", kind, choices)


def test_an_architecture_is_a_mapping() -> None:
    architecture = Architecture(CHOICES)
    assert isinstance(architecture, Mapping)
    assert dict(architecture) == CHOICES
    assert list(architecture) == list(CHOICES)
    assert len(architecture) == 4
    assert architecture["time0.width"] == 12
    assert "time0.width" in architecture
    assert architecture.get("absent") is None
    with pytest.raises(KeyError, match="absent"):
        architecture["absent"]


def test_architectures_compare_and_hash_by_their_items() -> None:
    assert Architecture(CHOICES) == Architecture(dict(CHOICES))
    assert hash(Architecture(CHOICES)) == hash(Architecture(dict(CHOICES)))
    assert Architecture({**CHOICES, "time0.width": 8}) != Architecture(CHOICES)
    assert len({Architecture(CHOICES), Architecture(dict(CHOICES)), Architecture({"a": 1})}) == 2


def test_the_order_of_the_groups_does_not_matter() -> None:
    reordered = json.loads(json.dumps(Architecture(CHOICES).to_json(), sort_keys=True))
    assert Architecture.from_json(reordered) == Architecture(CHOICES)


def test_names_and_values_become_plain() -> None:
    drawn: Any = {np.str_("a"): np.int64(3)}  # as NumPy gives them
    architecture = Architecture(drawn)
    assert architecture == Architecture({"a": 3})
    assert [type(part) for item in architecture.items() for part in item] == [str, int]
    assert json.dumps(architecture.to_json()) == '{"schema": 1, "choices": {"a": 3}}'


def test_architecture_survives_json() -> None:
    architecture = Architecture(CHOICES)
    data = json.loads(json.dumps(architecture.to_json()))
    assert data["schema"] == 1
    back = Architecture.from_json(data)
    assert back == architecture
    assert hash(back) == hash(architecture)
    assert list(back) == list(architecture)


@pytest.mark.parametrize("schema", [None, 0, 2, "1"])
def test_architecture_of_another_schema_is_refused(schema: Any) -> None:
    with pytest.raises(SpaceError, match=r"schema 1 and choices"):
        Architecture.from_json({"schema": schema, "choices": CHOICES})
