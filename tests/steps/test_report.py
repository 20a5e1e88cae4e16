"""fne report: what is compared with what, what belongs to what, and when a page is made again."""

from __future__ import annotations

import base64
import contextlib
import copy
import csv
import importlib.util
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from real_files import small_files
from report_files import (
    HOSTILE,
    activations,
    curve,
    document,
    entry,
    experiment,
    fingerprint_of,
    layers_document,
    pair,
    photos,
    predictions,
    save,
)

from fne_cli.errors import BadInput, DifferentOutput, DoesNotFit, FneError, WrongFile, WrongOptions
from fne_cli.steps import report as module
from fne_cli.steps.report import report
from fne_cli.steps.report.classes import together
from fne_cli.steps.report.comparison import grouped
from fne_cli.steps.report.records import quoted
from fne_cli.steps.report.sources import gather
from fne_cli.steps.report.written.drawing import named
from fne_cli.store.other.drawings import Drawings
from fne_cli.store.other.results import read_results
from fne_cli.store.output.notes import record_path
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.sealed import with_digest

CLASSES = ["a", "b", "c"]


@pytest.fixture
def shown(monkeypatch):
    """The contents of the last page, in place of rendering them."""
    from fne_cli.figures import page

    found = {}

    def render(content, bad_counted, made):
        found.update(page=content, bad_counted=bad_counted)
        return b"a page"

    monkeypatch.setattr(page, "render", render)
    return found


def groups(*paths):
    return [group for group, _ in grouped(gather(paths).evaluated)]


def test_the_embedding_stands_beside_every_layer(tmp_path):
    (group,) = groups(*pair(tmp_path, CLASSES))
    assert [(row.name, row.whole, row.made) for row in group.rows] == [
        ("embedding", True, "ternary codes"), ("conv1", False, "L2-normalised"), ("conv2", False, "L2-normalised"),
    ]  # fmt: skip
    (verdict,) = group.verdicts
    embedding, layers = (json.loads(path.read_text())["results"] for path in pair(tmp_path, CLASSES))
    expected = embedding[0]["mean_per_class_accuracy"] - layers[1]["mean_per_class_accuracy"]
    assert (verdict.best.name, verdict.difference) == ("conv2", pytest.approx(expected))
    assert [view.row.name for view in group.views] == ["embedding", "conv2"]


def test_layers_stand_in_the_order_of_the_network(tmp_path):
    order = {"layers": ["z", "m", "a"]}
    rows = [entry(name, CLASSES) for name in ("a", "z")]
    (group,) = groups(save(tmp_path / "l.json", layers_document(rows, settings=order)))
    assert [row.name for row in group.rows] == ["z", "a"]


@pytest.mark.parametrize(
    "change",
    [
        {"images": {"training": 30, "test": 201, "bad": 0}},
        {"settings": {"protocol": {"cv": 5}}},
        {"settings": {"C": 0.001}},
        {"settings": {"C": [0.1, 1.0]}},
        {"made_from": {"weights_sha256": "0" * 64}},
        {"made_from": {"layers": {"conv1": "max"}}},
        {"sources": [{"kind": "split", "fingerprint": "1"}]},
    ],
)
def test_what_differs_is_not_compared(tmp_path, change):
    whole = save(tmp_path / "e.json", document([entry("embedding", CLASSES)]))
    other = save(tmp_path / "l.json", layers_document([entry("conv1", CLASSES)], **change))
    assert [group.verdicts for group in groups(whole, other)] == [[], []]
    third = save(tmp_path / "t.json", layers_document([entry("conv1", ["a", "b", "d"])]))
    assert len(groups(whole, third)) == 2


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ({"settings": {"C": 1, "seed": 3, "aggregate": "sum", "solver": "liblinear"}}, 1),
        ({"settings": {"aggregate": "sum"}, "made_from": {"crops": 10}}, 2),
        ({"settings": {"aggregate": "vote"}, "made_from": {"crops": 10}}, 1),
    ],
)
def test_settings_that_change_no_figure_part_nothing(tmp_path, change, count):
    crops = {"made_from": {"crops": change.get("made_from", {}).get("crops", 1)}}
    whole = save(tmp_path / "e.json", document([entry("embedding", CLASSES)], **crops))
    other = save(tmp_path / "l.json", layers_document([entry("conv1", CLASSES)], **change))
    assert len(groups(whole, other)) == count


def test_learning_curves_of_other_sizes_are_one_curve(tmp_path):
    paths = []
    for size in (1, 5):
        settings = {"protocol": {"per_class": [size], "draws": 2}}
        part = entry("embedding", CLASSES, training_images_per_class=size, trials=2)
        paths.append(save(tmp_path / f"{size}.json", document([part], settings=settings)))
    (group,) = groups(*paths)
    assert (group.sizes, len(group.rows)) == ([1, 5], 1)


def with_protocols(folder, protocols):
    """An experiment in which every protocol, (name, settings), has an embedding and single layers."""
    out = experiment(folder)
    content = json.loads((out / "results.json").read_text())
    cells = []
    for number, (name, said) in enumerate(protocols):
        whole = document([entry("embedding", CLASSES, 0.9, seed=number)], settings=said)
        layers = layers_document([entry("conv1", CLASSES, 0.5 - number / 10, seed=number)], settings=said)
        for embedding, found in (("fne", whole), ("layers", layers)):
            path = save(out / f"{embedding}.{name}.json", found)
            names = {"embedding": embedding, "protocol": name, "results": path.name, "predictions": None}
            cells.append(content["cells"][0] | names)
    (out / "results.json").write_text(json.dumps(with_digest(content | {"cells": cells})))
    return out


