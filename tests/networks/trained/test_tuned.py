"""Which layers learn on, and the first classifier against scikit-learn's SVM."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.networks.backend import load_keras
from fne_cli.networks.trained.trainer import Rule, Trainer
from fne_cli.networks.trained.tuned import Tuned, scale_of, set_head, tunable
from fne_cli.numerics.svm.problem import SolverOptions
from fne_cli.steps.tune.head import fit_head


@pytest.fixture(scope="module")
def normalised(tmp_path_factory):
    """A network with batch normalisation that has seen something."""
    keras = load_keras()
    layers = keras.layers
    x = images = keras.Input((16, 16, 3))
    for block in (1, 2):
        x = layers.Conv2D(6, 3, padding="same", name=f"block{block}_conv")(x)
        x = layers.BatchNormalization(name=f"block{block}_bn", momentum=0.5)(x)
        x = layers.MaxPooling2D(2)(layers.Activation("relu")(x))
    model = keras.Model(images, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    random = np.random.default_rng(0)
    for _ in range(3):
        model(random.normal(0.3, 0.5, (8, 16, 16, 3)).astype(np.float32), training=True)
    path = tmp_path_factory.mktemp("network") / "n.keras"
    model.save(path)
    return path


def pixels(count: int = 24, seed: int = 0):
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 3).astype(np.int32)
    return (random.integers(0, 120, (count, 16, 16, 3)) + 60 * labels[:, None, None, None]).astype(np.uint8), labels


def test_the_layers_that_are_named_learn_and_batch_normalisation_does_not(normalised):
    network = tunable(Tuned(str(normalised), preprocess="tf", learn=("block2*",)), 3, 0)
    assert network.frozen == 1
    before = {weight.path: weight.numpy().copy() for weight in network.model.weights}
    trainer = Trainer(network, Rule(learning_rate=0.1), 24, 0)
    shown, labels = pixels()
    for _ in range(2):
        trainer.step(trainer.fixed(shown), labels, 0.1)
    changed = {path for path, value in before.items() if not np.array_equal(value, _named(network, path))}
    assert changed == {path for path in before if "block2_conv/" in path or "predictions" in path}


def test_from_scratch_all_layers_learn_batch_normalisation_too(normalised):
    network = tunable(Tuned(str(normalised), preprocess="tf", scratch=True), 3, 0)
    before = {weight.path: weight.numpy().copy() for weight in network.model.weights}
    trainer = Trainer(network, Rule(learning_rate=0.1), 24, 0)
    shown, labels = pixels()
    trainer.step([shown], labels, 0.1)
    assert network.copied == 0 and trainer.cut is None
    changed = {path for path, value in before.items() if not np.array_equal(value, _named(network, path))}
    assert {path for path in before if "_bn/" in path} <= changed


def _named(network, path):
    return next(weight for weight in network.model.weights if weight.path == path).numpy()


def test_the_first_classifier_is_scikit_learns_svm_with_other_units(normalised):
    network = tunable(Tuned(str(normalised), preprocess="tf", learn=("block2*",)), 3, 0)
    trainer = Trainer(network, Rule(), 24, 0)
    shown, labels = pixels()
    features, _ = trainer.decide(trainer.fixed(shown))
    wide = np.maximum(features.std(axis=0), np.sqrt(features.var(axis=0).mean()))
    rows = (features - features.mean(axis=0)) / wide
    # as the method has it: the intercept is the weight of a feature 1, and is penalised
    theirs = LinearSVC(C=0.1, loss="squared_hinge", dual=True, tol=1e-9, max_iter=100_000).fit(rows, labels)
    ours = fit_head(features, labels, 0.1, SolverOptions(tolerance=1e-9))
    model = ours.fit.model
    set_head(network, model.classes, model.weights, model.intercepts, ours.mean, ours.deviation)
    _, logits = trainer.decide(trainer.fixed(shown))
    np.testing.assert_allclose(logits, scale_of(3) * theirs.decision_function(rows), rtol=1e-3, atol=1e-3)


def test_an_image_on_its_margin_has_the_probability_of_nine_tenths():
    for classes in (2, 10, 101):
        margins = np.full(classes, -1.0)
        margins[0] = 1.0
        raised = np.exp(scale_of(classes) * margins)
        assert raised[0] / raised.sum() == pytest.approx(0.9)


def test_a_class_without_images_is_not_taken_for_any(normalised):
    network = tunable(Tuned(str(normalised), preprocess="tf"), 4, 0)
    trainer = Trainer(network, Rule(), 24, 0)
    shown, labels = pixels()
    features, _ = trainer.decide([shown])
    ours = fit_head(features, np.where(labels == 2, 3, labels), 1.0, SolverOptions())
    model = ours.fit.model
    set_head(network, model.classes, model.weights, model.intercepts, ours.mean, ours.deviation)
    assert 2 not in trainer.decide([shown])[1].argmax(axis=1)


def test_what_cannot_be_tuned_is_told(normalised):
    with pytest.raises(BadInput, match=r"block1_conv, block2_conv\. Found: 'block7\*'"):
        tunable(Tuned(str(normalised), preprocess="tf", learn=("block7*",)), 3, 0)
    with pytest.raises(WrongOptions, match="Leave --learn out"):
        tunable(Tuned("mini", scratch=True, learn=("fc2",)), 3, 0)
    with pytest.raises(WrongOptions, match="has no weights to begin with"):
        tunable(Tuned("vgg-mini:width=4"), 3, 0)
