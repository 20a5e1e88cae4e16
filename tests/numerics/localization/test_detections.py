"""Average precision of boxes against scikit-learn and pycocotools, and by hand; overlaps; the boxes of maps."""

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import average_precision_score

from fne_cli.numerics.localization import places
from fne_cli.numerics.localization.detections import overlaps, suppressed, voc_precision

UNIT = np.array([0.0, 0.0, 10.0, 10.0])


def test_overlaps_by_hand():
    others = np.array([UNIT, UNIT + 5, np.add(UNIT, [0, 0, 10, 0]), UNIT + 10])
    np.testing.assert_allclose(overlaps(UNIT[None], others)[0], [1, 25 / 175, 0.5, 0])


def test_of_those_that_overlap_the_highest_stays_and_what_it_removes_removes_nothing():
    boxes = np.array([UNIT, np.add(UNIT, [3, 0, 3, 0]), np.add(UNIT, [6, 0, 6, 0]), UNIT + 50])
    kept = suppressed(boxes, np.array([3.0, 2.0, 1.0, 9.0]), 0.3)
    assert kept.tolist() == [3, 0, 2]  # the second is removed by the first, and the third overlaps with that by 1/4


def test_precision_is_scikit_learns_where_every_object_is_found_once():
    """With precision falling from one right box to the next, the envelope of VOC is the curve itself."""
    right = np.array([1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0])
    scores = np.linspace(1, 0, len(right))
    images = [f"{number}" for number in range(len(right))]
    boxes = np.tile(UNIT, (len(right), 1))
    truth = {name: (UNIT[None], np.array([False])) for name, one in zip(images, right, strict=True) if one}
    found = voc_precision(images, boxes, scores, truth)
    assert found.area == pytest.approx(average_precision_score(right, scores))
    assert found.objects == 4


def test_precision_by_hand():
    """Right, wrong, right, and one object of four is never found: precision 1 to recall 1/4, 2/3 to 1/2."""
    truth = {name: (np.array([UNIT, UNIT + 20]), np.zeros(2, bool)) for name in ("a", "b")}
    boxes = np.array([UNIT, UNIT + 40, UNIT + 1, UNIT + 0.5])
    found = voc_precision(["a", "a", "b", "a"], boxes, np.array([4.0, 3.0, 2.0, 1.0]), truth)
    assert found.area == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    assert found.points == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)  # recall 0, .1, .2; then .3, .4, .5


def test_a_second_box_is_wrong_and_a_difficult_object_counts_for_nothing():
    truth = {"a": (np.array([UNIT, UNIT + 20]), np.array([False, True]))}
    boxes = np.array([UNIT + 20, UNIT, UNIT])
    scores = np.array([3.0, 2.0, 1.0])
    found = voc_precision(["a"] * 3, boxes, scores, truth)
    assert (found.area, found.objects) == (1.0, 1)
    late = voc_precision(["a"] * 3, boxes[[1, 1, 0]], scores, {"a": (truth["a"][0][1:], np.array([True]))})
    assert np.isnan(late.area)
    both = {"a": (np.array([UNIT, UNIT + 20]), np.array([False, False]))}
    twice = voc_precision(["a"] * 3, np.array([UNIT, UNIT, UNIT + 20]), scores, both)
    assert twice.area == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_no_detections_are_nothing():
    truth = {"a": (UNIT[None], np.array([False]))}
    found = voc_precision([], np.zeros((0, 4)), np.zeros(0), truth)
    assert (found.area, found.points, found.objects) == (0.0, 0.0, 1)


def test_places_of_a_map():
    values = np.zeros((4, 5))
    values[1, 1:3], values[1, 4], values[3, 0] = [5, 2], 9, -8
    assert places.peak(values) == (0.9, 0.375)
    assert places.box(values) == (0.2, 0.25, 0.6, 0.5)  # the larger of the two parts, not the one with the peak
    assert places.box(-np.abs(values)) is None
    np.testing.assert_allclose(places.within((0.5, 0.25), (10, 20, 110, 60)), [60, 30])
    assert places.hit((5, 5), UNIT[None]) and not places.hit((5, 11), UNIT[None])


def test_precision_is_that_of_pycocotools():
    """Of 100 objects, whose recalls are the places at which COCO reads the curve; there at recall 0, too.

    The objects lie apart, as COCO lets a box take its second-best object and VOC does not. Difficult ones are crowds.
    """
    rng = np.random.default_rng(3)
    corners = 60.0 * np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2)
    objects = np.concatenate([corners, corners + rng.uniform(20, 50, (25, 2))], axis=1)
    hard = np.arange(25) >= 22
    counts = [23, 23, 23, 23, 12]
    truth = {f"{n}": (objects[:count], hard[:count]) for n, count in enumerate(counts)}
    assert sum(int((~own).sum()) for _, own in truth.values()) == 100
    places_of = rng.integers(0, 22, 400)
    boxes = objects[places_of] + rng.normal(0, 6, (400, 4))
    images = [f"{n}" for n in rng.integers(0, 5, 400)]
    images += [f"{n}" for n in range(1, 4)]  # boxes that are difficult objects exactly
    boxes = np.concatenate([boxes, objects[[22] * 3]])
    scores = rng.normal(size=403)

    reference = COCO()
    annotations = [
        {"id": 0, "image_id": int(name), "category_id": 1, "bbox": _sides(box), "area": 1.0, "iscrowd": int(crowd)}
        for name, (own, crowds) in truth.items()
        for box, crowd in zip(own, crowds, strict=True)
    ]
    for number, one in enumerate(annotations, 1):
        one["id"] = number
    reference.dataset = {
        "images": [{"id": n} for n in range(5)], "categories": [{"id": 1}], "annotations": annotations
    }  # fmt: skip
    reference.createIndex()
    found = [
        {"image_id": int(name), "category_id": 1, "bbox": _sides(box), "score": float(score)}
        for name, box, score in zip(images, boxes, scores, strict=True)
    ]
    judge = COCOeval(reference, reference.loadRes(found), "bbox")
    judge.params.iouThrs, judge.params.maxDets = np.array([0.5]), [1000]
    judge.params.recThrs = np.arange(101) / 100  # as recalls of 100 objects are divided, bit for bit
    judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
    judge.evaluate()
    judge.accumulate()
    curve = judge.eval["precision"][0, :, 0, 0, 0]  # at recall 0, 0.01 ... 1
    own = voc_precision(images, boxes, scores, truth)
    assert 0.05 < own.area < 0.95
    assert own.area == pytest.approx(curve[1:].mean(), abs=1e-12)
    assert own.points == pytest.approx(curve[::10].mean(), abs=1e-12)


def _sides(box):
    """x, y, width, height of x0, y0, x1, y1."""
    return [float(value) for value in (*box[:2], *(box[2:] - box[:2]))]