@pytest.mark.parametrize("other", [{"C": 1e-5}, {"solver": "liblinear"}])
def test_the_protocols_of_an_experiment_are_groups_with_names(tmp_path, other):
    out = with_protocols(tmp_path, [("vote", {"C": 1.0}), ("tiny", other)])
    found = groups(out)
    assert [group.protocol for group in found] == ["vote, given split", "tiny, given split"]
    assert [[row.title for row in group.rows] for group in found] == [["fne", "conv1"]] * 2
    for group, name in zip(found, ("vote", "tiny"), strict=True):
        parts = [json.loads((out / f"{part}.{name}.json").read_text())["results"][0] for part in ("fne", "layers")]
        values = [part["mean_per_class_accuracy"] for part in parts]
        (verdict,) = group.verdicts
        assert (verdict.value, verdict.best_value) == pytest.approx(values)
    assert next(iter(named(found))).startswith("things.net.avg.vote_given_split.")


def test_protocols_without_names_say_in_which_setting_they_differ(tmp_path):
    paths = [
        save(tmp_path / f"{number}.json", document([entry("embedding", CLASSES)], settings={"C": cost}))
        for number, cost in enumerate((1.0, 1e-5, [0.1, 1.0]))
    ]
    assert [group.protocol for group in groups(*paths)] == [
        "given split, C 1", "given split, C 1e-05", "given split, C 0.1, 1"]  # fmt: skip


def test_embeddings_of_one_name_in_several_experiments_are_told_apart(tmp_path):
    outs = [with_protocols(tmp_path / name, [("vote", {"solver": name})]) for name in ("one", "two", "three")]
    (group,) = groups(*outs)
    titles = [row.title for row in group.rows if row.whole]
    assert len(set(titles)) == 3 and all("fne" in title for title in titles)


def test_a_layer_of_the_name_embedding_is_a_layer(tmp_path):
    (group,) = groups(save(tmp_path / "l.json", layers_document([entry("embedding", CLASSES)])))
    assert not group.rows[0].whole


def test_files_from_before_parts_were_told_apart(tmp_path):
    old = {"parts": None, "embedding": "codes"}
    codes = {"sources": [{"kind": "codes", "fingerprint": "1"}]}
    whole = save(tmp_path / "e.json", document([entry("embedding", CLASSES)], settings=old, **codes))
    alone = save(tmp_path / "l.json", document([entry("conv1", CLASSES)], settings=old))
    (group,) = groups(whole, alone)
    assert [row.whole for row in group.rows] == [True, False]


def test_the_same_file_twice_counts_once_and_others_of_the_same_name_are_told_apart(tmp_path):
    whole = save(tmp_path / "e.json", document([entry("embedding", CLASSES, 0.9)]))
    other = save(tmp_path / "f.json", document([entry("embedding", CLASSES, 0.5)]))
    (group,) = groups(whole, whole, other)
    assert [row.made for row in group.rows] == ["ternary codes", "ternary codes, f.json"]
    assert [row.title for row in group.rows] == ["embedding (ternary codes)", "embedding (ternary codes, f.json)"]


def test_a_learning_curve_has_a_verdict_at_every_size(tmp_path):
    (group,) = groups(*curve(tmp_path, CLASSES))
    assert group.sizes == [1, 5, 10]
    assert [np.sign(verdict.difference) for verdict in group.verdicts] == [-1, 1, 1]
    assert all(verdict.side == "quiet" for verdict in group.verdicts)  # nobody knows which images are right
    assert dict(group.facts)["training images per class"] == "1, 5, 10"


def test_a_curve_beside_all_training_images_is_not_shown_class_by_class(tmp_path):
    split, learning = groups(*pair(tmp_path, CLASSES), *curve(tmp_path, CLASSES))
    assert (len(split.views), len(learning.views), learning.confusion) == (2, 0, None)
    (alone,) = groups(*curve(tmp_path, CLASSES))
    assert len(alone.views) == 2 and alone.confusion is not None


def test_values_that_differ_say_of_which_embedding_they_are(tmp_path):
    out = experiment(tmp_path)
    content = json.loads((out / "results.json").read_text())
    cells = []
    for name, low in (("fne", -0.25), ("fne-data", -0.5), ("fne-too", -0.25)):
        found = document([entry("embedding", CLASSES, seed=len(cells))], settings={"thresholds": [low, 0.15]})
        path = save(out / f"{name}.json", found)
        cells.append(content["cells"][0] | {"embedding": name, "results": path.name, "predictions": None})
    (out / "results.json").write_text(json.dumps(with_digest(content | {"cells": cells})))
    (group,) = groups(out)
    facts = dict(group.facts)
    assert facts["thresholds"] == "fne, fne-too: -0.25, 0.15; fne-data: -0.5, 0.15"
    assert (facts["C"], facts["solver"]) == ("1", "certified")
    (group,) = groups(out / "fne.json", out / "fne-data.json")
    assert dict(group.facts)["thresholds"] == "fne.json: -0.25, 0.15; fne-data.json: -0.5, 0.15"


def test_several_splits_are_one_row(tmp_path):
    paths = [save(tmp_path / f"{n}.json", document([entry("embedding", CLASSES, n / 10, seed=n)])) for n in (5, 7, 9)]
    entries = [read_results(path).entries[0] for path in paths]
    found = together(entries)
    values = [one.figures["accuracy"] for one in entries]
    assert found.figures["accuracy"] == pytest.approx(np.mean(values))
    assert found.spreads["accuracy"] == pytest.approx(np.std(values, ddof=1))
    assert found.trials == 3
    np.testing.assert_array_equal(found.confusion, sum(one.confusion for one in entries))
    assert [one.test for one in found.each_class] == [60, 60, 60]


