"""Every figure: both files are there, are pictures, are not blank, and are the same again, whatever the names are."""

from __future__ import annotations

import re
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fne_cli.figures.drawn.classes import dendrogram, shares_by_class
from fne_cli.figures.drawn.exemplars import Strip, exemplars
from fne_cli.figures.drawn.layers import s_by_layer, shares_by_layer
from fne_cli.figures.drawn.pairs import surviving, z_sets
from fne_cli.figures.drawn.style import DPI, WIDTH, label

HOSTILE = ["$\\frac{1}{0}$", "<b>&amp;]]>", "a\nb\x1b[31m\x00", "very long " * 500, "画 العربية \u202e\ud800", "_x", ""]
EDGES = np.linspace(-1, 1, 100)


def layer_tables(names):
    rng = np.random.default_rng(0)
    counts = np.stack([np.histogram(rng.normal(0, 0.3, 500), EDGES)[0] for _ in names])
    return {
        "layers": names,
        "edges": EDGES,
        "counts": counts,
        "quantiles": np.array([[-0.5, 0.5]] * (len(names) - 1) + [[np.nan, np.nan]]),
        "random": counts[0] / 500,
        "usual": 0.2,
        "chance": 0.05,
    }


def counts(names):
    return np.random.default_rng(0).integers(0, 50, (len(names), 3)) * (np.arange(len(names)) != 1)[:, None]


def tree(names):
    corners = [[[0, n], [n + 1, n], [n + 1, n + 1], [0, n + 1]] for n in range(len(names) - 1)]
    return {"leaves": names, "lines": np.array(corners, float), "distance": "distance"}


def survival():
    falling, levels = np.linspace(1, 0, 30), np.array([0, 0.5, 0.9, 0.99, 0.999, 1])
    beyond = np.stack([1 - levels] * 2) / 2
    return {"at": np.linspace(0, 1, 30), "above": np.stack([falling, falling / 2]) / 2, "random": falling**3,
            "levels": levels, "beyond": beyond, "chance": 0.05}  # fmt: skip


def sets(found=(-0.3, 0.2), scale=1):
    table = np.array([0, 3, 9, 4, 0]) * scale
    names = ("absence", "uncharacteristic", "presence")
    return {"edges": np.linspace(-1, 1, 6), "counts": dict.fromkeys(names, table), "found": found,
            "published": (-0.25, 0.15)}  # fmt: skip


def strips(names):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    return {"strips": [Strip(name, [(name, 0.9), (name, -0.5)], [pixels, None], [name, name]) for name in names[:3]]}


FIGURES = {
    "s_by_layer": lambda: (s_by_layer, layer_tables(HOSTILE)),
    "shares_by_layer": lambda: (shares_by_layer, {"layers": HOSTILE, "counts": counts(HOSTILE), "chance": 0.05}),
    "shares_by_class": lambda: (shares_by_class, {"classes": HOSTILE, "counts": counts(HOSTILE), "chance": None}),
    "dendrogram": lambda: (dendrogram, tree(HOSTILE)),
    "surviving": lambda: (surviving, survival()),
    "z_sets": lambda: (z_sets, sets()),
    "exemplars": lambda: (exemplars, strips(HOSTILE)),
}


def drawn(folder, function, tables):
    png, svg = folder / "a.png.partial", folder / "a.svg.partial"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(png, svg, **tables)
    return png, svg


def text_of(svg):
    """What matplotlib notes of the text that it draws as outlines."""
    return re.findall(r"<!--(.*?)-->", svg.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("name", FIGURES)
def test_both_files_are_pictures_and_the_same_again(tmp_path, name):
    function, tables = FIGURES[name]()
    files = drawn(tmp_path, function, tables)
    with Image.open(files[0]) as image:
        assert image.format == "PNG"
        assert image.width == round(WIDTH * DPI)
        pixels = np.asarray(image.convert("RGB"))
        assert not {"Software", "Creation Time"} & set(image.info)
    assert 0.005 < (pixels != 255).any(axis=-1).mean() < 0.95
    root = ElementTree.fromstring(files[1].read_bytes())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not [node for node in root.iter() if re.search("script|foreignObject|}a$", node.tag)]
    first = [file.read_bytes() for file in files]
    assert b"date" not in first[1]
    drawn(tmp_path, function, tables)
    assert [file.read_bytes() for file in files] == first


def test_a_matplotlibrc_of_the_users_own_changes_nothing(tmp_path):
    import matplotlib

    function, tables = FIGURES["z_sets"]()
    first = [file.read_bytes() for file in drawn(tmp_path, function, tables)]
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "text.parse_math": True}):
        assert [file.read_bytes() for file in drawn(tmp_path, function, tables)] == first


@pytest.mark.parametrize("count", [1, 41, 130])
def test_all_or_the_first_and_the_last_classes_are_named(tmp_path, count):
    names = [f"class{number:03d}" for number in range(count)]
    table = np.stack([np.arange(count, 0, -1), np.ones(count, int), np.full(count, 500)], axis=1)
    _, svg = drawn(tmp_path, shares_by_class, {"classes": names, "counts": table, "chance": 0.05})
    found = [text.strip() for text in text_of(svg) if re.fullmatch(r" class\d+ ", text)]
    assert found == (names if count < 130 else names[:60] + names[-60:])


def test_names_cannot_end_a_comment_of_the_svg(tmp_path):
    _, svg = drawn(tmp_path, dendrogram, tree(["--><script>alert(1)</script><!--", "b"]))
    assert "script" not in {node.tag for node in ElementTree.parse(svg).iter()}


@pytest.mark.parametrize("found", [(np.nan, np.nan), (np.nan, 0.2)])
@pytest.mark.parametrize("scale", [0, 1])
def test_thresholds_or_sets_that_do_not_exist(tmp_path, found, scale):
    _, svg = drawn(tmp_path, z_sets, sets(found, scale))
    assert any("from these data: none" in text for text in text_of(svg))


def test_nothing_to_join_and_nothing_to_show(tmp_path):
    drawn(tmp_path, dendrogram, {"leaves": ["only"], "lines": np.zeros((0, 4, 2)), "distance": "d"})
    drawn(tmp_path, shares_by_class, {"classes": ["a"], "counts": np.zeros((1, 3), int), "chance": None})


@given(st.text(st.characters(), max_size=300))
def test_a_label_is_one_short_line_that_prints(name):
    shown = label(name)
    assert len(shown) <= 32
    assert shown.isprintable()
    assert bool(shown) == bool(name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name", "plain name"),
        ("a\nb", "a\\nb"),
        ("$x$ <b>", "$x$ <b>"),
        ("Größe", "Größe"),
        ("画", "\\u753b"),
        ("a\u1680", "a\\u1680"),
    ],
)
def test_labels(name, shown):
    assert label(name) == shown


def test_a_long_label_keeps_both_ends():
    shown = label("beginning" + "x" * 1000 + "end")
    assert shown.startswith("beginning")
    assert shown.endswith("end")
    assert "…" in shown
