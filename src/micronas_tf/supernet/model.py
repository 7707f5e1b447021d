"""The supernet: every architecture of the space at once, trained by alternating α and w steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import keras
import tensorflow as tf

from micronas_tf.architecture import Architecture
from micronas_tf.errors import SpaceError
from micronas_tf.space import SearchSpace, SpaceConfig, build_space
from micronas_tf.supernet.assemble import OUTPUT, cell_of, searchable_cells, within_cell
from micronas_tf.supernet.expected import ExpectedCosts, GateIndex
from micronas_tf.supernet.gates import GumbelGates

OPERATOR_STDDEV = 1e-3
"""Initial logits of switches and kernels are 1e-3·N(0, 1), those of widths 0 (the authors' settings)."""

Batch = tuple[tf.Tensor, tf.Tensor]

Relaxation: TypeAlias = Literal["sample", "gumbel", "softmax"]
"""Gates of a step. `sample`: the α step a Gumbel-softmax draw, the w step a hard one, computed alone. `gumbel`: both
a Gumbel-softmax draw. `softmax`: both the probabilities, as in DARTS (Liu et al., arXiv 1806.09055)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget for one expected figure, and the weight γ of exceeding it."""

    value: float
    weight: float


@dataclass(frozen=True, slots=True)
class _Settings:
    """What `compile` sets. Keras would refuse metrics that a built model's attribute holds directly."""

    alpha_optimizer: Any
    costs: ExpectedCosts | None
    limits: Mapping[str, Limit]
    temperature_decay: float
    temperature_floor: float
    relaxation: Relaxation
    entropy_weight: keras.Variable
    slack: Mapping[str, keras.Variable]
    trackers: Mapping[str, keras.metrics.Metric]


@keras.saving.register_keras_serializable("micronas_tf")
class SuperNet(keras.Model):
    """All architectures of a search space in one model with shared weights.

    `fit` takes batches `((x_w, y_w), (x_α, y_α))`: x [B, T, S, 1] standardised, y [B] class indices, the first
    pair for the weights, the second one for the logits. Per batch it takes one α step on
    cross-entropy + Σ γ·log(cost/limit)·[cost ≥ limit], one w step on cross-entropy of one hard sample of the
    architecture, and cools the temperature.

    Args:
        window: samples in time, T.
        sensors: channels, S.
        classes: number of classes.
        space_config: fields of `SpaceConfig`; the paper's when not given.
        seed: of the logits and the Gumbel noise; the weights start from Keras's own random state.
    """

    def __init__(
        self,
        window: int,
        sensors: int,
        classes: int,
        space_config: Mapping[str, Any] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.space = build_space(window, sensors, classes, SpaceConfig.from_json(space_config or {}))
        self.seed = seed
        self.gate_index = GateIndex(self.space)
        groups = self.space.groups
        stddev = [0.0 if group.kind == "width" else OPERATOR_STDDEV for group in groups]
        self.gates = GumbelGates([len(group) for group in groups], initial_stddev=stddev, seed=seed, name="gates")
        self.cells = searchable_cells(self.space)
        self.classifier = keras.layers.Dense(classes, name=OUTPUT.replace("/", "."))
        self.temperature = keras.Variable(1.0, trainable=False, name="temperature")
        self.alpha_enabled = keras.Variable(True, dtype="bool", trainable=False, name="alpha_enabled")
        self.build((None, *self.space.input_shape))

    @classmethod
    def of(cls, space: SearchSpace, *, seed: int = 0) -> SuperNet:
        """The supernet of this space."""
        return cls(space.window, space.sensors, space.classes, space.config.to_json(), seed=seed)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if self.built:
            return
        self.gates.build()
        shape: tuple[int | None, ...] = input_shape
        for cell in self.cells:
            cell.build(shape)
            shape = (*shape[:-1], max(cell.widths))
        self.classifier.build((None, shape[-1]))
        super().build(input_shape)

    @property
    def logits(self) -> keras.Variable:
        """[groups, choices]"""
        return self.gates.logits

    @property
    def weights_to_train(self) -> list[keras.Variable]:
        """Every trainable variable but the logits."""
        return [variable for variable in self.trainable_variables if variable is not self.logits]

    def call(self, inputs: tf.Tensor, gates: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """[B, T, S, 1] → class logits [B, classes].

        Args:
            inputs: standardised windows.
            gates: [groups, choices]; the most probable architecture when not given.
            training: use and update the batch's BatchNorm statistics.
        """
        if gates is None:
            gates = tf.one_hot(tf.argmax(self.gates.masked_logits(), -1), self.gate_index.columns)
        features = inputs
        for cell, own in self._by_cell(gates):
            features = cell(features, own, training=training)
        # A 1×1 conv and a mean commute; this order needs a fraction of the multiplications.
        return self.classifier(tf.reduce_mean(features, (1, 2)))

    def sampled(self, inputs: tf.Tensor, gates: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What `call` computes for one-hot gates, at the cost of that one architecture."""
        features = inputs
        for cell, own in self._by_cell(gates):
            features = cell.sampled(features, own, training=training)
        filters = tf.shape(features)[-1]
        kernel = tf.convert_to_tensor(self.classifier.kernel)[:filters]
        return tf.matmul(tf.reduce_mean(features, (1, 2)), kernel) + self.classifier.bias

    def _by_cell(self, gates: tf.Tensor) -> list[tuple[Any, dict[str, tf.Tensor]]]:
        by_group = self.gate_index.by_group(self.with_a_branch(gates))
        return [
            (cell, {within_cell(name): gate for name, gate in by_group.items() if cell_of(name) == cell.name})
            for cell in self.cells
        ]

    def with_a_branch(self, gates: tf.Tensor) -> tf.Tensor:
        """Where every branch of a cell is off, its first one (the skip conv) is on.

        For soft gates the probability of "all off" moves to that branch, so that no cell can save cost by
        being empty, which `lower` forbids.
        """
        flat = tf.reshape(gates, [-1])
        for conjunction in self.space.forbidden:
            off = [literal for literal in conjunction if self.space.group(literal.group).kind == "switch"]
            all_off = tf.reduce_prod(tf.gather(flat, [self.gate_index.flat(literal) for literal in off]))
            first = self.gate_index.flat(off[0])
            flat = tf.tensor_scatter_nd_add(flat, [[first], [first + 1]], tf.stack([-all_off, all_off]))
        return tf.reshape(flat, self.gate_index.shape)

    def probabilities(self) -> dict[str, list[float]]:
        """Current probability of each choice, by group."""
        matrix = keras.ops.convert_to_numpy(self.gates.probabilities())
        return {g.name: matrix[row, : len(g)].tolist() for row, g in enumerate(self.space.groups)}

    def compile(
        self,
        optimizer: Any = "adam",
        *,
        alpha_optimizer: Any = None,
        costs: ExpectedCosts | None = None,
        limits: Mapping[str, Limit] | None = None,
        temperature_decay: float = 0.995,
        temperature_floor: float = 0.1,
        relaxation: Relaxation = "sample",
        **kwargs: Any,
    ) -> None:
        """Configure training.

        Args:
            optimizer: of the weights.
            alpha_optimizer: of the logits; the authors' SGD(0.36) when not given.
            costs: expected figures to log and to limit.
            limits: by figure; a figure without limit has no loss.
            temperature_decay: factor per batch.
            temperature_floor: least temperature, > 0.
            relaxation: what stands for an architecture in a step.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        limits = dict(limits or {})
        if unknown := set(limits) - {*(costs.names if costs else ()), "memory_bytes"}:
            raise SpaceError(f"Limits need expected costs of the same name. Received limits for: {sorted(unknown)}.")
        if not 0.0 < temperature_floor <= 1.0 or not 0.0 < temperature_decay <= 1.0:
            raise SpaceError(
                "temperature_floor and temperature_decay must be in (0, 1]. "
                f"Received: {temperature_floor}, {temperature_decay}."
            )
        if relaxation not in get_args(Relaxation):
            raise SpaceError(f"A relaxation is one of {get_args(Relaxation)}. Received: {relaxation!r}.")
        super().compile(optimizer=optimizer, jit_compile=False, **kwargs)
        alpha_optimizer = keras.optimizers.get(alpha_optimizer or keras.optimizers.SGD(0.36))
        alpha_optimizer.build([self.logits])
        self.optimizer.build(self.weights_to_train)
        figures = (*costs.names, "memory_bytes") if costs else ()
        names = ("loss", "accuracy", "alpha_loss", "alpha_accuracy", "temperature", "entropy", *figures)
        trackers = {name: keras.metrics.Mean(name=name) for name in names}
        self.search = _Settings(
            alpha_optimizer,
            costs,
            limits,
            temperature_decay,
            temperature_floor,
            relaxation,
            keras.Variable(0.0, trainable=False, name="entropy_weight"),
            {name: keras.Variable(1.0, trainable=False, name=f"slack_{name}") for name in limits},
            trackers,
        )

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.search.trackers.values()) if self.compiled else []

    def expected_costs(self) -> dict[str, tf.Tensor]:
        """Expected figures of the current probabilities."""
        if self.search.costs is None:
            return {}
        return self.search.costs(self.with_a_branch(self.gates.probabilities()))

    def penalty(self, costs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Σ γ·log(cost/limit) over the figures that exceed their limit (King et al., section 6), times its slack."""
        terms = [
            limit.weight * tf.nn.relu(tf.math.log(costs[name] / (limit.value * self.search.slack[name])))
            for name, limit in self.search.limits.items()
        ]
        return tf.add_n(terms) if terms else tf.zeros(())

    def train_step(self, data: tuple[Batch, Batch]) -> dict[str, Any]:
        weight_batch, alpha_batch = data
        tf.cond(tf.convert_to_tensor(self.alpha_enabled), lambda: self._alpha_step(alpha_batch), lambda: 0.0)
        self._weight_step(weight_batch)
        self._track(temperature=self.temperature, entropy=tf.reduce_mean(self.gates.entropy()), **self.expected_costs())
        cooler = self.temperature * self.search.temperature_decay
        self.temperature.assign(tf.maximum(cooler, self.search.temperature_floor))
        return {name: tracker.result() for name, tracker in self.search.trackers.items()}

    def test_step(self, data: Batch) -> dict[str, Any]:
        """Loss and accuracy of the most probable architecture on `(x, y)`."""
        inputs, labels = data
        self._track_batch("", labels, self(inputs, training=False))
        return {name: self.search.trackers[name].result() for name in ("loss", "accuracy")}

    def _alpha_step(self, batch: Batch) -> tf.Tensor:
        inputs, labels = batch
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.logits.value)
            outputs = self(inputs, gates=self._mixture(), training=True)
            undecided = self.search.entropy_weight * tf.reduce_sum(self.gates.entropy())
            loss = _cross_entropy(labels, outputs) + self.penalty(self.expected_costs()) + undecided
        self.search.alpha_optimizer.apply(tape.gradient(loss, [self.logits.value]), [self.logits])
        self._track_batch("alpha_", labels, outputs)
        return loss

    def _mixture(self) -> tf.Tensor:
        """Soft gates of one step."""
        softmax = self.search.relaxation == "softmax"
        return self.gates.probabilities() if softmax else self.gates.sample(self.temperature)

    def _weight_step(self, batch: Batch) -> None:
        inputs, labels = batch
        hard = self.search.relaxation == "sample"
        gates = tf.stop_gradient(self.gates.sample(self.temperature, hard=True) if hard else self._mixture())
        variables = self.weights_to_train
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            outputs = self.sampled(inputs, gates, training=True) if hard else self(inputs, gates, training=True)
            loss = _cross_entropy(labels, outputs)
        self.optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        self._track_batch("", labels, outputs)

    def _track_batch(self, prefix: str, labels: tf.Tensor, outputs: tf.Tensor) -> None:
        hits = tf.cast(tf.equal(tf.argmax(outputs, -1), tf.cast(labels, tf.int64)), tf.float32)
        values = {f"{prefix}loss": _cross_entropy(labels, outputs), f"{prefix}accuracy": tf.reduce_mean(hits)}
        self._track(**values)

    def _track(self, **values: Any) -> None:
        for name, value in values.items():
            self.search.trackers[name].update_state(value)

    def architecture_gates(self, architecture: Architecture) -> tf.Tensor:
        """One-hot gate matrix of an architecture, to pass to `call`."""
        return tf.constant(self.gate_index.one_hot(dict(architecture)))

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        space = self.space
        return {
            **config,
            "window": space.window,
            "sensors": space.sensors,
            "classes": space.classes,
            "space_config": space.config.to_json(),
            "seed": self.seed,
        }


def _cross_entropy(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))