@pytest.mark.parametrize("lost", [0, 1])
def test_the_splits_of_a_protocol_are_one_group(tmp_path, lost):
    out = experiment(tmp_path)
    content = json.loads((out / "results.json").read_text())
    cells = []
    for number, right in ((1, 0.5), (2, 0.9)):
        found = document(
            [entry("embedding", CLASSES, right, seed=number)],
            sources=[{"kind": "split", "fingerprint": str(number)}], images={"training": 30 + number, "test": 200},
        )  # fmt: skip
        path = save(out / f"{number}.json", found)
        names = {"embedding": "fne", "protocol": f"official-{number}", "results": path.name, "predictions": None}
        cells.append(content["cells"][0] | names)
    for number in range(3, 3 + lost):
        failed = {"embedding": "fne", "protocol": f"official-{number}", "results": None, "error": "full disk"}
        cells.append(content["cells"][0] | failed)
    row = {"protocol": "official", "splits": 2} | ({"splits_missing": lost} if lost else {})
    content |= {"cells": cells, "results": [row]}
    (out / "results.json").write_text(json.dumps(with_digest(content)))
    (group,) = groups(out)
    ((row,), (size,)) = group.rows, group.sizes
    values = [json.loads((out / f"{n}.json").read_text())["results"][0]["accuracy"] for n in (1, 2)]
    assert (row.name, group.protocol) == ("fne", f"official, {2 + lost} splits")
    assert row.title == ("fne (2 of 3 splits)" if lost else "fne")
    assert dict(group.facts)["training images"] == "official-1: 31; official-2: 32"
    assert row.points[size].figures["accuracy"] == pytest.approx(np.mean(values))
    assert row.points[size].spreads["accuracy"] == pytest.approx(np.std(values, ddof=1))


def test_confused_classes_stand_side_by_side(tmp_path):
    classes = [f"c{number}" for number in range(8)]
    confusion = np.diag([20] * 8)
    confusion[0, 6] = confusion[6, 0] = 9
    confusion[3, 1] = 4
    whole = entry("embedding", classes) | {"confusion": confusion.tolist()}
    (group,) = groups(save(tmp_path / "e.json", document([whole])))
    order = list(group.confusion.alike)
    assert sorted(order) == list(range(8))
    assert abs(order.index(0) - order.index(6)) == abs(order.index(3) - order.index(1)) == 1
    assert [pair[:3] for pair in group.confusion.pairs] == [(0, 6, 9), (6, 0, 9), (3, 1, 4)]
    assert group.confusion.pairs[2][3] == pytest.approx(4 / 24)


def test_of_a_thousand_classes_the_most_confused_are_shown(tmp_path):
    classes = [f"c{number}" for number in range(300)]
    confusion = np.diag([20] * 300)
    confusion[7, 250] = 3
    whole = entry("embedding", classes) | {"confusion": confusion.tolist()}
    (group,) = groups(save(tmp_path / "e.json", document([whole])))
    assert len(group.confusion.chosen) == 120 == len(set(group.confusion.alike))
    assert {7, 250} <= set(group.confusion.chosen) and group.confusion.pairs[0][:2] == (7, 250)


@pytest.mark.slow
def test_many_classes_and_layers_have_figures(tmp_path):
    from fne_cli.figures.drawn import results as figures

    classes = [f"c{number}" for number in range(130)]
    (group,) = groups(*pair(tmp_path, classes, [f"layer{number}" for number in range(70)]))
    for draw in (figures.by_class, figures.by_layer):
        draw(tmp_path / "f.png", tmp_path / "f.svg", tmp_path / "f.pdf", group)
        width, height = Image.open(tmp_path / "f.png").size
        assert 1000 < height < 2000 and width == 1400


def test_the_most_confidently_wrong_images(tmp_path, shown):
    whole, layers = pair(tmp_path, CLASSES)
    names = [f"test/{number}.png" for number in range(4)]
    said = predictions(
        tmp_path / "p.csv", whole,
        [(names[0], "a", "b", [0, 1, -1]), (names[1], "a", "c", [-1, 0, 2]), (names[2], "a", "a", [1, 0, 0]),
         (names[3], "b", "c", [0, -np.inf, 1])],
    )  # fmt: skip
    photos(tmp_path / "photos", names)
    report([whole, layers], tmp_path / "p.html", predictions=[said], images=str(tmp_path / "photos"))
    (group,) = shown["page"].groups
    assert [(wrong.path, wrong.said, wrong.margin) for wrong in group.wrong] == [(names[1], "c", 3), (names[0], "b", 1)]
    picture = Image.open(io.BytesIO(group.wrong[0].image))
    assert (picture.format, picture.size) == ("JPEG", (128, 128))


