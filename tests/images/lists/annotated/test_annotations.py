"""Boxes of objects, from the three forms in which people have them."""

import json

import numpy as np
import pytest

from fne_cli.errors import BadInput
from fne_cli.images.lists.annotated.annotations import read_annotations

OBJECT = (
    "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>"
    "<ymax>{}</ymax></bndbox></object>"
)
COCO = {
    "images": [{"id": 7, "file_name": "a/one.jpg"}, {"id": 8, "file_name": "two.jpg"}],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 1, 10.5, 20], "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 2, "bbox": [5, 5, 2, 2], "iscrowd": 1},
    ],
}


@pytest.fixture
def written(tmp_path):
    """The same two objects of image one in each form; image two has none in those that can say so."""
    (tmp_path / "voc" / "Annotations").mkdir(parents=True)
    for name, objects in (("one", [("dog", 0, 1, 2, 10.5, 21), ("cat", 1, 6, 6, 7, 7)]), ("two", [])):
        text = "".join(OBJECT.format(*one) for one in objects)
        (tmp_path / "voc" / "Annotations" / f"{name}.xml").write_text(f"<annotation>{text}</annotation>")
    (tmp_path / "coco.json").write_text(json.dumps(COCO))
    (tmp_path / "b.csv").write_text(
        "path,label,x0,y0,x1,y1,difficult\none.jpg,dog,0,1,10.5,21,0\none.jpg,cat,5,5,7,7,1\n"
    )
    return tmp_path


@pytest.mark.parametrize("name", ["voc", "voc/Annotations", "coco.json", "b.csv"])
def test_three_forms_say_the_same(written, name):
    found = read_annotations(str(written / name))
    assert found.classes == ["cat", "dog"]
    other, one = found.of(["train/x/two.jpg", "train/a/one.jpg"])
    boxes, difficult = one.of("dog")
    np.testing.assert_array_equal(boxes, [[0, 1, 10.5, 21]])
    assert difficult.tolist() == [False]
    assert [part.tolist() for part in one.of("cat")] == [[[5, 5, 7, 7]], [True]]
    assert other is None if name == "b.csv" else other.of("dog")[0].shape == (0, 4)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "path,label,x0,y0,x1\n", "no y1"),
        ("a.csv", "path,label,x0,y0,x1,y1\na.jpg,dog,5,0,5,9\n", "line 2, should have a box with x0 < x1"),
        ("a.csv", "path,label,x0,y0,x1,y1\na.jpg,dog,0,0,nan,9\n", "line 2, should have a box"),
        ("a.json", "[]", "should be COCO's"),
        ("a.json", json.dumps(COCO | {"images": []}), "no 7"),
        ("a.json", json.dumps(COCO | {"categories": [{"id": [], "name": "dog"}]}), "the id"),
        ("a.json", "{", "should be JSON"),
        ("a.txt", "", "something else"),
        ("v/a.xml", "<annotation><object><name>a</name></object></annotation>", "should have a box in every object"),
        ("v/a.xml", "<!DOCTYPE x><annotation/>", "a document type"),
        ("v/a.txt", "", "boxes of images. Found: none"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, content, said):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(BadInput, match=said):
        read_annotations(str(path.parent if path.suffix in (".xml",) or name == "v/a.txt" else path))


def test_boxes_of_other_images_and_of_several_are_refused(written):
    found = read_annotations(str(written / "coco.json"))
    with pytest.raises(BadInput, match="should have boxes of these images, such as x"):
        found.of(["x.jpg"])
    with pytest.raises(BadInput, match="2 that fit"):
        read_annotations(str(written / "b.csv")).of(["a/one.jpg", "b/one.jpg"])
