"""fne search: what stands in its outputs, against scikit-learn, and what it refuses."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from activations import table
from activations import write as write_features
from engines import Here, cluster_of
from evaluation_files import codes_of, noisy, write
from sklearn.neighbors import NearestNeighbors

from fne_cli.errors import BadInput, DifferentOutput, DoesNotFit, WrongFile, WrongOptions
from fne_cli.numerics.embedding import embedding
from fne_cli.options import taken
from fne_cli.steps.search import SearchOptions, VectorOptions, search, tasks
from fne_cli.store.output.notes import read_record


def look(features, asked=(), output=None, **options):
    vectors, chosen = taken(VectorOptions, options), taken(SearchOptions, options)
    return search(features, asked, output, vectors=vectors, options=chosen, **options)


def lines_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def task():
    rows, labels, splits = noisy(features=40)
    return rows.astype(np.float32), labels, np.array(splits)


@pytest.fixture
def codes(tmp_path, task):
    rows, labels, splits = task
    return write(tmp_path / "codes.h5", {"one": codes_of(rows[:, :15]), "two": codes_of(rows[:, 15:])}, labels,
                 list(splits))  # fmt: skip


@pytest.fixture
def activations(tmp_path, task):
    rows, labels, splits = task
    return write(
        tmp_path / "a.h5", {"one": rows[:, :15], "two": rows[:, 15:]}, labels, list(splits), kind="activations"
    )


def neighbours(rows, queries, count, metric):
    return NearestNeighbors(n_neighbors=count, metric=metric, algorithm="brute").fit(rows).kneighbors(queries)[0]


def test_the_nearest_training_images_of_test_images_are_those_of_scikit_learn(codes, tmp_path, task):
    rows, labels, splits = codes_of(task[0]).astype(float), task[1], task[2]
    done = look(codes, output=tmp_path / "f.csv", queries="test", among="train", neighbours=4)
    assert (done.queries, done.among, done.found, done.metric, done.embedding) == (60, 60, 240, "l1", "codes")
    lines = lines_of(tmp_path / "f.csv")
    test = np.flatnonzero(splits == "test")
    expected = neighbours(rows[splits == "train"], rows[test], 4, "manhattan")
    assert [float(line["distance"]) for line in lines] == expected.ravel().tolist()
    assert [line["query"] for line in lines] == [f"{number}.png" for number in test for _ in range(4)]
    assert [line["rank"] for line in lines] == ["1", "2", "3", "4"] * 60
    for line in lines:
        query, near = (int(line[name].removesuffix(".png")) for name in ("query", "neighbour"))
        assert float(line["distance"]) == np.abs(rows[query] - rows[near]).sum()
        assert (line["query_label"], line["label"]) == ("abc"[labels[query]], "abc"[labels[near]])
        assert (line["query_split"], line["split"], line["metric"]) == ("test", "train", "l1")


def test_activations_are_compared_by_the_angle_and_no_image_with_itself(activations, task):
    done = look(activations, neighbours=3)
    assert (done.metric, done.embedding) == ("cosine", "l2")
    distances = neighbours(task[0].astype(float), task[0].astype(float), 4, "cosine")[:, 1:]
    found = np.array([[near["distance"] for near in line["neighbours"]] for line in done.lines])
    np.testing.assert_allclose(found, distances, atol=1e-7)
    assert all(line["query"] != near["path"] for line in done.lines for near in line["neighbours"])


def test_an_embedding_is_fitted_to_training_images(activations, task):
    rows, _, splits = task
    expected = embedding("standardized").fit([rows[splits == "train"]], [40]).encode(rows)
    done = look(activations, embedding="standardized", metric="euclid", queries="test", among="train", neighbours=2)
    distances = neighbours(expected[splits == "train"], expected[splits == "test"], 2, "euclidean")
    found = np.array([[near["distance"] for near in line["neighbours"]] for line in done.lines])
    np.testing.assert_allclose(found, distances, rtol=1e-5)


def test_all_within_a_distance_and_at_most_so_many(codes, task):
    rows = codes_of(task[0]).astype(int)
    distances = np.abs(rows[:, None] - rows).sum(axis=2)
    counts = (distances <= 30).sum(axis=1) - 1
    assert [len(line["neighbours"]) for line in look(codes, within=30.0).lines] == counts.tolist()
    few = look(codes, within=30.0, neighbours=2)
    assert [len(line["neighbours"]) for line in few.lines] == np.minimum(counts, 2).tolist()
    with pytest.raises(DoesNotFit, match="within a distance of 1000 should take at most"):
        look(codes, within=1000.0, memory=1 << 16)


def test_json_lines_have_an_object_for_each_query(codes, tmp_path):
    look(codes, output=tmp_path / "f.jsonl", queries="test", neighbours=2)
    lines = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert lines == look(codes, queries="test", neighbours=2).lines
    assert set(lines[0]) == {"query", "label", "split", "metric", "neighbours"}
    assert set(lines[0]["neighbours"][0]) == {"path", "label", "split", "distance"}


def test_the_queries_of_another_file_are_embedded_alike(tmp_path, activations, task):
    rows, labels, _ = task
    other = write(tmp_path / "q.h5", {"one": rows[:9, :15] + 1, "two": rows[:9, 15:]}, labels[:9], [""] * 9,
                  kind="activations", bad=(2,))  # fmt: skip
    moved = rows[:9].copy()
    moved[:, :15] += 1
    fitted = embedding("standardized").fit([rows[task[2] == "train"]], [40])
    done = look(activations, [str(other)], embedding="standardized", neighbours=1)
    expected = neighbours(fitted.encode(rows), np.delete(fitted.encode(moved), 2, axis=0), 1, "cosine")
    found = np.array([[near["distance"] for near in line["neighbours"]] for line in done.lines])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert [line["query"] for line in done.lines] == [f"{number}.png" for number in range(9) if number != 2]
    assert "queries" in read_record_of(activations, other, tmp_path)["made_from"]


def read_record_of(features, other, folder):
    look(features, [str(other)], folder / "by-file.csv")
    return read_record(folder / "by-file.csv")


def test_features_that_were_made_otherwise_are_refused(tmp_path, activations, codes, task):
    with pytest.raises(WrongFile, match=r"codes\.h5 should be an fne activations file, as .*a\.h5 is one"):
        look(activations, [str(codes)])
    rows, labels, splits = task
    layers = {"one": rows[:, :15], "two": rows[:, 15:]}
    other = write(tmp_path / "o.h5", layers, labels, list(splits), kind="activations", settings={"resize": "crop"})
    with pytest.raises(WrongFile, match=r"made like those of .*a\.h5 \(here\)\. Found:\n  resize"):
        look(activations, [str(other)])
    narrow = write(tmp_path / "n.h5", {"one": rows[:, :15]}, labels, list(splits), kind="activations")
    with pytest.raises(WrongFile, match="no two there"):
        look(activations, [str(narrow)])


def test_images_of_several_crops_are_compared_by_their_best(tmp_path):
    rows = np.random.default_rng(0).normal(size=(24, 10)).astype(np.float32)
    path = write_features(tmp_path / "a.h5", {"one": rows}, table(12), crops=2)
    unit = rows / np.linalg.norm(rows.astype(float), axis=1)[:, None]
    each = (1 - unit @ unit.T).reshape(12, 2, 12, 2).min(axis=3).mean(axis=1)
    np.fill_diagonal(each, np.inf)
    found = look(path, neighbours=3).lines
    np.testing.assert_allclose(
        [[near["distance"] for near in line["neighbours"]] for line in found], np.sort(each)[:, :3], atol=1e-6
    )


@pytest.mark.parametrize("options", [{}, {"within": 30.0}, {"metric": "cosine", "queries": "test", "among": "train"}])
@pytest.mark.parametrize("memory", [None, 1 << 22])
def test_workers_find_the_same_bytes(monkeypatch, codes, tmp_path, options, memory):
    look(codes, output=tmp_path / "here.csv", **options)
    monkeypatch.setattr(tasks, "_FEWEST", 7)
    engine = Here()
    look(codes, output=tmp_path / "there.csv", memory=memory, cluster=cluster_of(engine, row_bytes=1), **options)
    assert len(engine.done) > 5
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()
    assert not (tmp_path / "there.csv.parts").exists()


def test_workers_take_the_embedding_that_was_fitted(activations, codes, tmp_path, task):
    rows, labels, _ = task
    other = write(tmp_path / "q.h5", {"one": rows[:20, :15], "two": rows[:20, 15:]}, labels[:20], [""] * 20,
                  kind="activations")  # fmt: skip
    options = {"embedding": "standardized", "asked": [str(other)]}
    look(activations, output=tmp_path / "here.jsonl", **options)
    look(activations, output=tmp_path / "there.jsonl", cluster=cluster_of(Here(), row_bytes=1), **options)
    assert (tmp_path / "here.jsonl").read_bytes() == (tmp_path / "there.jsonl").read_bytes()
    with pytest.raises(WrongOptions, match="--cluster is for a table"):
        look(codes, output=tmp_path / "page.html", cluster=cluster_of(Here()))


def test_the_same_search_again_is_up_to_date_and_another_is_refused(codes, tmp_path):
    path = tmp_path / "f.csv"
    assert not look(codes, output=path, queries="test").up_to_date
    assert look(codes, output=path, queries="test").up_to_date
    with pytest.raises(DifferentOutput, match=r"settings\.queries"):
        look(codes, output=path, queries="train")
    before = path.read_bytes()
    assert not look(codes, output=path, queries="train", overwrite=True).up_to_date
    assert path.read_bytes() != before
    (tmp_path / "mine.csv").write_text("path,label\na,b\n")
    with pytest.raises(DifferentOutput, match=r"mine\.csv exists and is not this search"):
        look(codes, output=tmp_path / "mine.csv")


def test_options_that_do_not_go_together_are_refused(codes, activations, tmp_path):
    for options, said in (
        ({"within": float("nan")}, "--within should be a distance"),
        ({"metric": "l1"}, "--metric l1 is for ternary codes"),
        ({"model": "x.keras"}, "--model is for QUERIES that are images"),
        ({"images": "photos"}, "--images is for the pictures of a page"),
        ({"root": "photos"}, "--root says where the paths of a manifest start"),
        ({"asked": [str(activations)], "queries": "test"}, "--queries names a split of FEATURES. Found: QUERIES, too"),
    ):
        with pytest.raises(WrongOptions, match=said):
            look(activations, **options)
    with pytest.raises(BadInput, match=r"should end in \.csv, \.jsonl, \.html"):
        look(codes, output=tmp_path / "f.txt")
    with pytest.raises(BadInput, match="holiday"):
        look(codes, queries="holiday")
    with pytest.raises(BadInput, match=r"nowhere\.jpg should be QUERIES .* or an OUTPUT that ends"):
        look(codes, ["nowhere.jpg"])


class Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag, **wanted):
        return [own for name, own in self.tags if name == tag and wanted.items() <= own.items()]


def test_a_page_shows_queries_and_neighbours_and_runs_nothing(tmp_path, task):
    rows, labels, splits = task
    images = table(
        120, paths=[f"<script>alert({n})</script>\u202e{n}.png" for n in range(120)], split=list(splits),
        label=labels.astype(np.int32), classes=("a", "<b>b</b>", "c"),
    )  # fmt: skip
    codes = write_features(tmp_path / "c.h5", {"one": codes_of(rows)}, images, kind="codes")
    look(codes, output=tmp_path / "p.html", neighbours=4, shown=7)
    content = (tmp_path / "p.html").read_text(encoding="utf-8")
    page = Page(content)
    assert not page.of("script")
    assert not [own for tag, own in page.tags if any(name.startswith("on") for name in own)]
    assert page.of("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"].startswith("default-src 'none'")
    assert "\u202e" not in content
    assert len(page.of("section", **{"class": "one"})) == 7
    assert len(page.of("li", **{"class": "shot query"})) == 7
    same, other = len(page.of("li", **{"class": "shot same"})), len(page.of("li", **{"class": "shot other"}))
    assert same + other == 28
    assert (page.text.count("✓ same class"), page.text.count("✗ other class")) == (same, other)
    targets = {own["id"] for _, own in page.tags if "id" in own}
    assert {own["href"].removeprefix("#") for own in page.of("a")} <= targets
    assert "not shown" in page.text


def test_a_manifest_or_image_needs_an_output_behind_it(fne, codes, tmp_path):
    (tmp_path / "m.csv").write_text("path\nx.png\n")
    result = fne("search", codes, tmp_path / "m.csv")
    assert result.code == 4
    assert "m.csv exists and is not this search" in result.err


def test_the_command_prints_a_table_or_json(fne, codes):
    result = fne("search", codes, "--queries", "test", "-K", 1)
    assert result.code == 0
    assert result.out.splitlines()[0].split() == ["query", "rank", "distance", "neighbour", "label", "split"]
    assert len(result.out.splitlines()) == 61
    assert "60 queries among 120 images by l1 of codes: 60 neighbours" in result.err
    found = json.loads(fne("search", codes, "--queries", "test", "-K", 1, "--json").out)
    assert (found["metric"], found["embedding"], len(found["queries"])) == ("l1", "codes", 60)
    assert "--json prints what is found" in fne("search", codes, "x.csv", "--json").err


@pytest.fixture
def extracted(extract, fne, photos, tmp_path):
    """Activations, moments and codes of the photos, by the small network."""
    assert extract(photos, tmp_path / "a.h5").code == 0
    assert fne("normalize", tmp_path / "a.h5", tmp_path / "m.h5").code == 0
    assert fne("discretize", tmp_path / "a.h5", tmp_path / "m.h5", tmp_path / "c.h5").code == 0
    assert fne("normalize", tmp_path / "a.h5", tmp_path / "m.h5", "--standardized", tmp_path / "z.h5").code == 0
    return tmp_path


@pytest.mark.parametrize("kind", ["a", "c", "z"])
def test_pictures_go_through_the_network_of_the_file(extracted, photos, kind):
    pictures = sorted(map(str, photos.rglob("*.png")))[3:9]
    done = look(extracted / f"{kind}.h5", pictures, neighbours=1)
    for picture, line in zip(pictures, done.lines, strict=True):
        (near,) = line["neighbours"]
        assert picture.endswith(near["path"])
        assert near["distance"] == 0  # the very bits that fne extract writes
    again = look(extracted / f"{kind}.h5", [str(photos)], neighbours=1)
    assert [line["neighbours"][0]["path"] for line in again.lines] == [line["query"] for line in again.lines]


def test_a_network_or_moments_that_nobody_finds_are_asked_for(extracted, photos, network, fne, tmp_path):
    picture = str(next(photos.rglob("*.png")))
    (extracted / "a.h5.run.json").unlink()
    with pytest.raises(BadInput, match=r"The network of .*a\.h5, small, should be there.*\n?.*--model FILE"):
        look(extracted / "a.h5", [picture])
    assert look(extracted / "a.h5", [picture], neighbours=1, model=str(network)).found == 1
    with pytest.raises(WrongFile, match=r"The network mini should be the one of .*Found:\n  .*"):
        look(extracted / "a.h5", [picture], model="mini")
    (extracted / "m.h5").rename(extracted / "other.h5")
    with pytest.raises(BadInput, match=r"The moments that .*c\.h5 was made with should be there"):
        look(extracted / "c.h5", [picture], model=str(network))
    assert look(extracted / "c.h5", [picture], model=str(network), moments=extracted / "other.h5").found == 10
    assert fne("normalize", extracted / "a.h5", extracted / "all.h5", "--rows", "all").code == 0
    with pytest.raises(WrongFile, match=r"all\.h5 should have the moments that .* was made with. Found: others"):
        look(extracted / "c.h5", [picture], model=str(network), moments=extracted / "all.h5")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"broken\.png should be an image to look for. Found: not an image"):
        look(extracted / "a.h5", [str(broken)], model=str(network))


def test_a_page_has_the_pictures(extracted, photos, fne, tmp_path):
    picture = str(next(photos.rglob("*.png")))
    result = fne("search", extracted / "c.h5", picture, tmp_path / "p.html", "-K", 3, "--images", photos)
    assert result.code == 0, result.err
    assert len(Page((tmp_path / "p.html").read_text()).of("img")) == 4
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(BadInput, match=r"--images .*elsewhere should have the images of the file. Found"):
        look(extracted / "c.h5", output=tmp_path / "q.html", images=str(tmp_path / "elsewhere"))


def test_a_projection_is_searched_in_as_the_embedding_that_it_is(fne, activations, tmp_path):
    assert fne("reduce", activations, tmp_path / "p.h5", "--components", 5, "--whiten").code == 0
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    done = look(activations, output=here, projection=tmp_path / "p.h5", neighbours=3)
    fitted = look(activations, embedding=done.embedding, neighbours=3)
    found = [json.loads(line) for line in here.read_text().splitlines()]
    for one, other in zip(found, fitted.lines, strict=True):
        distances = ([near["distance"] for near in line["neighbours"]] for line in (one, other))
        np.testing.assert_allclose(*distances, atol=1e-5)
    look(activations, output=there, projection=tmp_path / "p.h5", neighbours=3,
         cluster=cluster_of(Here(), row_bytes=1))  # fmt: skip
    assert here.read_bytes() == there.read_bytes()


def test_more_neighbours_than_images_are_all_of_them(fne, activations, tmp_path):
    few = fne("search", activations, "--queries", "test", "--among", "train", "-K", 10**9, tmp_path / "f.jsonl")
    assert few.code == 0, few.err
    lines = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert len({len(line["neighbours"]) for line in lines}) == 1
    assert len(lines[0]["neighbours"]) > 10


def test_a_manifest_of_queries_takes_a_root(extracted, photos, fne, tmp_path):
    first = sorted(path for path in photos.rglob("*.png"))[0]
    (tmp_path / "q.csv").write_text(f"path\n{first.name}\n")
    done = fne("search", extracted / "a.h5", tmp_path / "q.csv", tmp_path / "o.csv", "--root", first.parent)
    assert done.code == 0, done.err