def test_of_several_labels_the_worst_class_counts_and_ignored_ones_do_not(tmp_path, shown):
    figures = {"mean_average_precision": 0.5, "accuracy": None, "mean_per_class_accuracy": None, "confusion": None}
    parts = [{"class": name, "average_precision": 0.5, "training_images": 1, "test_images": 1} for name in CLASSES]
    digests = photos(tmp_path / "photos", ["0.png", "1.png", "2.png"])
    from activations import table
    from activations import write as write_activations

    label = np.array([[1, 0, -1], [0, 1, 0], [1, 1, 0]], np.int8)
    images = table(3, paths=list(digests), classes=CLASSES, label=label)
    images.sha256 = list(digests.values())
    source = write_activations(tmp_path / "a.h5", {"conv1": np.zeros((3, 2), np.float32)}, images)
    sources = [{"kind": "activations", "fingerprint": fingerprint_of(source)}]
    content = document([entry("embedding", CLASSES) | figures | {"per_class": parts}], sources=sources)
    whole = save(tmp_path / "e.json", content)
    said = predictions(
        tmp_path / "p.csv", whole,
        [("0.png", "a", "a", [1, -1, 9]), ("1.png", "b", "a;b", [2, 1, -1]), ("2.png", "a;b", "a", [1, -3, -1])],
    )  # fmt: skip
    report([whole], tmp_path / "p.html", predictions=[said], activations=[source])
    (group,) = shown["page"].groups
    assert [(wrong.path, wrong.said, wrong.margin) for wrong in group.wrong] == [
        ("2.png", "not b", 3), ("1.png", "a", 2)]  # fmt: skip
    assert group.confusion is None and group.figure == "mean_average_precision"


def test_an_experiment_finds_everything_by_itself(tmp_path, shown, monkeypatch):
    out = experiment(tmp_path)
    monkeypatch.chdir(tmp_path)
    report([out], tmp_path / "p.html")
    page = shown["page"]
    (group,) = page.groups
    assert (page.title, group.dataset, group.network, group.pooling) == ("an experiment", "things", "net", "avg")
    assert [(wrong.path, wrong.image is None) for wrong in group.wrong] == [
        ("test/a/2.png", False), ("test/a/0.png", False)]  # fmt: skip
    assert [(bad.path, bad.status, bad.message) for bad in page.bad] == [("test/a/3.png", "empty", "not an image")]
    assert page.failed == [("things, net, avg, raw, split", "the disk <b>is</b> full")]
    assert [(timing.output, timing.images) for timing in page.timings] == [
        ("out/things/net.avg/activations.h5", 4), ("out/things/net.avg/fne.split.json", 0),
        ("out/things/net.avg/layers.split.json", 0)]  # fmt: skip
    assert page.commands == ["fne extract photos out/things/net.avg/activations.h5", "fne evaluate 'a b'"]


def test_an_experiment_whose_images_are_elsewhere_says_so(tmp_path, shown, monkeypatch):
    out = experiment(tmp_path)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    report([out], tmp_path / "p.html")
    (group,) = shown["page"].groups
    assert [wrong.image for wrong in group.wrong] == [None, None]
    assert re.search(r"photos .*no such file.* --images says where they are", group.notes[0])
    report([out], tmp_path / "p.html", images=str(tmp_path / "photos"), overwrite=True)
    assert all(wrong.image for wrong in shown["page"].groups[0].wrong)


def test_of_several_datasets_one_may_have_moved(tmp_path, shown, monkeypatch):
    out = experiment(tmp_path)
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "others", ["elsewhere.png"])
    report([out], tmp_path / "p.html", images=str(tmp_path / "others"))
    assert all(wrong.image for wrong in shown["page"].groups[0].wrong)


def test_an_experiment_shows_no_image_that_it_does_not_know(tmp_path, shown, monkeypatch):
    out = experiment(tmp_path)
    photos(tmp_path / "photos", ["test/a/1.png", "test/a/0.png", "test/a/2.png"])  # other bytes: a stranger's pictures
    monkeypatch.chdir(tmp_path)
    report([out], tmp_path / "p.html")
    images = {wrong.path: (wrong.image is None, wrong.why) for wrong in shown["page"].groups[0].wrong}
    assert images["test/a/0.png"] == (True, "changed since")
    (out / "things/net.avg/activations.h5").unlink()
    report([out], tmp_path / "p.html", overwrite=True)
    page = shown["page"]
    assert all(wrong.image is None for wrong in page.groups[0].wrong)
    assert "--activations names a good copy" in page.notes[0] and not page.bad_known


def test_a_cell_that_cannot_be_read_has_failed(tmp_path, shown):
    out = experiment(tmp_path)
    (out / "things/net.avg/layers.split.json").write_text("{")
    report([out], tmp_path / "p.html")
    assert [cell.split(", ")[3] for cell, _ in shown["page"].failed] == ["layers", "raw"]
    (out / "things/net.avg/fne.split.json").unlink()
    with pytest.raises(BadInput, match=r"should have results to show. Found: none. things, net"):
        report([out], tmp_path / "other.html")


def test_commands_are_those_of_the_records_as_a_shell_takes_them(tmp_path, shown):
    whole = save(
        tmp_path / "e.json", document([entry("embedding", CLASSES)]),
        ["/x/fne_cli/__main__.py", "evaluate", "a b.h5", "it's", "new\nline\u202e"],
    )  # fmt: skip
    report([whole], tmp_path / "p.html")
    (line,) = shown["page"].commands
    assert line == "fne evaluate 'a b.h5' 'it'\"'\"'s' $'new\\x0aline\\xe2\\x80\\xae'"
    assert shown["page"].timings[0].seconds == 1.5


@pytest.mark.parametrize("word", ["plain", "it's", "$HOME `x` \\", "\x1b]0;a'b\\\x07", "é\u202e\n", "\udcff.png"])
def test_a_quoted_word_is_the_word(word):
    said = subprocess.run(["bash", "-c", f"printf %s {quoted(word)}"], capture_output=True, check=True).stdout
    assert said == word.encode("utf-8", "surrogateescape")


