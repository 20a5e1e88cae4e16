"""Against Keras's own training, and whole networks against networks in two."""

from __future__ import annotations

import numpy as np
import pytest

from fne_cli.networks.backend import load_keras
from fne_cli.networks.trained.building import Start, build
from fne_cli.networks.trained.trainer import Rule, Trainer

NO_DROPOUT = "vgg-mini:width=4,depth=2,units=8,dropout=0,image=16"


def batch(count: int = 8, classes: int = 3, seed: int = 0):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, 16, 16, 3), np.uint8)
    return pixels, random.integers(0, classes, count).astype(np.int32)


@pytest.mark.parametrize("rule", [
    Rule(learning_rate=0.05, weight_decay=0.01, label_smoothing=0.1),
    Rule("adamw", learning_rate=0.01, weight_decay=0.1),
])  # fmt: skip
def test_steps_are_those_of_keras(rule):
    keras = load_keras()
    ours = build(Start(NO_DROPOUT), 3)
    theirs = keras.models.clone_model(ours.model)
    theirs.set_weights(ours.model.get_weights())
    if rule.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rule.learning_rate, rule.momentum)
        for layer in theirs.layers:
            if layer.weights:  # Keras's L2 is the sum of squares, ours half of it
                layer.kernel_regularizer = keras.regularizers.L2(rule.weight_decay / 2)
                layer.kernel.regularizer = layer.kernel_regularizer
    else:
        optimizer = keras.optimizers.AdamW(rule.learning_rate, weight_decay=rule.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    theirs.compile(optimizer, keras.losses.CategoricalCrossentropy(label_smoothing=rule.label_smoothing))
    trainer = Trainer(ours, rule, 8, 0)
    for number in range(3):
        pixels, labels = batch(seed=number)
        trainer.step([pixels], labels, rule.learning_rate)
        theirs.train_on_batch(pixels.astype(np.float32) / 127.5 - 1, np.eye(3, dtype=np.float32)[labels])
    for mine, other in zip(ours.model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-4, atol=2e-5)


def test_judgements_are_those_of_keras():
    keras = load_keras()
    network = build(Start(NO_DROPOUT), 3)
    pixels, labels = batch()
    counts = np.array([1, 1, 1, 1, 1, 0, 0, 0])
    loss, right = Trainer(network, Rule(), 8, 0).judge([pixels], labels, counts)
    probabilities = network.model.predict(pixels[:5].astype(np.float32) / 127.5 - 1, verbose=0)
    expected = keras.losses.sparse_categorical_crossentropy(labels[:5], probabilities).numpy().sum()
    assert loss == pytest.approx(expected, rel=1e-4)
    assert right[:5].tolist() == (probabilities.argmax(1) == labels[:5]).tolist()


def test_frozen_layers_apart_give_what_the_whole_gives_and_stay_as_they_are():
    start = Start("vgg-mini:width=4,depth=2,units=8,image=16", copy=2, freeze=True)
    network = build(start, 3)
    trainer = Trainer(network, Rule(), 8, 0)
    assert trainer.cut is not None and trainer.cut.shapes == [((8, 8, 4), "float32")]
    pixels, labels = batch()
    whole = network.model.predict(pixels.astype(np.float32) / 127.5 - 1, verbose=0)
    parts = load_keras().ops.softmax(trainer.cut.learning(trainer.fixed(pixels)[0], training=False)).numpy()
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)
    before = [weight.copy() for weight in network.model.get_weights()]
    trainer.step(trainer.fixed(pixels), labels, 0.1)
    changed = [not np.array_equal(a, b) for a, b in zip(before, network.model.get_weights(), strict=True)]
    assert changed == [False] * 4 + [True] * 8


def test_the_cut_goes_through_all_branches_and_stops_at_dropout(tmp_path):
    keras = load_keras()
    images = keras.Input((8, 8, 3))
    first = keras.layers.Conv2D(4, 3, padding="same", name="first")(images)
    dropped = keras.layers.Dropout(0.5, name="drop")(first)
    second = keras.layers.Conv2D(4, 3, padding="same", name="second")(dropped)
    out = keras.layers.Flatten(name="flat")(keras.layers.Add(name="add")([keras.layers.ReLU(name="r")(first), second]))
    keras.Model(images, out, name="branches").save(tmp_path / "b.keras")
    network = build(Start(str(tmp_path / "b.keras"), preprocess="tf", copy=2, freeze=True), 2)
    cut = Trainer(network, Rule(), 4, 0).cut
    assert sorted(tensor._keras_history.operation.name for tensor in cut.fixed.outputs) == ["first", "r"]


def test_a_state_goes_on_to_the_same_bits():
    start = Start("vgg-mini:width=4,depth=2,units=8,image=16")
    one, other = (Trainer(build(start, 3), Rule(), 8, seed=5) for _ in range(2))
    pixels, labels = batch()
    for _ in range(2):
        one.step([pixels], labels, 0.1)
    other.restore(one.state())
    for trainer in (one, other):
        trainer.step([pixels], labels, 0.1)
    for name, value in one.state().items():
        assert np.array_equal(value, other.state()[name]), name


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_rates(schedule):
    rule = Rule(learning_rate=0.2, schedule=schedule)
    found = [rule.rate(done, 100) for done in (0, 50, 75, 99)]
    expected = {"constant": [0.2] * 4, "step": [0.2, 0.02, 0.002, 0.002], "cosine": [0.2, 0.1, 0.02928932, 4.934e-5]}
    assert found == pytest.approx(expected[schedule], rel=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_other_precisions_learn_with_weights_in_float32(precision):
    network = build(Start("vgg-mini:width=4,depth=2,units=32,dropout=0,image=16", precision=precision), 3)
    trainer = Trainer(network, Rule(learning_rate=0.05), 8, 0, precision)
    pixels, labels = batch()
    losses = []
    for _ in range(30):
        trainer.step([pixels], labels, 0.05)
        losses.append(trainer.take_sums()[0])
    assert losses[-1] < 0.5 * losses[0]
    assert {weight.dtype for weight in network.model.trainable_variables} == {"float32"}
