import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer

from fne_cli.numerics.evaluation import metrics


def labels(seed, images=80, classes=6):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, images)
    return truth, np.where(generator.random(images) < 0.6, truth, generator.integers(0, classes, images))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_confusion_matrix_and_what_is_made_of_it(seed):
    truth, predicted = labels(seed)
    table = metrics.confusion(truth, predicted, 6)
    assert (table == peer.confusion_matrix(truth, predicted, labels=np.arange(6))).all()
    assert metrics.accuracy(table) == pytest.approx(peer.accuracy_score(truth, predicted))
    assert metrics.mean_per_class_accuracy(table) == pytest.approx(peer.balanced_accuracy_score(truth, predicted))
    assert metrics.macro_f1(table) == pytest.approx(peer.f1_score(truth, predicted, average="macro"))
    np.testing.assert_allclose(
        metrics.balanced(table), peer.confusion_matrix(truth, predicted, labels=np.arange(6), normalize="true")
    )


def test_classes_without_images():
    table = metrics.confusion(np.array([0, 0, 2]), np.array([0, 2, 2]), 4)
    assert np.isnan(metrics.balanced(table)[[1, 3]]).all()
    assert metrics.macro_f1(table) == pytest.approx(2 / 3)
    assert metrics.mean_per_class_accuracy(table) == pytest.approx(0.75)


@pytest.mark.parametrize("top", [1, 2, 5])
def test_top(top):
    generator = np.random.default_rng(0)
    truth, decisions = generator.integers(0, 9, 200), generator.standard_normal((200, 9))
    assert metrics.top_accuracy(decisions, truth, top) == pytest.approx(
        peer.top_k_accuracy_score(truth, decisions, k=top, labels=np.arange(9))
    )


def test_a_class_without_training_is_never_among_the_top():
    decisions = np.full((3, 8), -np.inf)
    decisions[:, :2] = 1.0
    assert metrics.top_accuracy(decisions, np.array([0, 1, 7]), 5) == pytest.approx(2 / 3)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_average_precision_is_scikit_learns(seed, ties):
    generator = np.random.default_rng(seed)
    present = generator.integers(-1, 2, 60)
    present[0] = 1
    scores = generator.integers(0, 9, 60).astype(float) if ties else generator.standard_normal(60)
    kept = present >= 0
    assert metrics.average_precision(scores, present) == pytest.approx(
        peer.average_precision_score(present[kept], scores[kept])
    )


def test_eleven_points_by_hand():
    # right, wrong, right: precision 1 up to recall 0.5 (points 0 ... 0.5), 2/3 beyond (0.6 ... 1)
    scores, present = np.array([0.9, 0.8, 0.7, 0.75]), np.array([1, 0, 1, -1])
    assert metrics.average_precision(scores, present, 11) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    # ten present images, all first: every tenth of recall is reached exactly
    ten = np.repeat([1, 0], [10, 5])
    assert metrics.average_precision(-np.arange(15.0), ten, 11) == 1.0
    assert np.isnan(metrics.average_precision(scores, np.zeros(4, int)))


def test_interval_covers_and_shrinks():
    generator = np.random.default_rng(0)
    covered, widths = 0, {}
    for images in (20, 320):
        hits = []
        for draw in range(200):
            truth = np.repeat(np.arange(5), images)
            predicted = np.where(generator.random(len(truth)) < 0.7, truth, (truth + 1) % 5)
            low, high = metrics.bootstrap_interval(truth, predicted, 5, 300, seed=draw)
            hits.append(low <= 0.7 <= high)
            widths[images] = high - low
        covered = np.mean(hits)
        assert 0.88 <= covered <= 0.99
    assert widths[320] < widths[20] / 3