def test_records_that_are_no_records(tmp_path, shown):
    whole = save(tmp_path / "e.json", document([entry("embedding", CLASSES)]))
    runs = [3, {"seconds": "x", "images": -1, "device": [], "command": [1], "software": [], "started": {}}]
    record_path(whole).write_text(json.dumps({"runs": runs}))
    report([whole], tmp_path / "p.html")
    assert (shown["page"].commands, shown["page"].timings[0].seconds) == ([], 0.0)


def test_only_files_without_times_are_said_to_have_none(tmp_path, monkeypatch):
    out = experiment(tmp_path)
    home = out / "things" / "net.avg"
    for name in ("moments.h5", "codes-fne.h5"):
        (home / name).write_bytes(b"")
    record_path(home / "codes-fne.h5").write_text('{"runs": [{"seconds": 3.5}]}')
    monkeypatch.chdir(tmp_path)
    report([out], tmp_path / "p.html")
    said = re.search(r'<p class="caption">Times are (.*?)</p>', (tmp_path / "p.html").read_text(), re.S)[1]
    assert re.sub("<.*?>", "", said).endswith(
        "beside the files. out/things/net.avg/moments.h5 has none, so the time that it took is not here."
    )
    record_path(home / "moments.h5").write_text('{"runs": [{"seconds": 4.5}]}')
    report([out], tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    assert "4.5" in text and "is not here" not in text


def test_files_that_belong_to_no_results(tmp_path):
    whole, layers = pair(tmp_path, CLASSES)
    said = predictions(tmp_path / "p.csv", whole, [("x.png", "a", "b", [0, 1, 2])])
    with pytest.raises(WrongFile, match="Found: those of another evaluation"):
        report([layers], tmp_path / "p.html", predictions=[said])
    record_path(said).unlink()
    with pytest.raises(WrongFile, match=r"Found: no record p.csv.run.json beside it"):
        report([whole], tmp_path / "p.html", predictions=[said])
    with pytest.raises(BadInput, match="no such file"):
        report([whole], tmp_path / "p.html", predictions=[tmp_path / "none.csv"])
    source = activations(tmp_path / "a.h5", {"0.png": ""}, CLASSES)
    with pytest.raises(WrongFile, match="should be the file that some of the results were made from"):
        report([whole], tmp_path / "p.html", activations=[source])
    with pytest.raises(BadInput, match="--root says where"):
        report([whole], tmp_path / "p.html", root="x")
    assert not (tmp_path / "p.html").exists()


def test_images_that_are_not_those_of_the_results(tmp_path):
    whole, _ = pair(tmp_path, CLASSES)
    said = predictions(tmp_path / "p.csv", whole, [("x.png", "a", "b", [0, 1, 2])])
    with pytest.raises(BadInput, match=r"Found: x.png missing in"):
        report([whole], tmp_path / "p.html", predictions=[said], images=str(tmp_path))


def test_the_command_makes_a_page_once(fne, tmp_path):
    paths = pair(tmp_path, CLASSES)
    page, figures = tmp_path / "page.html", tmp_path / "new" / "figures"
    result = fne("report", *paths, page, "--figures", figures)
    assert (result.code, result.out, result.err) == (0, "", f"{page}; figures in {figures}\n")
    kinds = ("across.features", *(f"net.avg.{kind}" for kind in ("by_layer", "confusion", "by_class")))
    names = {f"{kind}.{ending}" for kind in kinds for ending in ("png", "svg", "pdf")}
    assert {path.name for path in figures.iterdir()} == {*names, "report.run.json"}
    first, states = page.read_bytes(), {path: path.stat().st_mtime_ns for path in [page, *figures.iterdir()]}
    again = fne("report", *paths, page, "--figures", figures)
    assert "page.html is up to date" in again.err
    assert states == {path: path.stat().st_mtime_ns for path in states}
    assert fne("report", *paths, page, "--figures", figures, "--overwrite").code == 0
    assert page.read_bytes() == first
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("room", [10, 200])
def test_a_disk_without_room_for_the_record_of_figures(tmp_path, room):
    """The first is full at once, the second when the figures are there."""
    drawings = Drawings(tmp_path, "report", ["one", "two"], "ab" * 32, Origin("page", {}, []))
    with pytest.raises(DoesNotFit, match=r"is full. report.run.json .*\nMake room"), small_files(room), drawings:
        assert room > 10
        (tmp_path / "one.png").write_text("a picture")


def test_other_pages_and_figures_are_not_replaced_unasked(fne, tmp_path, shown):
    whole, layers = pair(tmp_path, CLASSES)
    page = tmp_path / "page.html"
    report([whole], page)
    again = fne("report", whole, layers, page)
    assert (again.code, "page.html is made again, as its inputs have changed" in again.err) == (0, True)
    with pytest.raises(DifferentOutput, match=r"settings\.title: nothing in the existing output, .other. asked for"):
        report([whole, layers], page, title="other")
    with pytest.raises(DifferentOutput, match=r"results: embedding\.json, .* in the existing output, copy\.json asked"):
        report([Path(shutil.copy(whole, tmp_path / "copy.json"))], page)
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "net.avg.by_class.svg").write_text("mine")
    with pytest.raises(DifferentOutput, match=re.escape("net.avg.by_class.svg")):
        report([whole, layers], page, figures=folder)


