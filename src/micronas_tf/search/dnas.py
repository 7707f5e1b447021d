"""Differentiable search: training the supernet under a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import keras
import tensorflow as tf

from micronas_tf.boards import Budget
from micronas_tf.datasets import Standardisation, Windows
from micronas_tf.errors import RunError, SpaceError
from micronas_tf.progress import Progress, silent
from micronas_tf.run_directory import CHECKPOINT, HISTORY
from micronas_tf.search.checkpoint import CheckpointCallback, load_checkpoint
from micronas_tf.search.figures import SpaceFigures
from micronas_tf.search.history import HistoryCallback
from micronas_tf.search.paced import search_pace
from micronas_tf.search.schedule import Decide, Scheduled, Tighten, WarmUp, undecided
from micronas_tf.search.tensorboard import TensorBoardCallback
from micronas_tf.supernet import ExpectedCosts, Limit, Relaxation, SuperNet
from micronas_tf.timing import Pace
from micronas_tf.training import AtPosition, ProgressCallback, training_batches

Strategy: TypeAlias = Literal["dnas", "random", "darts-softmax", "darts-gumbel"]
"""How architectures are found: `dnas` by this project's search, `random` by drawing them, the others by DARTS as King
et al. compare with it: soft mixtures in both steps, and no cost in the loss."""

_LONGER: Final = 3
"""Of successive halving: how many times as long as the first round's the second one's trainings are."""

RELAXATION: Final[Mapping[Strategy, Relaxation]] = {
    "dnas": "sample",
    "darts-softmax": "softmax",
    "darts-gumbel": "gumbel",
}


@dataclass(frozen=True, slots=True)
class SearchRecipe:
    """How the supernet is trained; learning rates, clipping and γ are the authors' settings.

    Attributes:
        epochs: passes over the windows of the weights.
        least_steps: batches at least, for data sets that make only a few batches an epoch.
        batch_size: windows per batch of either part; fewer where a part has less.
        warmup: share of the epochs in which only the weights learn.
        weight_learning_rate: Adam's, with cosine decay.
        alpha_learning_rate: SGD's of the logits, with cosine decay to `alpha_final_learning_rate`.
        alpha_final_learning_rate: at the last step.
        clip_norm: of the weights' gradient.
        temperature_floor: reached after `cooling` of the steps, geometrically from 1.
        cooling: share of the steps.
        latency_weight, memory_weight, flash_weight: γ of each limit.
        tightening: share of the epochs after the warm-up in which the limits fall to their values.
        entropy_weight: of the gates' entropy in the last epoch; it rises from 0 after the tightening.
        decided: relative entropy of the gates below which the search ends.
        rotation_degrees: of the augmentation, as in the training of the plain model.
        candidates: most probable architectures within budget that are compared in the end.
        rungs: of the ladder of latencies up to the limit, whose most probable architectures are compared as well.
        trials: architectures that are trained from scratch in the end; none: the supernet decides. The strategy
            `random` trains half as many, all of them random and in full.
        random_share: of the trials, how many are random ones near the limit; the others are those of what the search
            found that the supernet ranks first.
        keep_one_of: so many architectures of the first round of trials goes to the second one, and is trained three
            times as long.
        trial_share: of the recipe's steps that a trial of the second round takes.
        ample: windows that compare architectures below which `few_random_share` and `few_keep_one_of` stand for
            `random_share` and `keep_one_of`, the second round's trainings are whole ones, and no pool is ranked.
        pool: random architectures near the limit of which the trials take some.
        rank_pool: they take those that the supernet ranks first at the end of its warm-up, when no architecture has had
            more of the training than another; else, as on few windows and under a time budget, those that differ most.
        explore: least share of the greatest latency within the budget that a random architecture of the trials has.
    """

    epochs: int = 20
    least_steps: int = 120
    batch_size: int = 64
    warmup: float = 0.25
    weight_learning_rate: float = 1e-3
    alpha_learning_rate: float = 0.36
    alpha_final_learning_rate: float = 8e-4
    clip_norm: float = 5.0
    temperature_floor: float = 0.1
    cooling: float = 0.8
    latency_weight: float = 2.0
    memory_weight: float = 4.0
    flash_weight: float = 2.0
    tightening: float = 0.5
    entropy_weight: float = 0.5
    decided: float = 0.05
    rotation_degrees: float = 15.0
    candidates: int = 4
    rungs: int = 6
    trials: int = 16
    keep_one_of: int = 3
    trial_share: float = 0.3
    random_share: float = 0.5
    ample: int = 1000
    few_random_share: float = 0.75
    few_keep_one_of: int = 4
    pool: int = 48
    rank_pool: bool = True
    explore: float = 0.85

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not 0.0 <= self.warmup < 1.0 or not 0.0 < self.cooling <= 1.0:
            raise SpaceError(f"A search needs epochs, a batch size, a warm-up < 1 and cooling > 0. Received: {self}.")
        if not 0.0 <= self.tightening <= 1.0 or self.entropy_weight < 0.0 or not 0.0 <= self.decided < 1.0:
            raise SpaceError(
                "A search's tightening is a share, its entropy weight not negative, `decided` below 1. "
                f"Received: {self.tightening}, {self.entropy_weight}, {self.decided}."
            )
        if (
            min(self.candidates, self.rungs, self.keep_one_of, self.few_keep_one_of) < 1
            or min(self.trials, self.pool) < 0
        ):
            raise SpaceError(
                "A search compares one candidate and one rung at least, and keeps one of one trial or more; trials and "
                f"pool are not negative. Received: {self}."
            )
        if self.ample < 0:
            raise SpaceError(f"`ample` is not negative. Received: {self.ample}.")
        if not all(0.0 <= share <= 1.0 for share in (self.random_share, self.few_random_share)):
            raise SpaceError(
                "`random_share` and `few_random_share` are shares, 0 to 1. "
                f"Received: {self.random_share}, {self.few_random_share}."
            )
        if not 0.0 < self.trial_share <= 1.0 or not 0.0 < self.explore <= 1.0:
            raise SpaceError(
                "The shares `trial_share` and `explore` are above 0 and at most 1. "
                f"Received: {self.trial_share}, {self.explore}."
            )

    def steps_per_epoch(self, samples: int, batch_size: int) -> int:
        return max(-(-samples // batch_size), -(-self.least_steps // self.epochs))

    @property
    def warm_epochs(self) -> int:
        """Epochs in which only the weights learn."""
        return int(self.warmup * self.epochs)

    def comparing_on(self, windows: int, *, time_is_limited: bool = False) -> SearchRecipe:
        """What this is where so many windows compare architectures.

        A supernet that has seen few windows knows little: a trial costs less than its word. So does a short training of
        networks that are nearly as good as each other, and there a whole one takes little time. Where time is limited,
        short ones still say more than none, and what ranking the pool takes is better spent on training.
        """
        if windows >= self.ample:
            return replace(self, rank_pool=False) if time_is_limited else self
        few = replace(self, random_share=self.few_random_share, rank_pool=False)
        return few if time_is_limited else replace(few, keep_one_of=self.few_keep_one_of, trial_share=1.0)

    @property
    def random_trials(self) -> int:
        """How many trials are random architectures near the limit, rounded down: a single one is the search's."""
        return int(self.random_share * self.trials)

    def halving(self) -> list[tuple[int, float]]:
        """How many architectures each round of the trials has, and their share of a training."""
        if not self.trials:
            return []
        kept = -(-self.trials // self.keep_one_of)
        return [(self.trials, self.trial_share / _LONGER), (kept, self.trial_share)]

    def limits(self, budget: Budget) -> dict[str, Limit]:
        """A limit that the budget does not set has no loss."""
        limits = {
            "latency_ms": (budget.latency_ms, self.latency_weight),
            "memory_bytes": (budget.memory_bytes, self.memory_weight),
            "flash_bytes": (budget.flash_bytes, self.flash_weight),
        }
        return {name: Limit(float(value), weight) for name, (value, weight) in limits.items() if value is not None}


def expected_costs(figures: SpaceFigures) -> ExpectedCosts:
    """The differentiable costs of a space."""
    return ExpectedCosts(
        figures.space,
        {"latency_ms": figures.latency_ms, "flash_bytes": figures.flash_bytes},
        figures.working_set,
        figures.persistent_bytes,
        {"flash_bytes": figures.flash_base, "memory_bytes": figures.persistent_base},
        hold=figures.counts_held,
    )


def search(
    figures: SpaceFigures,
    weight_windows: Windows,
    alpha_windows: Windows,
    standardisation: Standardisation,
    recipe: SearchRecipe,
    *,
    seed: int,
    strategy: Strategy = "dnas",
    directory: Path | None = None,
    progress: Progress = silent,
    callbacks: Sequence[Any] = (),
    pace: Pace | None = None,
) -> SuperNet:
    """Train a supernet; its `probabilities()` are what the search found.

    Args:
        figures: costs and budget.
        weight_windows: train the weights.
        alpha_windows: train the logits; other people than `weight_windows` where these are known.
        standardisation: fitted on train.
        recipe: the settings.
        seed: of everything random; a search repeats with it.
        strategy: `dnas`, or one of the DARTS baselines.
        directory: for checkpoint and history; a search that finds its checkpoint there goes on from it.
        progress: told every step.
        callbacks: further Keras callbacks.
        pace: where the time is limited: the search takes as many of the recipe's steps as it allows.
    """
    keras.utils.set_random_seed(seed)
    supernet = SuperNet.of(figures.space, seed=seed)
    batch_size = min(recipe.batch_size, len(weight_windows.y), len(alpha_windows.y))
    per_epoch = recipe.steps_per_epoch(len(weight_windows.y), batch_size)
    total = per_epoch * recipe.epochs
    position = tf.Variable(0.0, trainable=False) if pace else None
    _compile(supernet, figures, recipe, total, strategy, position)
    start = {
        name: float(supernet.expected_costs()[name]) / limit.value for name, limit in supernet.search.limits.items()
    }
    done = load_checkpoint(directory / CHECKPOINT, supernet) if directory else 0
    files = _files(directory) if directory else []
    parts = [
        training_batches(
            part,
            standardisation,
            batch_size=batch_size,
            rotation_degrees=recipe.rotation_degrees,
            seed=seed + offset,
            skip=done * per_epoch,
        )
        for offset, part in enumerate((weight_windows, alpha_windows))
    ]
    shown = {"latency_ms": "latency_ms", "memory_bytes": "memory_bytes", "accuracy": "accuracy"}
    show = ProgressCallback(progress, "search", total, shown, done=done * per_epoch)
    schedule = _schedule(recipe, start)
    paced = []
    if pace and position is not None:
        pace.begin(total, done * per_epoch)
        paced = [search_pace(supernet, pace, position, show, schedule, per_epoch=per_epoch, cooling=recipe.cooling)]
    if (done and undecided(supernet) < recipe.decided) or (pace and pace.finished):
        return supernet
    supernet.fit(
        tf.data.Dataset.zip(tuple(parts)),
        initial_epoch=done,
        epochs=recipe.epochs,
        steps_per_epoch=per_epoch,
        verbose=0,
        shuffle=False,
        callbacks=[
            *schedule,
            *paced,
            *files,
            show,
            *callbacks,
        ],
    )
    if show.done < show.total:  # every gate was decided before
        progress("search", show.done, show.done, {})
    return supernet


def load_supernet(
    figures: SpaceFigures, recipe: SearchRecipe, directory: Path, *, seed: int, strategy: Strategy = "dnas"
) -> SuperNet:
    """The supernet of a search, as its last checkpoint in `directory` has it.

    Raises:
        RunError: there is no checkpoint, or it is damaged.
    """
    path = directory / CHECKPOINT
    if not path.exists():
        raise RunError(f"{path} is missing: the search cannot be used again. Start a new run.")
    supernet = SuperNet.of(figures.space, seed=seed)
    _compile(supernet, figures, recipe, 1, strategy, None)
    load_checkpoint(path, supernet)
    return supernet


def _files(directory: Path) -> list[keras.callbacks.Callback]:
    """What a search writes while it runs. The checkpoint comes last: the other two are redone from it."""
    history = HistoryCallback(directory / HISTORY)
    board = TensorBoardCallback(directory / "tensorboard", history)
    return [history, board, CheckpointCallback(directory / CHECKPOINT)]


def _schedule(recipe: SearchRecipe, start: Mapping[str, float]) -> list[Scheduled]:
    warm = recipe.warm_epochs
    tight = warm + round(recipe.tightening * (recipe.epochs - warm))
    return [
        WarmUp(warm),
        Tighten(start, warm, tight),
        Decide(recipe.entropy_weight, tight, recipe.epochs - 1, recipe.decided),
    ]


def _compile(  # noqa: PLR0917
    supernet: SuperNet,
    figures: SpaceFigures,
    recipe: SearchRecipe,
    steps: int,
    strategy: Strategy,
    position: tf.Variable | None,
) -> None:
    """With a `position`, what depends on the step is read or set there (`search_pace`)."""

    def schedule(rate: float, steps: int, **options: float) -> Any:
        cosine = keras.optimizers.schedules.CosineDecay(rate, steps, **options)
        return cosine if position is None else AtPosition(cosine, position)

    final = recipe.alpha_final_learning_rate / recipe.alpha_learning_rate
    supernet.compile(
        keras.optimizers.Adam(schedule(recipe.weight_learning_rate, steps), global_clipnorm=recipe.clip_norm),
        alpha_optimizer=keras.optimizers.SGD(schedule(recipe.alpha_learning_rate, steps, alpha=final)),
        costs=expected_costs(figures),
        limits=recipe.limits(figures.budget) if strategy == "dnas" else {},
        temperature_decay=recipe.temperature_floor ** (1.0 / (recipe.cooling * steps)) if position is None else 1.0,
        temperature_floor=recipe.temperature_floor,
        relaxation=RELAXATION[strategy],
    )
