"""fne retrieve: against scikit-learn where it has a measure, and by hand."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from activations import table
from activations import write as write_features
from evaluation_files import codes_of, noisy, write
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import normalize

from fne_cli.errors import BadInput, DifferentOutput, DoesNotFit, WrongFile, WrongOptions
from fne_cli.options import taken
from fne_cli.steps.retrieve import RetrievalOptions, VectorOptions, retrieve

SHARED = Path(__file__).parents[3] / "shared"
TRAPEZOIDAL, RECTANGULAR = "mean_average_precision_trapezoidal", "mean_average_precision_rectangular"


def measure(features, results=None, **options):
    vectors, chosen = taken(VectorOptions, options), taken(RetrievalOptions, options)
    return retrieve(features, results, vectors, chosen, **options)


def entries(features, **options):
    return measure(features, **options).results["results"]


@pytest.fixture
def task():
    rows, labels, splits = noisy(features=20)
    return rows.astype(np.float32), labels, np.array(splits)


@pytest.fixture
def activations(tmp_path, task):
    rows, labels, splits = task
    return write(tmp_path / "a.h5", {"one": rows[:, :8], "two": rows[:, 8:]}, labels, list(splits), kind="activations")


def mean_average_precision(similar, own, theirs):
    return np.mean([average_precision_score(theirs == label, line) for label, line in zip(own, similar, strict=True)])


def test_test_images_among_training_images_are_ranked_as_scikit_learn_does(activations, task):
    rows, labels, splits = task
    train, test = splits == "train", splits == "test"
    similar = cosine_similarity(rows[test].astype(float), rows[train].astype(float))
    (found,) = entries(activations, queries="test", among="train")
    assert found[RECTANGULAR] == pytest.approx(mean_average_precision(similar, labels[test], labels[train]), abs=1e-9)
    assert found["precision_at_1"] == np.mean(labels[train][similar.argmax(axis=1)] == labels[test])
    assert found["queries"] == test.sum()
    assert found["database"] == train.sum()
    assert "ns_score" not in found
    low, high = found[f"{TRAPEZOIDAL}_95"]
    assert low < found[TRAPEZOIDAL] < high


def test_a_query_is_not_looked_for_itself(activations, task):
    rows, labels, _ = task
    similar = cosine_similarity(rows.astype(float))
    others = [np.delete(line, place) for place, line in enumerate(similar)]
    known = [np.delete(labels, place) for place in range(len(labels))]
    expected = np.mean(
        [average_precision_score(their == own, line) for own, their, line in zip(labels, known, others, strict=True)]
    )
    (found,) = entries(activations)
    assert found[RECTANGULAR] == pytest.approx(expected, abs=1e-9)
    assert 1 <= found["ns_score"] <= 4


def test_a_reduction_is_learnt_from_training_rows(activations, task):
    rows, labels, splits = task
    train, test = splits == "train", splits == "test"
    unit = normalize(rows.astype(float))
    reduced = PCA(6, svd_solver="full", whiten=True).fit(unit[train]).transform(unit)
    similar = cosine_similarity(reduced[test], reduced[train])
    (found,) = entries(activations, queries="test", among="train", embedding="length,pca:6,whiten,length")
    expected = mean_average_precision(similar, labels[test], labels[train])
    assert found[RECTANGULAR] == pytest.approx(expected, abs=1e-4)
    assert found["features"] == 6


def test_codes_are_compared_by_l1_or_the_angle(tmp_path, task):
    rows, labels, splits = task
    codes = codes_of(rows)
    path = write(tmp_path / "c.h5", {"one": codes}, labels, list(splits))
    apart = np.abs(codes[:, None].astype(int) - codes[None]).sum(axis=2).astype(float)
    for metric, distances in ((None, apart), ("cosine", 1 - cosine_similarity(codes.astype(float)))):
        (found,) = entries(path, metric=metric)
        assert found["metric"] == (metric or "l1")
        expected = []
        for place in range(len(labels)):
            # equal distances rank by place
            order = [other for other in np.argsort(np.round(distances[place], 12), kind="stable") if other != place]
            expected.append(average_precision_score(labels[order] == labels[place], -np.arange(len(order))))
        assert found[RECTANGULAR] == pytest.approx(np.mean(expected), abs=1e-9)


def test_each_layer_is_measured_alone(activations):
    found = entries(activations, each_layer=True)
    assert [(entry["name"], entry["features"]) for entry in found] == [("l2", 20), ("one", 8), ("two", 12)]
    (alone,) = entries(activations, layers=("two",))
    assert found[2][TRAPEZOIDAL] == alone[TRAPEZOIDAL]


def test_queries_without_relevant_images_are_counted_and_left_out(tmp_path):
    rows = np.eye(4, dtype=np.float32)
    path = write(tmp_path / "a.h5", {"one": rows}, [0, 0, 1, -1], [""] * 4, kind="activations")
    (found,) = entries(path)
    assert (found["queries"], found["queries_without_relevant"]) == (2, 2)
    lonely = write(tmp_path / "b.h5", {"one": rows[:2]}, [0, 1], [""] * 2, kind="activations")
    with pytest.raises(BadInput, match=r"queries with relevant images\. Found: none, of 2"):
        entries(lonely)


def test_ukbench_by_hand(tmp_path):
    # four images of each of two objects; image 3 looks like the second object, image 4 like the first
    place = np.array([0.0, 0.1, 0.2, 1.1, 0.25, 1.2, 1.3, 1.4])
    rows = np.stack([np.cos(place), np.sin(place)], axis=1).astype(np.float32)
    path = write(tmp_path / "a.h5", {"one": rows}, [0, 0, 0, 0, 1, 1, 1, 1], [""] * 8, kind="activations")
    # nearest to 0 are 1, 2, 4: with itself 3 of its group. To 3 5, 6, 7: 1. To 4 2, 1, 0: 1. To 5 3, 6, 7: 3
    (found,) = entries(path)
    assert found["ns_score"] == pytest.approx((3 + 3 + 3 + 1 + 1 + 3 + 3 + 3) / 8)


def test_groups_of_a_manifest(tmp_path, task):
    rows, labels, _ = task
    path = write(tmp_path / "a.h5", {"one": rows}, [0] * 120, [""] * 120, kind="activations")
    manifest = tmp_path / "m.csv"
    lines = [f"{number}.png,g{label},{'even' if number % 2 == 0 else 'odd'}" for number, label in enumerate(labels)]
    manifest.write_text("\n".join(["path,group,half", *lines, "more.png,g9,odd"]))
    (found,) = entries(path, relevant="group", manifest=manifest, by="half")
    (expected,) = entries(write(tmp_path / "b.h5", {"one": rows}, labels, [""] * 120, kind="activations"))
    assert found[TRAPEZOIDAL] == expected[TRAPEZOIDAL]
    halves = found["by"]
    assert halves["even"]["queries"] == halves["odd"]["queries"] == 60
    assert np.mean([half[TRAPEZOIDAL] for half in halves.values()]) == pytest.approx(found[TRAPEZOIDAL])
    manifest.write_text("path,group\n0.png,a\n")
    with pytest.raises(BadInput, match=r"should have all images of the features, by their paths. Found: no 1\.png"):
        entries(path, relevant="group", manifest=manifest)


def test_columns_that_are_not_there_are_named_by_their_option(tmp_path, activations):
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,group,split\n" + "".join(f"{number}.png,a,test\n" for number in range(120)))
    for options, message in (
        ({"by": "split"}, "--by should name a column of yours, or label. Found: split, which has its own meaning."),
        ({"by": "kind"}, f"{manifest} should have the column kind that --by names. Found: 'group', 'path', 'split'."),
        ({"relevant": "kin"}, f"{manifest} should have the column kin that --relevant names. Found: 'group', 'path'"),
    ):
        with pytest.raises(BadInput) as error:
            entries(activations, manifest=manifest, **options)
        assert str(error.value).startswith(message)


def oxford(tmp_path, **changed):
    """Six images on a line from the query: 1 easy, 2 junk, 3 hard, 4 nothing, 5 easy."""
    angle = np.arange(6) / 10
    rows = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    path = write(tmp_path / "a.h5", {"one": rows}, [-1] * 6, [""] * 6, kind="activations")
    gnd = {"imlist": [f"{n}.png" for n in range(1, 6)], "qimlist": ["0"],
           "gnd": [{"bbx": [0, 0, 1, 1], "easy": [0, 4], "hard": [2], "junk": [1]}]} | changed  # fmt: skip
    truth = tmp_path / "gnd.json"
    truth.write_text(json.dumps(gnd))
    return path, truth


def test_the_three_set_ups_of_revisited_oxford_by_hand(tmp_path):
    path, truth = oxford(tmp_path)
    found = {entry["setup"]: entry for entry in entries(path, truth=truth)}
    # easy: + (junk) (junk) - + -> ranks 1 and 3
    assert found["easy"][TRAPEZOIDAL] == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    # medium: + (junk) + - + -> 1, 2, 4
    assert found["medium"][TRAPEZOIDAL] == pytest.approx((1 + 1 + (2 / 3 + 3 / 4) / 2) / 3)
    # hard: the easy ones are junk, so + -
    assert found["hard"][TRAPEZOIDAL] == 1
    assert found["easy"]["precision_at_5"] == pytest.approx(2 / 3)  # of the three ranks up to the last relevant one


def test_the_first_oxford_has_no_hard_images(tmp_path):
    """Set-ups without relevant images are left out, as long as there is another."""
    path, truth = oxford(tmp_path, gnd=[{"ok": [0, 4], "junk": [1, 2]}])
    easy, medium = entries(path, truth=truth)
    assert (easy["setup"], medium["setup"]) == ("easy", "medium")
    assert easy[TRAPEZOIDAL] == medium[TRAPEZOIDAL] == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    path, truth = oxford(tmp_path, gnd=[{"ok": [], "junk": [1, 2]}])
    with pytest.raises(BadInput, match=r"queries with relevant images\. Found: none, of 1"):
        entries(path, truth=truth)


def test_ground_truths_that_cannot_be_used_are_refused(tmp_path):
    path, truth = oxford(tmp_path, gnd=[{"easy": [5], "hard": [], "junk": []}])
    with pytest.raises(WrongFile, match=r"gnd\[0\].easy should be a list of numbers of imlist, below 5"):
        entries(path, truth=truth)
    path, truth = oxford(tmp_path, qimlist=["nobody"])
    with pytest.raises(BadInput, match=r"queries should be among the images of the features\. Found: none for nobody"):
        entries(path, truth=truth)
    path, truth = oxford(tmp_path, imlist=[], qimlist=[], gnd=[])
    with pytest.raises(WrongFile, match="Found: 0 images and 0 queries"):
        entries(path, truth=truth)
    truth.write_bytes(pickle.dumps({"gnd": []}))
    with pytest.raises(WrongFile, match=r"Found: a pickle. A pickle may run code as it is read"):
        entries(path, truth=truth)


def test_query_expansion_by_hand(activations, task):
    rows, labels, splits = task
    train, test = splits == "train", splits == "test"
    unit = normalize(rows.astype(float))
    similar = unit[test] @ unit[train].T
    nearest = np.argsort(-similar, axis=1, kind="stable")[:, :3]
    weights = np.maximum(np.take_along_axis(similar, nearest, axis=1), 0) ** 2
    wider = unit[test] + (weights[:, :, None] * unit[train][nearest]).sum(axis=1)
    expected = mean_average_precision(normalize(wider) @ unit[train].T, labels[test], labels[train])
    (found,) = entries(activations, queries="test", among="train", expand=3, power=2.0)
    assert found[RECTANGULAR] == pytest.approx(expected, abs=1e-6)


def test_a_database_that_is_augmented_by_hand(activations, task):
    rows, labels, splits = task
    train, test = splits == "train", splits == "test"
    unit = normalize(rows.astype(float))
    similar = unit[train] @ unit[train].T
    np.fill_diagonal(similar, -2)
    nearest = np.argsort(-similar, axis=1, kind="stable")[:, :2]
    # weighed: else three that are each other's nearest become one vector, and equal distances rank by place
    weights = np.maximum(np.take_along_axis(similar, nearest, axis=1), 0)
    wider = normalize(unit[train] + (weights[:, :, None] * unit[train][nearest]).sum(axis=1))
    expected = mean_average_precision(unit[test] @ wider.T, labels[test], labels[train])
    (found,) = entries(activations, queries="test", among="train", augment=2, power=1.0)
    assert found[RECTANGULAR] == pytest.approx(expected, abs=1e-6)


def test_regions_of_a_picture_are_compared_as_one(tmp_path):
    generator = np.random.default_rng(5)
    rows = generator.normal(size=(24, 6)).astype(np.float32)
    pictures = [f"{'abcdefgh'[number % 8]}.png" for number in range(24)]  # not side by side
    paths = [f"{picture}#{number},0,{number + 1},5" for number, picture in enumerate(pictures)]
    images = table(24, paths=paths, label=np.arange(24, dtype=np.int32) % 8 // 4)
    path = write_features(tmp_path / "a.h5", {"one": rows}, images)
    apart = 1 - cosine_similarity(rows.astype(float))
    whole = np.array(
        [[np.mean([apart[a][b::8].min() for a in range(one, 24, 8)]) for b in range(8)] for one in range(8)]
    )
    labels = np.arange(8, dtype=np.int32) // 4
    expected = [
        average_precision_score(np.delete(labels, one) == labels[one], -np.delete(whole[one], one)) for one in range(8)
    ]
    (found,) = entries(path, regions=True)
    assert found[RECTANGULAR] == pytest.approx(np.mean(expected), abs=1e-9)
    assert found["database"] == 8
    (every,) = entries(path, regions=True, rerank=100)
    assert every[RECTANGULAR] == pytest.approx(np.mean(expected), abs=1e-9)
    (few,) = entries(path, regions=True, rerank=1)
    (first,) = entries(write_features(tmp_path / "b.h5", {"one": rows[:8]}, table(8, label=labels)))
    assert few[RECTANGULAR] == pytest.approx(first[RECTANGULAR], abs=1e-9)


def test_results_do_not_depend_on_the_memory(activations):
    plain = entries(activations, each_layer=True, expand=2)
    assert entries(activations, each_layer=True, expand=2, memory=8 << 20) == plain  # 64 queries at a time


def test_regions_that_are_compared_again_count_as_memory(tmp_path):
    rows = np.random.default_rng(0).normal(size=(1000, 200)).astype(np.float32)
    images = table(1000, paths=[f"{number // 4}.png#{number},0,{number + 1},5" for number in range(1000)])
    path = write_features(tmp_path / "a.h5", {"one": rows}, images)
    entries(path, regions=True, rerank=1, memory=50 << 20)
    with pytest.raises(DoesNotFit, match="The distances of a query to 250 images"):
        entries(path, regions=True, rerank=250, memory=50 << 20)


def test_what_does_not_fit_is_refused(activations):
    with pytest.raises(DoesNotFit, match="The distances of a query to 120 images"):
        entries(activations, memory=1000)


def test_a_file_for_every_query_and_results_that_are_up_to_date(tmp_path, activations):
    results, lines = tmp_path / "r.json", tmp_path / "q.csv"
    done = measure(activations, results, per_query=lines, queries="test", among="train")
    content, written = results.read_bytes(), lines.read_text()
    with open(lines, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == done.results["results"][0]["queries"]
    mean = np.mean([float(row["average_precision_trapezoidal"]) for row in rows])
    assert mean == pytest.approx(done.results["results"][0][TRAPEZOIDAL])
    assert np.mean([int(row["nearest_is_relevant"]) for row in rows]) == done.results["results"][0]["precision_at_1"]
    again = measure(activations, results, per_query=lines, queries="test", among="train")
    assert again.up_to_date
    assert again.results == done.results
    with pytest.raises(DifferentOutput, match="among"):
        measure(activations, results, queries="test", among="test")
    measure(activations, results, per_query=lines, queries="test", among="train", overwrite=True)
    assert (results.read_bytes(), lines.read_text()) == (content, written)


def test_options_that_do_not_go_together_are_refused(tmp_path, activations, task):
    codes = write(tmp_path / "c.h5", {"one": codes_of(task[0])}, task[1], list(task[2]))
    for options, message in (
        ({"relevant": "group"}, "--relevant names a column of --manifest"),
        ({"by": "kind"}, "--by names a column of --manifest"),
        ({"manifest": tmp_path / "m.csv"}, "Give one of them"),
        ({"truth": tmp_path / "t.json", "relevant": "group"}, "--truth says what is relevant"),
        ({"power": 1.0}, "--power weighs the neighbours"),
        ({"rerank": 3}, "--rerank compares the regions"),
        ({"regions": True, "expand": 3}, "are for images of one vector"),
        ({"metric": "l1"}, "l1 is for ternary codes"),
        ({"expand": 2, "metric": "euclid"}, "Found: --metric euclid"),
    ):
        with pytest.raises(WrongOptions, match=message):
            entries(activations, **options)
    with pytest.raises(WrongOptions, match="Found: codes"):
        entries(codes, expand=2)
    with pytest.raises(BadInput, match="--queries val should choose at least one good image"):
        entries(activations, queries="val")
    with pytest.raises(BadInput, match=r"--truth .*no\.json should be JSON .* Found: No such file"):
        entries(activations, truth=tmp_path / "no.json")


def test_a_report_says_that_it_takes_other_results(tmp_path, activations, fne):
    results = tmp_path / "r.json"
    assert fne("retrieve", str(activations), str(results)).code == 0
    told = fne("report", str(results), str(tmp_path / "page.html"))
    assert told.code == 1
    assert "Found: kind 'retrieval'" in told.err