def test_other_times_make_the_page_again_unasked(fne, tmp_path):
    whole, layers = pair(tmp_path, CLASSES)
    page, figures = tmp_path / "page.html", tmp_path / "figures"
    report([whole, layers], page, figures=figures)
    states = {path: path.stat().st_mtime_ns for path in figures.iterdir()}
    record = json.loads(record_path(whole).read_text())
    record["runs"][0] |= {"seconds": 77.25, "command": ["fne", "evaluate", "again"]}
    record_path(whole).write_text(json.dumps(record))
    result = fne("report", whole, layers, page, "--figures", figures)
    assert (result.code, "up to date" in result.err) == (0, False)
    assert "77.2" in page.read_text() and "fne evaluate again" in page.read_text()
    assert states == {path: path.stat().st_mtime_ns for path in states}
    assert "up to date" in fne("report", whole, layers, page, "--figures", figures).err
    page.write_text(page.read_text() + "mine")
    record["runs"][0]["seconds"] = 1.0
    record_path(whole).write_text(json.dumps(record))
    assert fne("report", whole, layers, page).code == 4


@pytest.mark.parametrize("content", ["mine", "{}", "<!DOCTYPE html>\n<title>mine</title>"])
def test_what_is_no_page_of_ours_is_never_replaced(fne, tmp_path, content):
    whole, _ = pair(tmp_path, CLASSES)
    page = tmp_path / "page.html"
    page.write_text(content)
    for more in ([], ["--overwrite"]):
        result = fne("report", whole, page, *more)
        assert (result.code, page.read_text()) == (4, content)
        assert "not a page of fne report" in result.err and "--overwrite" not in result.err


def test_a_page_of_ours_without_its_record_is_replaced_when_asked(tmp_path):
    whole, layers = pair(tmp_path, CLASSES)
    page = tmp_path / "page.html"
    report([whole], page)
    record_path(page).unlink()
    with pytest.raises(DifferentOutput, match="give --overwrite"):
        report([whole, layers], page)
    assert not report([whole, layers], page, overwrite=True).up_to_date
    assert "conv2" in page.read_text()


def test_a_page_that_was_left_out_replaces_no_results(fne, tmp_path):
    whole, layers = pair(tmp_path, CLASSES)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for last in (layers, tmp_path / "none.json", tmp_path):
        result = fne("report", whole, last, "--overwrite")
        assert result.code == 2
        assert "PAGE, the last argument, should be a file to write that ends in .html" in result.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(BadInput, match="is an input of this command"):
        said = predictions(tmp_path / "p.htm", whole, [("x.png", "a", "b", [0, 1, 2])])
        report([whole], said, predictions=[said])


def test_a_single_argument_is_named_by_what_it_lacks(fne, tmp_path):
    for name, missing in (("results", "PAGE"), ("r.json", "PAGE"), ("page.html", "RESULTS...")):
        result = fne("report", tmp_path / name)
        assert (result.code, f"Missing argument '{missing}'" in result.err) == (2, True)
    assert "'PAGE'" in fne("report").err


def test_a_folder_is_no_page(fne, tmp_path):
    whole, _ = pair(tmp_path, CLASSES)
    (tmp_path / "page.html").mkdir()
    result = fne("report", whole, tmp_path / "page.html")
    assert (result.code, "Found: a folder" in result.err, "--overwrite" in result.err) == (1, True, False)


def test_a_page_that_cannot_be_rendered_leaves_nothing(tmp_path, monkeypatch):
    from fne_cli.figures import page

    def stops(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "render", stops)
    with pytest.raises(KeyboardInterrupt):
        report(pair(tmp_path, CLASSES), tmp_path / "page.html")
    assert not list(tmp_path.glob("page*"))


@pytest.mark.parametrize(("missing", "package"), [("jinja2", "Jinja2"), ("vl_convert", "vl-convert-python")])
def test_without_the_extra(fne, tmp_path, monkeypatch, missing, package):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name, *more: None if name == missing else real(name, *more)
    )
    result = fne("report", *pair(tmp_path, CLASSES), tmp_path / "page.html")
    assert result.code == 1
    assert result.err == f"fne: fne report needs {package}, which is not installed. pip install 'fne-cli[report]'\n"


def test_what_a_real_evaluation_leaves(fne, tmp_path):
    from evaluation_files import noisy, write

    rows, labels, splits = noisy()
    source = write(tmp_path / "a.h5", {"conv": rows.astype(np.float32), "fc": -rows.astype(np.float32)}, labels, splits,
                   kind="activations", bad=(7,))  # fmt: skip
    whole, said, layers = tmp_path / "e.json", tmp_path / "p.csv", tmp_path / "l.json"
    assert fne("evaluate", source, whole, "--embedding", "fne", "--predictions", said).code == 0
    assert fne("evaluate", source, layers).code == 0
    page = tmp_path / "page.html"
    result = fne("report", whole, layers, page, "--predictions", said, "--activations", source)
    assert (result.code, result.err) == (0, f"{page}\n")
    text = page.read_text()
    with open(said, newline="") as file:
        wrong = next(line for line in csv.DictReader(file) if line["truth"] != line["prediction"])
    assert wrong["path"] in text and "7.png" in text and "damaged" in text
    accuracy = json.loads(whole.read_text())["results"][0]["mean_per_class_accuracy"]
    assert f"<b>{100 * accuracy:.2f} %</b>" in text


def test_each_of_several_files_behind_results_tells_of_its_images(tmp_path, shown):
    from activations import shards, table, write
    from evaluation_files import evaluate

    values = np.random.default_rng(0)
    split, label = ["test" if number % 3 == 0 else "train" for number in range(40)], values.integers(0, 2, 40)
    rows = {"conv": (values.normal(0, 1, (40, 5)) + label[:, None]).astype(np.float32)}
    parts = shards(tmp_path, rows, table(40, split=split, label=label.astype(np.int32), bad=(4, 9)), 3)
    evaluate(parts, tmp_path / "e.json", embedding="fne")
    report([tmp_path / "e.json"], tmp_path / "p.html", activations=parts)
    assert [bad.path for bad in shown["page"].bad] == ["class/é9.png", "class/é4.png"]  # shard 1, shard 2
    elsewhere = {"network": "another"}
    other = write(
        tmp_path / "o.h5",
        rows,
        table(40, split=split),
        settings=elsewhere | {"shard": {"number": 1, "of": 2, "images": 80}},
    )
    with pytest.raises(WrongFile, match="should be the file that some of the results were made from"):
        report([tmp_path / "e.json"], tmp_path / "q.html", activations=[other])


