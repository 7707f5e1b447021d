"""The search space as data: one site table, one lowering."""

from micronas_tf.space.build import build_space
from micronas_tf.space.chain import Stage, chain_of, constant_sites
from micronas_tf.space.choices import (
    canonical,
    check,
    is_valid,
    largest,
    live_groups,
    random_architecture,
    size,
    valid_size,
)
from micronas_tf.space.config import SpaceConfig, characterize_command, halvings
from micronas_tf.space.lower import lower
from micronas_tf.space.table import INPUT, Held, Literal, SearchSpace, Site, Width

__all__ = [
    "INPUT",
    "Held",
    "Literal",
    "SearchSpace",
    "Site",
    "SpaceConfig",
    "Stage",
    "Width",
    "build_space",
    "canonical",
    "chain_of",
    "characterize_command",
    "check",
    "constant_sites",
    "halvings",
    "is_valid",
    "largest",
    "live_groups",
    "lower",
    "random_architecture",
    "size",
    "valid_size",
]
