"""Layers weighted by what they say of the labels: against the definition, on Gram matrices."""

from __future__ import annotations

import numpy as np
import pytest

from fne_cli.errors import BadInput
from fne_cli.machine import thread_pool
from fne_cli.numerics.embedding import embedding
from fne_cli.numerics.embedding.pieces import aligned
from fne_cli.numerics.embedding.pieces.aligned import alignments

WIDTHS = (3, 40, 7, 2)
LAYERS = [slice(0, 3), slice(3, 43), slice(43, 50), slice(50, 52)]


def rows_of(count: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Three classes, of which the second layer knows most; the last one never varies."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, count)
    rows = generator.normal(4, 1, (count, sum(WIDTHS)))
    rows[:, LAYERS[1]] += 2 * generator.normal(0, 1, (3, 40))[labels]
    rows[:, LAYERS[3]] = 1.1
    return rows.astype(np.float32), labels


def measured(rows: np.ndarray, labels: np.ndarray, batch: int = 100) -> np.ndarray:
    def batches() -> list[np.ndarray]:
        return [rows[start : start + batch] for start in range(0, len(rows), batch)]

    with thread_pool(2) as pool:
        return alignments(batches, labels, LAYERS, pool)


def by_definition(rows: np.ndarray, targets: np.ndarray) -> float:
    """The cosine of two centred Gram matrices."""
    centre = np.eye(len(rows)) - 1 / len(rows)
    one, two = (centre @ part.astype(np.float64) @ part.T.astype(np.float64) @ centre for part in (rows, targets))
    return float((one * two).sum() / np.linalg.norm(one) / np.linalg.norm(two))


@pytest.mark.parametrize("several", [False, True])
def test_it_is_the_cosine_of_centred_gram_matrices(several):
    rows, labels = rows_of()
    targets = labels[:, None] == np.arange(3)
    if several:
        targets[:, 0] |= np.arange(30) % 4 == 0
    found = measured(rows, targets.astype(np.int8) if several else labels)
    np.testing.assert_allclose(found[:3], [by_definition(rows[:, layer], targets) for layer in LAYERS[:3]], rtol=1e-9)
    assert found[3] == 0
    assert found.argmax() == 1


def test_a_class_knows_nothing_of_rows_that_it_ignores():
    rows, labels = rows_of()
    several = (labels[:, None] == np.arange(3)).astype(np.int8)
    several[:7, 0] = -1
    targets = np.where(several == 1, 1.0, 0.0)
    targets[7:, 0] -= targets[7:, 0].mean()
    targets[:, 1:] -= targets[:, 1:].mean(axis=0)
    wanted = [by_definition(rows[:, layer], targets) for layer in LAYERS[:3]]
    np.testing.assert_allclose(measured(rows, several)[:3], wanted, rtol=1e-9)


def test_neither_batches_nor_how_much_is_held_change_it(monkeypatch):
    rows, labels = rows_of(700)
    found = measured(rows, labels)
    np.testing.assert_array_equal(measured(rows, labels, batch=33), found)
    monkeypatch.setattr(aligned, "HELD", 1)
    np.testing.assert_array_equal(measured(rows, labels), found)


def test_a_piece_weighs_layers_by_it():
    rows, labels = rows_of()
    plain, weighted = (
        embedding(name).fit([rows[:20], rows[20:]], WIDTHS, labels=labels) for name in ("z,root", "z,root,aligned:2")
    )
    weights = measured(plain.encode(rows), labels) ** 2
    wanted = plain.encode(rows) * np.repeat(weights, WIDTHS)
    np.testing.assert_allclose(weighted.encode(rows), wanted, rtol=1e-5, atol=1e-7)
    with pytest.raises(BadInput, match="aligned of an embedding should have a label"):
        embedding("z,aligned:2").fit([rows], WIDTHS)