def test_hostile_names_make_figures_and_pages_all_the_same(tmp_path):
    classes = [*HOSTILE[:-1], "a"]
    paths = [*pair(tmp_path, classes, HOSTILE[:-1]), *curve(tmp_path, classes)]
    done = report(paths, tmp_path / "page.html", figures=tmp_path / "figures", title=HOSTILE[0])
    assert done.page.stat().st_size < 3_000_000
    assert all(path.parent == tmp_path / "figures" for path in (tmp_path / "figures").iterdir())


def test_figures_of_several_protocols_are_named_by_them(tmp_path):
    split, learning = groups(*pair(tmp_path, CLASSES), *curve(tmp_path, CLASSES))
    names = named([learning, split])
    assert {"net.avg.learning_curve_5_draws.learning_curve", "net.avg.given_split.by_layer"} < set(names)
    assert set(named([split])) == {"net.avg.by_layer", "net.avg.confusion", "net.avg.by_class"}
    assert {"net.avg.given_split.1.by_layer", "net.avg.given_split.2.by_layer"} < set(named([split, split]))


@pytest.mark.slow
def test_figures_have_the_same_bytes(tmp_path):
    paths = [*pair(tmp_path, CLASSES), *curve(tmp_path, CLASSES)]
    for name in ("one", "two"):
        report(paths, tmp_path / f"{name}.html", figures=tmp_path / name)
    drawn = {path.name for path in (tmp_path / "one").glob("*.[ps][nv]g")}
    assert {"net.avg.learning_curve_5_draws.learning_curve.svg", "net.avg.given_split.by_layer.png"} < drawn
    for path in (tmp_path / "one").glob("*.[ps][nv]g"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_thumbnail_is_in_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report([experiment(tmp_path)], tmp_path / "p.html")
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', (tmp_path / "p.html").read_text())
    assert [Image.open(io.BytesIO(base64.b64decode(image))).size for image in images] == [(128, 128)] * 2


def _places(value, path=()):
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _places(child, (*path, key))


JUNK = st.sampled_from(
    [None, True, -1, 0, 0.5, 1e300, 1 << 70, "", "x\ud800", [], {}, [[None]], {"": None}, "cv", "r.json"]
)


def _spoil(data, path):
    """Replace up to three values of a JSON file."""
    content = json.loads(path.read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        chosen = data.draw(st.sampled_from([place for place in _places(content) if place and len(place) < 5]))
        place = content
        for key in chosen[:-1]:
            place = place[key]
        place[chosen[-1]] = copy.deepcopy(data.draw(JUNK))  # its lists must not come to hold themselves
    with contextlib.suppress(ValueError, TypeError):
        content = with_digest(content)  # what it claims is to be met, not that it has changed
    path.write_text(json.dumps(content))


@pytest.mark.slow
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["embedding.json", "layers.json", "curve.json", "embedding.json.run.json"]))
def test_no_junk_is_a_traceback(tmp_path, data, name):
    paths = [*pair(tmp_path, CLASSES), *curve(tmp_path, CLASSES)]
    _spoil(data, tmp_path / name)
    with contextlib.suppress(FneError):
        report(paths, tmp_path / "p.html", overwrite=True)


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["results.json", "things/net.avg/fne.split.csv.run.json"]))
def test_no_junk_in_an_experiment_is_a_traceback(tmp_path, data, name):
    out = experiment(tmp_path)
    _spoil(data, out / name)
    with contextlib.suppress(FneError):
        report([out], tmp_path / "p.html", overwrite=True)


def test_errors_are_ours(fne, tmp_path):
    experiment = with_digest({"format": "fne", "version": 2, "kind": "experiment", "cells": [{}]})
    for content in ("", "{}", "[]", json.dumps(experiment)):
        (tmp_path / "r.json").write_text(content)
        result = fne("report", tmp_path / "r.json", tmp_path / "p.html")
        assert (result.code, result.err[:5], "r.json" in result.err) == (1, "fne: ", True)
    with pytest.raises(FneError):
        report([tmp_path], tmp_path / "p.html")


def varied_curve(folder):
    """A learning curve of which another layer is the best one at the largest size."""
    paths = curve(folder, CLASSES)
    content = json.loads(paths[1].read_text())
    for part in content["results"]:
        if part["training_images_per_class"] == 10:
            part["mean_per_class_accuracy"] = {"conv1": 0.99, "conv2": 0.6}[part["name"]]
    save(paths[1], content)
    return paths


