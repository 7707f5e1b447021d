"""What a run is asked for: everything but the data that decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from operator import index
from typing import Any, Final, Literal, TypeAlias, get_args

from micronas_tf.boards import DEFAULT_BOARD, Budget
from micronas_tf.cost import Runtime
from micronas_tf.errors import RunError
from micronas_tf.front import Pareto
from micronas_tf.search import SearchRecipe, Strategy
from micronas_tf.space import SpaceConfig
from micronas_tf.training import TrainingRecipe

Quantisation: TypeAlias = Literal["qat", "qat-scratch", "ptq"]
_LARGEST_SEED: Final = 2**32 - 2
"""NumPy's generators take 32 bits, and the batches of the quantising use the next seed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything but the data that decides a run.

    Attributes:
        board: id, or path of a board's TOML file.
        budget: the limits.
        latency_source: `auto` (a measured table, then the fitted model), `ops` (operation count), or the path
            of a lookup table.
        runtime: whose kernels will run the model: `tflm` or `bundle`.
        margin: latency is kept below limit / (1 + margin); None takes the source's mean error.
        strategy: how architectures are found.
        quantisation: QAT as fine-tuning, QAT from scratch (as the paper does), or PTQ.
        seed: of everything random.
        space: numbers of the search space.
        search: recipe of the search.
        training: recipe of the plain model.
        saved_model: also write a SavedModel.
        time_budget_s: of the whole job, all its resumes together; None: no limit.
        pareto: the cost to show the trade-off of; None: only the one answer.
    """

    board: str = DEFAULT_BOARD
    budget: Budget = field(default_factory=Budget)
    latency_source: str = "auto"
    runtime: Runtime = "tflm"
    margin: float | None = None
    strategy: Strategy = "dnas"
    quantisation: Quantisation = "qat"
    seed: int = 0
    space: SpaceConfig = field(default_factory=SpaceConfig)
    search: SearchRecipe = field(default_factory=SearchRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    saved_model: bool = False
    time_budget_s: float | None = None
    pareto: Pareto | None = None

    def __post_init__(self) -> None:
        if self.quantisation not in get_args(Quantisation):
            raise RunError(f"Quantisation is one of {get_args(Quantisation)}. Received: {self.quantisation!r}.")
        if self.strategy not in get_args(Strategy):
            raise RunError(f"A strategy is one of {get_args(Strategy)}. Received: {self.strategy!r}.")
        object.__setattr__(self, "seed", _seed(self.seed))
        if self.margin is not None and not 0 <= self.margin < inf:
            raise RunError(f"A margin is a share of 0 or more. Received: {self.margin}.")
        if self.time_budget_s is not None and not self.time_budget_s > 0:
            raise RunError(f"A time budget is more than 0 seconds. Received: {self.time_budget_s}.")
        if self.strategy == "random" and (self.pareto or self.time_budget_s is not None):
            raise RunError(
                "A Pareto front and a time budget need a supernet, and the strategy random has none: it trains every "
                "architecture in full. Start a new run with another --strategy, or leave both out."
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """Raises RunError if the settings are of another version."""
        try:
            parts = {
                "budget": Budget(**data["budget"]),
                "space": SpaceConfig.from_json(data["space"]),
                "search": SearchRecipe(**data["search"]),
                "training": TrainingRecipe(**data["training"]),
                "pareto": Pareto(**data["pareto"]) if data.get("pareto") else None,
            }
            return cls(**{**data, **parts})
        except (KeyError, TypeError) as error:
            raise RunError(
                f"The run's settings are of another version of micronas-tf: {error}. Start a new run."
            ) from error


def _seed(value: Any) -> int:
    """An integer of Python's, of whatever kind it was given."""
    try:
        seed = index(value)
    except TypeError:
        seed = -1
    if not 0 <= seed <= _LARGEST_SEED:
        raise RunError(f"A seed is a whole number from 0 to {_LARGEST_SEED}. Received: {value!r}.")
    return seed
