"""Reading results and experiments: what the files say, and errors that name file, place, expected and found."""

from __future__ import annotations

import contextlib
import copy
import json

import numpy as np
import pytest
from evaluation_files import evaluate, noisy, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_files import document, entry, experiment

from fne_cli.errors import BadInput, DamagedFile, FneError, WrongFile
from fne_cli.steps.evaluate import Protocol
from fne_cli.store.other.results import Experiment, Results, read_results
from fne_cli.store.other.results.tested import bits, same_images
from fne_cli.store.output.sealed import with_digest

CLASSES = ["a", "b", "c"]


def saved(path, content):
    """With a digest that fits: only what the file claims can give it away."""
    with contextlib.suppress(ValueError):  # no digest of what is no number
        content = with_digest(content)
    path.write_text(json.dumps(content))
    return path


def test_what_evaluate_writes_is_read(tmp_path):
    rows, labels, splits = noisy()
    source = write(tmp_path / "a.h5", {"conv": rows.astype(np.float32)}, labels, splits, kind="activations")
    protocols = (Protocol(), Protocol(cv=3), Protocol(per_class=(1, 2), draws=2))
    for number, protocol in enumerate(protocols):
        path = tmp_path / f"{number}.json"
        written = evaluate(source, path, embedding="l2", each_layer=True, protocol=protocol).results
        found = read_results(path)
        assert isinstance(found, Results)
        assert found.fingerprint == written["fingerprint"]
        for ours, theirs in zip(found.entries, written["results"], strict=True):
            assert (ours.name, ours.features, ours.per_class) == (
                theirs["name"], theirs["features"], theirs.get("training_images_per_class"))  # fmt: skip
            assert ours.figures["accuracy"] == theirs["accuracy"]
            assert ours.spreads.get("accuracy") == theirs.get("accuracy_std")
            assert ours.trials == theirs.get("trials", 1)
            assert [one.value for one in ours.each_class] == [one["accuracy"] for one in theirs["per_class"]]
            assert ours.confusion.tolist() == theirs["confusion"]


def test_several_labels_are_read(tmp_path):
    rows, _, splits = noisy()
    labels = (np.random.default_rng(1).random((120, 3)) < 0.4).astype(np.int8)
    source = write(tmp_path / "a.h5", {"conv": rows.astype(np.float32)}, labels, splits, kind="activations")
    written = evaluate(source, tmp_path / "r.json", embedding="l2").results["results"][0]
    (found,) = read_results(tmp_path / "r.json").entries
    assert found.several and found.confusion is None
    assert found.figures["mean_average_precision"] == written["mean_average_precision"]
    assert [one.value for one in found.each_class] == [one["average_precision"] for one in written["per_class"]]


def test_an_experiment_or_its_folder(tmp_path):
    out = experiment(tmp_path)
    for path in (out, out / "results.json"):
        found = read_results(path)
        assert isinstance(found, Experiment)
        assert [cell.embedding for cell in found.cells] == ["fne", "layers", "raw"]
        assert found.cells[0].results == out / "things/net.avg/fne.split.json"
        assert (found.cells[2].results, found.cells[2].error) == (None, "the disk <b>is</b> full")


@pytest.mark.parametrize("place", ["/etc/passwd", "../elsewhere.json", "things/../../x.json", "x\0y"])
def test_an_experiment_that_leads_out_of_its_folder(tmp_path, place):
    out = experiment(tmp_path)
    content = json.loads((out / "results.json").read_text())
    content["cells"][0]["predictions"] = place
    saved(out / "results.json", content)
    with pytest.raises(DamagedFile, match=r"cells\[0\].predictions should be a path below the folder"):
        read_results(out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accuracy": 1.5}, r"results\[0\].accuracy should be a number in 0 ... 1. Found: 1.5"),
        ({"accuracy": "<b>"}, "Found: '<b>'"),
        ({"accuracy": True}, "Found: True"),
        ({"name": None}, r"results\[0\].name should be a text. Found: None"),
        ({"classes": ["a", "a", "c"]}, "distinct names"),
        ({"classes": ["a", "c", "b"]}, "the classes, in their order"),
        ({"confusion": [[1, 2, 3]] * 2}, "3 rows of 3 counts. Found: an array of 2"),
        ({"confusion": [[1, 2, 3], [1, 2], [1, 2, 3]]}, r"confusion\[1\] should be 3 counts. Found: an array of 2"),
        ({"confusion": [[1, 2, 3], [1, 2, -3], [1, 2, 3]]}, r"confusion\[1\]\[2\] should be a count, .*Found: -3"),
        ({"confusion": [[1, 2, 1 << 40]] * 3}, r"confusion\[0\]\[2\] .*Found: 1099511627776"),
        ({"trials": -1}, "a whole number of 0 or more. Found: -1"),
        ({"features": 1e308}, "a whole number"),
        ({"C": [1, "x"]}, "C should be numbers"),
        ({"accuracy_std": [1]}, "a number of 0 or more. Found: an array of 1"),
        ({"mean_per_class_accuracy_95": [0.1]}, "two fractions"),
        ({"mean_per_class_accuracy_wilson_95": [0.1, 1.2]}, "wilson_95 should be two fractions"),
        ({"per_class": 3}, "a JSON array"),
        ({"per_class": [3]}, r"per_class\[0\] should be a JSON object"),
    ],
)
def test_an_entry_that_no_evaluation_writes(tmp_path, change, message):
    path = saved(tmp_path / "r.json", document([entry("embedding", CLASSES) | change]))
    with pytest.raises(DamagedFile, match=message) as error:
        read_results(path)
    assert str(path) in str(error.value)