def test_the_best_layer_is_that_of_each_size_everywhere(tmp_path):
    from fne_cli.figures.charted.charts import learning_curve

    paths = varied_curve(tmp_path)
    (group,) = groups(*paths)
    best = {verdict.size: verdict.best.name for verdict in group.verdicts}
    assert best == {1: "conv2", 5: "conv2", 10: "conv1"}
    assert {size: group.best_layer(size).name for size in group.sizes} == best
    report(paths, tmp_path / "p.html", csv=tmp_path / "p.csv", latex=tmp_path / "p.tex")
    text = re.sub(r"<[^>]+>", "", (tmp_path / "p.html").read_text())
    assert "That layer is conv2 at 1 and 5, conv1 at 10." in text
    assert "conv2 best layer at 1, 5" in text and "conv1 best layer at 10" in text
    chart = learning_curve(group)
    orange = [value["tip"] for value in chart["data"]["values"] if value["series"] == 1]
    assert [("conv2" in tip, "conv1" in tip) for tip in orange] == [(True, False), (True, False), (False, True)]
    with open(tmp_path / "p.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["images_per_class"]): row["name"] for row in rows if row["best_layer"]} == best
    assert "Best layer: conv2 (1, 5), conv1 (10)." in (tmp_path / "p.tex").read_text()


def test_embeddings_of_other_layers_say_which(tmp_path):
    few = {"layers": ["conv1"]}
    paths = [
        save(tmp_path / "a.json", document([entry("embedding", CLASSES)])),
        save(tmp_path / "b.json", document([entry("embedding", CLASSES, 0.5)], settings=few)),
    ]
    (group,) = groups(*paths)
    assert [row.title for row in group.rows] == [
        "embedding (ternary codes, 2 layers)", "embedding (ternary codes, 1 layer: conv1)",
    ]  # fmt: skip


def test_layers_of_several_groups_stand_in_one_table(tmp_path):
    paths = [*pair(tmp_path, CLASSES, ["conv0", "conv1", "conv2"]), *curve(tmp_path, CLASSES)]
    report(paths, tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    assert len(re.findall(r"<bdi>conv1</bdi></th>", text)) == 1  # the best layer, conv2, stands in its group, too
    (table,) = re.findall(r'<section id="layers".*?</section>', text, re.S)
    heads = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<th scope=\"col.*?</th>", table)]
    assert heads[:2] == ["avg, given split", "avg, learning curve, 5 draws"] and heads[-4:] == ["all", "1", "5", "10"]
    rows = re.findall(r"<tr><th scope=\"row\".*?</tr>", table, re.S)
    assert [re.search("<bdi>(.*?)</bdi>", row)[1] for row in rows] == ["conv0", "conv1", "conv2"]
    assert [row.count('class="first"') for row in rows] == [0, 0, 4]


def test_a_copied_page_is_known_by_what_it_holds(tmp_path, fne):
    paths = pair(tmp_path, CLASSES)
    page, copied = tmp_path / "page.html", tmp_path / "copy.html"
    report(paths, page)
    shutil.copyfile(page, copied)
    assert fne("report", *paths, copied).err == f"{copied} is up to date\n"
    assert json.loads(record_path(copied).read_text())["fingerprint"]
    record_path(copied).unlink()
    content = json.loads(paths[0].read_text())
    save(paths[0], content | {"results": [entry("embedding", CLASSES, 0.2)], "fingerprint": "9" * 64})
    again = fne("report", *paths, copied)
    assert again.err == f"{copied} is made again, as its results have changed\n{copied}\n"
    assert copied.read_bytes() != page.read_bytes()
    record_path(copied).unlink()
    with pytest.raises(DifferentOutput, match="is the copy of another page"):
        report(paths[:1], copied)
    text = copied.read_text().replace("ternary codes", "ternary  codes", 1)
    copied.write_text(text)
    with pytest.raises(DifferentOutput, match="is not the page of these results"):
        report(paths, copied)
    assert copied.read_text() == text


def test_figures_have_a_pdf_and_the_width_of_a_column(tmp_path, fne):
    paths = pair(tmp_path, CLASSES)
    out = tmp_path / "figures"
    assert fne("report", *paths, tmp_path / "p.html", "--figures", out, "--figure-width", "3.3").code == 0
    names = sorted(path.name for path in out.iterdir() if path.suffix == ".pdf")
    assert names == ["across.features.pdf", *(f"net.avg.{kind}.pdf" for kind in ("by_class", "by_layer", "confusion"))]
    for path in out.glob("*.pdf"):
        box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", path.read_bytes())
        assert float(box[1]) <= 3.3 * 72 + 0.1 and b"/Type3" not in path.read_bytes()
    first = {path.name: path.read_bytes() for path in out.glob("*.pdf")}
    report(paths, tmp_path / "q.html", figures=tmp_path / "again", figure_width=3.3)
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").glob("*.pdf")} == first
    with pytest.raises(DifferentOutput, match="made with other inputs or settings"):
        report(paths, tmp_path / "p.html", figures=out, figure_width=6.9)
    with pytest.raises(BadInput, match="Give --figures FOLDER with it"):
        report(paths, tmp_path / "p.html", figure_width=6.9)


def test_every_figure_as_csv(tmp_path):
    paths = pair(tmp_path, ["=1+1", "b"], ["=HYPERLINK(0)", "fc"])
    runs = [{"name": "fc", "seconds": 0.25}, {"name": "fc", "seconds": 0.75}]
    record_path(paths[1]).write_text(json.dumps({"runs": [{"results": runs}]}))
    report(paths, tmp_path / "p.html", csv=tmp_path / "p.csv")
    with open(tmp_path / "p.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["embedding", "'=HYPERLINK(0)", "fc"]
    assert [row["is"] for row in rows] == ["embedding", "layer", "layer"]
    assert [row["seconds"] for row in rows] == ["", "", "0.5"]
    expected = json.loads(paths[0].read_text())["results"][0]["mean_per_class_accuracy"]
    assert float(rows[0]["mean_per_class_accuracy"]) == expected
    with pytest.raises(WrongOptions, match=r"--csv .*p.txt should be a file to write that ends in .csv. Found: .txt"):
        report(paths, tmp_path / "q.html", csv=tmp_path / "p.txt")
