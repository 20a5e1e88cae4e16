from __future__ import annotations

import pytest

from fne_cli.errors import BadInput
from fne_cli.networks.trained.family import Family


def test_a_member_is_what_its_name_says():
    model = Family.parse("vgg-mini:width=4,depth=2,convs=1,dense=2,units=10,dropout=0.25,image=16").build()
    told = [(type(layer).__name__, tuple(layer.output.shape[1:])) for layer in model.layers[1:]]
    assert told == [
        ("Conv2D", (16, 16, 4)), ("MaxPooling2D", (8, 8, 4)), ("Conv2D", (8, 8, 8)), ("MaxPooling2D", (4, 4, 8)),
        ("Flatten", (128,)), ("Dense", (10,)), ("Dropout", (10,)), ("Dense", (10,)), ("Dropout", (10,)),
    ]  # fmt: skip
    assert model.get_layer("dropout1").rate == 0.25


def test_names_are_written_in_one_way():
    assert Family.parse("vgg16") is None
    assert str(Family.parse("VGG_mini")) == str(Family()) == str(Family.parse(str(Family())))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vgg-mini:witdh=4", "Did you mean width?"),
        ("vgg-mini:width", "Found: 'width'"),
        ("vgg-mini:width=4,width=5", "each once"),
        ("vgg-mini:width=0", "width should be a whole number from 1 to 1024. Found: '0'."),
        ("vgg-mini:depth=1.5", "depth should be a whole number"),
        ("vgg-mini:dropout=1", "dropout should be a number from 0 to 0.95. Found: '1'."),
        ("vgg-mini:depth=6", "a side of at least 64 pixels"),
    ],
)
def test_what_is_no_member_is_told(text, said):
    with pytest.raises(BadInput) as error:
        Family.parse(text)
    assert said in str(error.value)
