"""The steps of training on TensorFlow: one compiled function, and all that changes in it as arrays.

Operations are deterministic from here on in this process: the same weights, images and order give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fne_cli.networks import graph
from fne_cli.networks.preprocessing import prepare
from fne_cli.networks.trained.building import Trainable
from fne_cli.networks.trained.cutting import Cut, cut

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Rule:
    """How weights learn; the options of `fne train` of these names."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    schedule: Literal["constant", "cosine", "step"] = "cosine"

    def rate(self, done: int, total: int) -> float:
        """The learning rate of the step after `done` of `total` steps.

        cosine: from the whole to nothing. step: a tenth after half of the steps, a hundredth after three quarters.
        """
        share = done / total
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
        return self.learning_rate * (0.1 ** ((share >= 0.5) + (share >= 0.75)) if self.schedule == "step" else 1.0)


class Trainer:
    """Trains a network in batches of `batch` images; `state` is all that a step changes.

    features: numbers that the classifier is given.
    """

    def __init__(self, network: Trainable, rule: Rule, batch: int, seed: int, precision: str = "float32") -> None:
        import keras
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        self.network, self.rule, self.batch = network, rule, batch
        self.cut: Cut | None = cut(network.model, network.logits)
        self._learning = self.cut.learning if self.cut else keras.Model(network.model.inputs, network.logits)
        logits = self._learning.outputs[0]
        before = graph.call_of(logits).input_tensors[0]
        self.features = int(before.shape[-1])
        self._deciding = keras.Model(self._learning.inputs, [before, logits])
        self._sums = tf.Variable(np.zeros(2), dtype=tf.float64, trainable=False)
        _seed_generators(network.model, seed)
        self._inner, self.optimizer = _optimizer(rule, precision)
        self._weights = network.model.trainable_variables
        self.optimizer.build(self._weights)
        kept = {id(weight) for layer in network.model.layers if not layer.trainable for weight in layer.weights}
        self._changing = [one for one in network.model.variables if id(one) not in kept]
        self.fixed = tf.function(self._fixed, autograph=False, reduce_retracing=True)
        self._step = tf.function(self._one_step, autograph=False)
        self._judge = tf.function(self._one_judgement, autograph=False)
        self._decide = tf.function(self._one_decision, autograph=False)

    def bytes_needed(self) -> int:
        """An estimate of what a step takes: outputs of all layers and their gradients, weights and what goes with them.

        The fixed part keeps its largest output only.
        """
        outputs = [4 * math.prod(tensor.shape[1:]) for node in graph.calls(self._learning) for tensor in
                   node.output_tensors]  # fmt: skip
        copies = 4 if self.rule.optimizer == "adamw" else 3
        return 2 * self.batch * sum(outputs) + 4 * copies * self.network.model.count_params()

    def step(self, inputs: Sequence[Any], labels: np.ndarray, rate: float) -> None:
        """Learn from one batch: pixels (batch, height, width, 3) uint8, or what `fixed` made of them."""
        import tensorflow as tf

        self._step([tf.convert_to_tensor(one) for one in inputs], tf.constant(labels, tf.int32), tf.constant(rate))

    def judge(self, inputs: Sequence[Any], labels: np.ndarray, counts: np.ndarray) -> tuple[float, np.ndarray]:
        """Sum of the losses, without smoothing, of the images that count (0 or 1); (batch,) which are right."""
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(one) for one in inputs]
        loss, right = self._judge(tensors, tf.constant(labels, tf.int32), tf.constant(counts, tf.float64))
        return float(loss), right.numpy()

    def decide(self, inputs: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """What the classifier is given, (batch, features), and what it makes of it, (batch, classes), before softmax.

        Both float32, for inputs as `step` takes them; as in inference.
        """
        import tensorflow as tf

        features, logits = self._decide([tf.convert_to_tensor(one) for one in inputs])
        return features.numpy(), logits.numpy()

    def take_sums(self) -> tuple[float, float]:
        """Sum of the losses and number of right answers of the steps since the last call."""
        loss, right = self._sums.numpy().tolist()
        self._sums.assign(np.zeros(2))
        return loss, right

    def is_finite(self) -> bool:
        """Whether the losses since the last `take_sums` are."""
        return bool(np.isfinite(self._sums.numpy()).all())

    def state(self) -> dict[str, np.ndarray]:
        """All that the steps have changed, by name."""
        return {name: variable.numpy().copy() for name, variable in self._variables()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a state of the same network. Raises KeyError or ValueError for another's."""
        for name, variable in self._variables():
            value = state[name]
            if tuple(value.shape) != tuple(variable.shape):
                raise ValueError(f"{name} has another shape")
            variable.assign(value)

    def weights(self) -> dict[str, np.ndarray]:
        """The part of the state that is the network."""
        return {name: variable.numpy().copy() for name, variable in self._variables() if name.startswith("network/")}

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Have the network as `weights` found it."""
        for name, variable in self._variables():
            if name.startswith("network/"):
                variable.assign(weights[name])

    def _variables(self) -> list[tuple[str, Any]]:
        return [
            *((f"network/{number}", variable) for number, variable in enumerate(self._changing)),
            *((f"optimizer/{number}", variable) for number, variable in enumerate(self.optimizer.variables)),
            ("sums", self._sums),
        ]

    def _prepared(self, pixels: Any) -> Any:
        return prepare(pixels, self.network.preprocess, self.network.takes)

    def _fixed(self, pixels: Any) -> list[Any]:
        import keras

        assert self.cut is not None
        return list(keras.tree.flatten(self.cut.fixed(self._prepared(pixels), training=False)))

    def _given(self, inputs: Sequence[Any]) -> Any:
        given = list(inputs) if self.cut else self._prepared(inputs[0])
        return given[0] if self.cut and len(given) == 1 else given

    def _logits(self, inputs: Sequence[Any], training: bool) -> Any:
        import tensorflow as tf

        return tf.cast(self._learning(self._given(inputs), training=training), tf.float32)

    def _one_decision(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        import tensorflow as tf

        features, decided = self._deciding(self._given(inputs), training=False)
        return tf.cast(features, tf.float32), tf.cast(decided, tf.float32)

    def _one_step(self, inputs: Sequence[Any], labels: Any, rate: Any) -> None:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            logits = self._logits(inputs, training=True)
            classes = logits.shape[-1]
            smoothed = self.rule.label_smoothing
            truth = tf.one_hot(labels, classes) * (1 - smoothed) + smoothed / classes
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(truth, logits))
            total = loss
            if self.rule.optimizer == "sgd" and self.rule.weight_decay:
                kernels = [weight.value for weight in self._weights if len(weight.shape) > 1]
                total += self.rule.weight_decay * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
            if self.optimizer is not self._inner:
                total = self.optimizer.scale_loss(total)
        self._inner.learning_rate.assign(rate)
        gradients = tape.gradient(total, [weight.value for weight in self._weights])
        self.optimizer.apply(gradients, self._weights)
        right = tf.reduce_sum(tf.cast(tf.argmax(logits, 1, tf.int32) == labels, tf.float64))
        self._sums.assign_add(tf.stack([tf.cast(loss, tf.float64) * self.batch, right]))

    def _one_judgement(self, inputs: Sequence[Any], labels: Any, counts: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        logits = self._logits(inputs, training=False)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.argmax(logits, 1, tf.int32) == labels
        return tf.reduce_sum(tf.cast(loss, tf.float64) * counts), right


def _optimizer(rule: Rule, precision: str) -> tuple[keras.Optimizer, keras.Optimizer]:
    """The optimizer, and the same with scaled losses where small gradients would else be nothing."""
    from keras import optimizers

    if rule.optimizer == "sgd":
        inner = optimizers.SGD(rule.learning_rate, momentum=rule.momentum)
    else:
        inner = optimizers.AdamW(rule.learning_rate, weight_decay=rule.weight_decay)
        inner.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return inner, optimizers.LossScaleOptimizer(inner) if precision == "float16" else inner


def _seed_generators(model: keras.Model, seed: int) -> None:
    """Have what is random in the layers begin at the seed, each of them elsewhere."""
    weights = {id(weight) for weight in model.weights}
    for number, variable in enumerate(one for one in model.variables if id(one) not in weights):
        variable.assign(np.array([seed, number << 16], np.uint32))
