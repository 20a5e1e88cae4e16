"""What an output is made from: which of it the command chose, and which came with its inputs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from activations import table

from fne_cli.store.format.schema import fingerprint
from fne_cli.store.output.origin import Origin, by_number, kinds


def origin(folder: Path, **changed: Any) -> Origin:
    """Of `codes` made from photos.h5 and moments.h5 in a folder."""
    made = Origin(
        "codes",
        {"thresholds": [-0.25, 0.15], "crops": 1, "layers": ["conv", "fc"], "activations": {"model": "vgg16"}},
        [{"kind": "activations", "fingerprint": "a" * 64}, {"kind": "moments", "fingerprint": "b" * 64}],
        {"activations": (folder / "photos.h5",), "moments": (folder / "moments.h5",), "thresholds": ()},
        inherited=("activations", "crops"),
        with_network=("layers",),
        network={"model": "vgg16"},
    )
    return replace(made, **changed)


def head(made: Origin) -> dict[str, Any]:
    """What a file says that was made so."""
    return {"settings": dict(made.settings), "sources": list(made.sources), "network": dict(made.network)}


NEW = [{"kind": "activations", "fingerprint": "c" * 64}, {"kind": "moments", "fingerprint": "d" * 64}]


@pytest.fixture
def old(tmp_path: Path) -> Origin:
    return origin(tmp_path)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "codes.h5"


def test_the_fingerprint_is_that_of_the_format(old):
    assert old.fingerprint == fingerprint("codes", old.settings, old.sources)
    assert old.fingerprint != replace(old, sources=NEW).fingerprint
    assert old.fingerprint == replace(old, inputs={}, inherited=(), network={}).fingerprint


def test_all_inputs(old, tmp_path):
    assert old.paths == (tmp_path / "photos.h5", tmp_path / "moments.h5")


def test_the_same_command_on_inputs_that_have_changed(old, output):
    now = replace(old, sources=NEW)
    assert now.other_command(output, head(old), old.noted(output)) == []
    assert now.other_command(output, head(old), {}) == []


def test_what_came_with_the_inputs_may_differ_with_them(old, output):
    settings = {**old.settings, "crops": 5, "activations": {"model": "vgg16", "crops": 5}}
    now = replace(old, settings=settings, sources=NEW)
    assert now.other_command(output, head(old), old.noted(output)) == []
    same = replace(old, settings=settings)
    assert same.other_command(output, head(old), old.noted(output)) == [
        "settings.activations.crops: nothing in the existing output, 5 asked for",
        "settings.crops: 1 in the existing output, 5 asked for",
    ]


def test_layers_differ_with_the_network_only(old, output):
    settings = {**old.settings, "layers": ["fc"]}
    now = replace(old, settings=settings, sources=NEW)
    assert now.other_command(output, head(old), old.noted(output)) == [
        'settings.layers: ["conv","fc"] in the existing output, ["fc"] asked for'
    ]
    other = replace(now, network={"model": "squeezenet"})
    assert other.other_command(output, head(old), old.noted(output)) == []


def test_settings_of_the_command_are_never_another_inputs(old, output):
    for sources in (old.sources, NEW):
        now = replace(old, settings={**old.settings, "thresholds": [-1, 1], "packing": "x"}, sources=sources)
        assert now.other_command(output, head(old), old.noted(output)) == [
            'settings.packing: nothing in the existing output, "x" asked for',
            "settings.thresholds: [-0.25,0.15] in the existing output, [-1,1] asked for",
        ]


def test_a_file_of_another_name_is_another_command(old, output, tmp_path):
    other = {**old.inputs, "activations": (tmp_path / "faces.h5",)}
    now = replace(old, sources=NEW, inputs=other)
    assert now.other_command(output, head(old), old.noted(output)) == [
        "activations: photos.h5 in the existing output, faces.h5 asked for"
    ]
    # Of the same content it is not another one.
    assert replace(old, inputs=other).other_command(output, head(old), old.noted(output)) == []


def test_of_several_files_some_may_come_and_go(old, output, tmp_path):
    paths = [tmp_path / f"{number}.h5" for number in range(6)]
    before = replace(old, inputs={"activations": tuple(paths[:4])})
    for chosen, same in ((paths[:3], True), (paths[3:], True), (paths[4:], False)):
        now = replace(old, sources=NEW, inputs={"activations": tuple(chosen)})
        found = now.other_command(output, head(old), before.noted(output))
        assert (found == []) == same
    assert found == ["activations: 0.h5, 1.h5, 2.h5 and 1 more in the existing output, 4.h5, 5.h5 asked for"]


def test_another_sort_of_input_is_another_command(old, output):
    now = replace(old, sources=[*NEW, {"kind": "behavior", "fingerprint": "e" * 64}])
    assert now.other_command(output, head(old), old.noted(output)) == [
        "made from: activations, moments in the existing output, activations, behavior, moments asked for"
    ]
    assert kinds([*NEW, *NEW, "x", {"kind": 5}]) == ["5", "?", "activations", "moments"]


def test_without_a_record_another_network_is_another_command(old, output):
    now = replace(old, sources=NEW, network={"model": "squeezenet"})
    assert now.other_command(output, head(old), {}) == ['model: "vgg16" in the existing output, "squeezenet" asked for']
    assert now.other_command(output, head(old), old.noted(output)) == []


@pytest.mark.parametrize("known", [None, 5, [], {}, {"activations": 5}, {"activations": [5]}, {"moments": None}])
def test_a_record_that_is_hostile(old, output, known):
    assert replace(old, sources=NEW).other_command(output, head(old), {"made_from": known}) in (
        [],
        ["activations:  in the existing output, photos.h5 asked for"],
    )


def test_a_head_that_is_hostile(old, output):
    strange = {"settings": {}, "sources": [5, "x", None, {"kind": ["a"]}], "network": [1]}
    assert old.other_command(output, strange, {})
    assert old.changes(strange, None)


def test_names_are_seen_from_the_folder_of_the_output(tmp_path, monkeypatch):
    """A project that is moved, another working directory, another way to the same folder: the same names."""
    (tmp_path / "made").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "made")
    one = origin(tmp_path).noted(tmp_path / "made" / "codes.h5")
    assert one == {"made_from": {"activations": ["../photos.h5"], "moments": ["../moments.h5"]}}
    assert origin(tmp_path / "link" / "..").noted(tmp_path / "link" / "codes.h5") == one
    monkeypatch.chdir(tmp_path / "made")
    assert origin(Path("..")).noted(Path("codes.h5")) == one
    os.symlink(tmp_path / "elsewhere.h5", tmp_path / "photos.h5")
    assert origin(tmp_path).noted(tmp_path / "made" / "codes.h5") == one, "a link is an input by its own name"


def test_what_is_noted_of_an_output_that_does_not_say_it_itself(old, output):
    noted = old.noted_whole(output)
    assert noted.pop("made_from") == old.noted(output)["made_from"]
    assert noted.pop("kind") == old.kind
    assert noted == head(old)
    # And it is what the next run compares with.
    assert replace(old, sources=NEW).other_command(output, noted, old.noted_whole(output)) == []


# What has changed


def test_the_files_that_have_changed_are_named(old, tmp_path):
    photos, moments = (str(tmp_path / name) for name in ("photos.h5", "moments.h5"))
    assert replace(old, sources=NEW).changes(head(old), None) == [
        f"other activations than it was made from: {photos}",
        f"other moments than it was made from: {moments}",
    ]
    assert replace(old, sources=[old.sources[0], NEW[1]]).changes(head(old), None) == [
        f"other moments than it was made from: {moments}"
    ]
    assert replace(old, sources=old.sources[:1]).changes(head(old), None) == ["fewer files than it was made from"]


def test_the_network_and_the_images_are_named_before_fingerprints(old):
    before, now = table(3), table(4)
    found = replace(old, sources=NEW, network={"model": "squeezenet"}, images=lambda: now).changes(head(old), before)
    assert found == ['model: "vgg16" before, "squeezenet" now', "1 image added: class/é3.png"]


def test_the_number_of_a_shard_is_not_how_activations_were_made(old, output):
    then = head(old) | {"network": {"model": "vgg16", "shard": {"number": 1}}}
    assert replace(old, sources=NEW).other_command(output, then, {}) == []


def test_a_list_by_number():
    assert by_number(["a", "b"]) == {"0": "a", "1": "b"}
    assert by_number("a") == {"0": "a"}