def test_which_images_are_right(tmp_path):
    first, second = read_results(saved(tmp_path / "r.json", WHOLE)).entries
    assert (first.right.of.digest, first.right.of.truth.tolist()) == ("0", TRUTH)
    assert first.right.right.tolist() == [RIGHT.tolist()]
    assert second.right.right.tolist() == [RIGHT.tolist()] * 2
    assert not same_images(first.right, second.right) and same_images(first.right, first.right)


def test_every_image_of_a_cross_validation_once(tmp_path):
    folds = [{"fold": 2, "right": bits(RIGHT[[0, 3]])}, {"fold": 1, "right": bits(RIGHT[[1, 2]])}]
    tested = {"images": 4, "sha256": "0", "truth": TRUTH, "fold": [2, 1, 1, 2]}
    whole = document([entry("embedding", CLASSES, trials=2, each_trial=folds)], version=3, tested=tested)
    (found,) = read_results(saved(tmp_path / "r.json", whole)).entries
    assert found.right.right.tolist() == [RIGHT.tolist()]
    whole["results"][0]["each_trial"].pop()
    (found,) = read_results(saved(tmp_path / "s.json", whole)).entries
    assert found.right is None


def test_results_of_version_2_do_not_say(tmp_path):
    (found,) = read_results(saved(tmp_path / "r.json", document([entry("embedding", CLASSES)]))).entries
    assert found.right is None


@pytest.mark.parametrize(
    ("tested", "right", "message"),
    [
        ({"truth": [0, 1]}, "", r"tested.truth should be 4 whole numbers in 0 ... 2. Found: an array of 2"),
        ({"truth": [0, 1, 2, 3]}, "", r"tested.truth should be 4 whole numbers in 0 ... 2"),
        ({"truth": [0, 1, True, 2]}, "", r"tested.truth should be"),
        ({"fold": [0, 1, 2, 5]}, "", r"tested.fold should be 4 whole numbers in 0 ... 4"),
        ({"images": 1 << 50}, "", r"tested.truth should be 1,125,899,906,842,624 whole numbers"),
        ({"sha256": None}, "", "tested.sha256 should be a text"),
        ({}, "AAAA", r"results\[0\].right should be base64 of 4 bits. Found: 'AAAA'"),
        ({}, "*", "should be base64 of 4 bits"),
        ({}, 3, "right should be a text"),
    ],
)
def test_test_images_that_no_evaluation_writes(tmp_path, tested, right, message):
    said = {"images": 4, "sha256": "0", "truth": TRUTH} | tested
    whole = document([entry("embedding", CLASSES) | {"right": right}], version=3, tested=said)
    with pytest.raises(DamagedFile, match=message):
        read_results(saved(tmp_path / "r.json", whole))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"format": "fne", "version": NaN}', r"no JSON, which has finite numbers only \(NaN is not a number\)\.$"),
        ("[]", "JSON of another origin"),
        ('{"format": "fne", "version": 4, "kind": "results"}', "version 3. Found: 4.\nUpdate fne: pip install"),
        ('{"format": "fne", "version": 0, "kind": "results"}', "version 3. Found: 0.\nMake the file again."),
        ('{"format": "fne", "version": 1, "kind": "codes"}', "kind 'codes'"),
        ('{"format": "fne", "version": 1, "kind": []}', "an array of 0"),
    ],
)
def test_other_files(tmp_path, content, message):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(WrongFile, match=message):
        read_results(tmp_path / "r.json")


def test_no_file_a_folder_and_hdf5(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        read_results(tmp_path / "none.json")
    with pytest.raises(BadInput, match=r"results.json should be .* no such file"):
        read_results(tmp_path)
    (tmp_path / "codes.h5").write_bytes(b"\x89HDF\r\n\x1a\n rest")
    with pytest.raises(WrongFile, match=r"Found: HDF5. fne evaluate makes results"):
        read_results(tmp_path / "codes.h5")
    with pytest.raises(FneError):
        read_results(tmp_path / "nul\0.json")


def _places(value, path=()):
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _places(child, (*path, key))


TRUTH, RIGHT = [0, 0, 1, 2], np.array([True, False, True, True])
TRIALS = [{"draw": draw, "right": bits(RIGHT)} for draw in (1, 2)]
WHOLE = document(
    [entry("embedding", CLASSES) | {"right": bits(RIGHT)}, entry("conv1", CLASSES, trials=2, each_trial=TRIALS)],
    version=3, tested={"images": 4, "sha256": "0", "truth": TRUTH},
)  # fmt: skip
JUNK = st.sampled_from([None, True, -1, 0.5, 1e308, 1 << 70, "", "x" * 300, [], {}, [[]], {"": None}, ["a", "a"]]).map(
    copy.deepcopy
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_junk_is_a_traceback(tmp_path, data):
    content = copy.deepcopy(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(_places(content))[1:]))
        place = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = data.draw(JUNK)
    try:
        found = read_results(saved(tmp_path / "r.json", content))
    except FneError as error:
        assert "r.json" in str(error)
    else:
        assert found.entries
