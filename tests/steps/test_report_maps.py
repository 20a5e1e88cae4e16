"""fne report --maps: the contact sheets of fne map on the page, and folders that are not what they claim."""

import json
import shutil

import pytest
from commands import carry_out
from grids import write_grid
from PIL import Image

from fne_cli.store.output.notes import record_path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    words = ("--pool", "avg", "--embedding", "standardized", "--model", folder / "k.npz")
    carry_out("evaluate", write_grid(folder) / "grid.h5", folder / "r.json", *words)
    words = ("--images", folder / "photos", "--boxes", folder / "boxes.csv")
    carry_out("map", folder / "k.npz", folder / "grid.h5", folder / "maps", *words)
    return folder


@pytest.fixture
def mapped(made, tmp_path):
    """Results and a folder of maps, a copy."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_the_page_has_the_sheet_and_says_in_words_what_it_shows(fne, mapped):
    words = ("report", mapped / "r.json", mapped / "page.html", "--maps", mapped / "maps")
    done = fne(*words)
    assert done.code == 0, done.err
    page = (mapped / "page.html").read_text()
    assert page.count('<img class="sheet" src="data:image/jpeg;base64,') == 1  # no image is wrong
    assert '<a href="#maps-1">Where in the image</a>' in page
    for one in json.loads((mapped / "maps" / "maps.json").read_text())["drawn"]["maps"]:
        assert f"{one['decision']:.2f}</td>" in page
    assert "12 images, 0 of them wrong" in page
    assert '>b</bdi></th><td>6</td><td data-sort="1.0">100.00</td>' in page
    assert fne(*words).err.endswith("is up to date\n")
    with_more = fne("map", mapped / "k.npz", mapped / "grid.h5", mapped / "maps", "--overwrite")
    assert with_more.code == 0
    assert "made again" in fne(*words).err  # other maps in the folder
    assert "CorLoc" not in (mapped / "page.html").read_text()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shutil.rmtree, "should be a folder that fne map wrote. Found: no maps.json in it"),
        (lambda folder: (folder / "maps.json").write_text("[1]"), "Found: maps.json of another origin"),
        (lambda folder: (folder / "maps.json").write_text("{"), "Found: maps.json that is no JSON"),
        (lambda folder: Image.new("RGB", (9, 9)).save(folder / "maps.png"), "should be the figure that fne map drew"),
        (lambda folder: (folder / "maps.png").unlink(), "should be the figure that fne map drew"),
    ],
)
def test_what_fne_map_did_not_write_is_refused(fne, mapped, spoil, said):
    spoil(mapped / "maps")
    done = fne("report", mapped / "r.json", mapped / "page.html", "--maps", mapped / "maps")
    assert (done.code != 0, said in done.err, "Traceback" in done.err) == (True, True, False), done.err
    assert not (mapped / "page.html").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"drawn": {"maps": [{"path": 1, "decision": 0.5}]}}, "drawn.maps[0].path should be a text"),
        ({"drawn": {"maps": [{"path": "a", "class": "b", "decision": None}]}}, "decision should be a number"),
        ({"pointing": {"per_class": [{"class": "b", "images": 1, "pointing": 2}]}}, "pointing should be a number in 0"),
        ({"drawn": {"maps": [{}] * 1001}}, "at most 1,000 entries"),
        ({"images": -1}, "images should be a whole number"),
    ],
)
def test_numbers_that_are_not_as_they_should_be(fne, mapped, change, said):
    path = mapped / "maps" / "maps.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    record_path(path).unlink()  # as if from elsewhere
    done = fne("report", mapped / "r.json", mapped / "page.html", "--maps", mapped / "maps")
    assert (done.code != 0, said in done.err, "Traceback" in done.err) == (True, True, False), done.err


def test_hostile_names_are_text(fne, mapped):
    path = mapped / "maps" / "maps.json"
    document = json.loads(path.read_text())
    for one in document["drawn"]["maps"]:
        one["path"], one["class"], one["truth"] = "<script>a</script>", "\u202e<b>", ['"><img src=x>']
    path.write_text(json.dumps(document))
    record_path(path).unlink()
    done = fne("report", mapped / "r.json", mapped / "page.html", "--maps", mapped / "maps")
    assert done.code == 0, done.err
    page = (mapped / "page.html").read_text()
    assert "<script>a" not in page and "<img src=x>" not in page and "\u202e" not in page
    assert "&lt;script&gt;a" in page
