"""Whether an output is the one that would be made, and what is said if it is not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import h5py
import pytest
from real_files import write_all

from fne_cli.errors import BadInput, DifferentOutput
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import differences, fingerprint
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import check_place, is_recorded, up_to_date


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return write_all(tmp_path_factory.mktemp("made"))


def origin(kind: str, settings: dict, sources: list, *inputs: Path) -> Origin:
    return Origin(kind, settings, sources, {"inputs": inputs})


TABLE = origin("table", {}, [])


def head(path: Path) -> tuple[dict, list]:
    with open_file(path) as file:
        return file.settings, file.sources


def test_a_file_made_with_the_same_settings_is_up_to_date(made, tmp_path):
    settings, sources = head(made[1])
    assert up_to_date(made[1], origin("moments", settings, sources, made[0]), False)
    assert not up_to_date(made[1], origin("moments", settings, sources), True)
    assert not up_to_date(tmp_path / "new.h5", origin("moments", settings, sources, made[0]), False)


def test_what_differs_is_named(made):
    settings, sources = head(made[1])
    other = [{"kind": "activations", "fingerprint": "f" * 64}]
    with pytest.raises(DifferentOutput) as raised:
        up_to_date(made[1], origin("moments", settings | {"rows": "all"}, other), False)
    message = str(raised.value)
    assert message.startswith(f"{made[1]} exists and was made with other inputs or settings:\n  settings.rows: ")
    assert 'settings.rows: "train" in the existing output, "all" asked for\n' in message
    assert sources[0]["fingerprint"] not in message, "sixty-four digits say nothing to a person"
    assert message.endswith("Write to another output, or give --overwrite to replace it.")
    assert raised.value.exit_code == 4


def test_of_long_values_the_part_is_shown_that_differs():
    layers = [["conv", number, "avg"] for number in range(20)]
    others = [*layers[:17], ["conv", 17, "max"], *layers[18:]]
    (line,) = differences({"layers": layers}, {"layers": others})
    existing, asked = line.removesuffix(" asked for").split(" in the existing output, ")
    assert ('17,"max"' in existing, '17,"avg"' in asked) == (True, True)
    assert max(map(len, (existing, asked))) < 90


@pytest.mark.parametrize("kind", ["moments", "codes", "results"])
def test_an_empty_file_is_not_replaced_unasked(tmp_path, kind):
    path = tmp_path / "out"
    path.touch()
    with pytest.raises(DifferentOutput, match=r"(?s)out exists and is .*\.(\n| )--overwrite replaces it\.$"):
        up_to_date(path, origin(kind, {}, []), False)
    assert not up_to_date(path, origin(kind, {}, []), True)


FOREIGN = [b"notes of mine", b"{}", b"{", b"[1]", b'{"format": "fne", "kind": "experiment"}', b'{"fingerprint": "a"}',
           b"\xff\xd8\xff\xe0 a photo"]  # fmt: skip


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("kind", ["activations", "moments", "results"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_is_not_ours_is_never_replaced(tmp_path, kind, content, overwrite):
    path = tmp_path / "out"
    path.write_bytes(content)
    with pytest.raises(DifferentOutput, match=f"should be an fne {kind} file to be replaced") as raised:
        up_to_date(path, origin(kind, {}, []), overwrite)
    assert "Found: not made by fne." in str(raised.value)
    assert "Is the output missing" in str(raised.value)
    assert "--overwrite" not in str(raised.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_of_another_kind_is_never_replaced(made, tmp_path, overwrite):
    """Most likely the output was forgotten, and the last input stands in its place."""
    said = r"should be an fne moments file to be replaced\. Found: an fne codes file\.\nIs the output missing"
    for path in (made[2], Path(shutil.copy(made[2], tmp_path / "codes"))):
        with pytest.raises(DifferentOutput, match=said):
            up_to_date(path, origin("moments", {}, []), overwrite)
    with pytest.raises(DifferentOutput, match="Found: an fne codes file"):
        up_to_date(made[2], origin("results", {}, []), overwrite)
    results = tmp_path / "results.json"
    results.write_text(json.dumps(RESULT))
    with pytest.raises(DifferentOutput, match="Found: an fne results file"):
        up_to_date(results, origin("codes", {}, []), overwrite)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(DifferentOutput, match="Found: HDF5 of another origin"):
        up_to_date(tmp_path / "other.h5", origin("codes", {}, []), overwrite)


@pytest.mark.parametrize("name", ["cut.h5", "cut"])
def test_a_damaged_file_of_ours_may_be_replaced(made, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(made[1].read_bytes()[:3000])
    with pytest.raises(DifferentOutput, match="--overwrite replaces it"):
        up_to_date(path, origin("moments", {}, []), False)
    assert not up_to_date(path, origin("moments", {}, []), True)


def test_a_table_does_not_replace_a_file_that_says_what_it_is(made, tmp_path):
    mine = tmp_path / "mine.csv"
    mine.touch()
    assert not is_recorded(mine, "one", TABLE, True, "this")
    mine.write_text("a,b\n")
    assert not is_recorded(mine, "one", TABLE, True, "this", ours=lambda path: path == mine)
    for more in ({}, {"ours": lambda path: False}):
        with pytest.raises(DifferentOutput, match=r"mine\.csv exists, so it should be the table that fne has written"):
            is_recorded(mine, "one", TABLE, True, "this", **more)
    results = tmp_path / "results.json"
    results.write_text(json.dumps(RESULT))
    for path, found in ((made[1], "moments"), (results, "results")):
        with pytest.raises(DifferentOutput, match=f"Found: an fne {found} file"):
            is_recorded(path, "one", TABLE, True, "this")


def test_forgotten_outputs_cost_no_input(fne, made, tmp_path):
    """fne normalize a.h5 b.h5, as one would type it if the last were the output."""
    parts = [Path(shutil.copy(made[0], tmp_path / name)) for name in ("a.h5", "b.h5")]
    before = parts[1].read_bytes()
    for command in (("normalize", *parts), ("analyze", *parts), ("discretize", parts[0], made[1], parts[1])):
        for more in ([], ["--overwrite"]):
            result = fne(*command, *more)
            assert result.code == 4
            assert "Found: an fne activations file" in result.err and "--overwrite" not in result.err
    assert parts[1].read_bytes() == before


RESULT = {
    "format": "fne",
    "version": 1,
    "kind": "results",
    "fingerprint": fingerprint("results", {"C": 1.0}, [{"kind": "codes"}]),
}


def test_results_are_json(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(RESULT | {"settings": {"C": 1.0}, "sources": [{"kind": "codes"}]}))
    assert up_to_date(path, origin("results", {"C": 1.0}, [{"kind": "codes"}]), False)
    with pytest.raises(DifferentOutput, match=r"settings\.C: 1\.0 in the existing output, 2\.0 asked for"):
        up_to_date(path, origin("results", {"C": 2.0}, [{"kind": "codes"}]), False)


@pytest.mark.parametrize(
    "content",
    [
        '{"fingerprint": 3}',
        '{"fingerprint": [], "settings": 3, "sources": 3}',
        '{"fingerprint": "a", "settings": [1], "sources": {"a": 1}}',
        '{"fingerprint": "a", "settings": null, "sources": null}',
        '{"fingerprint": "a", "settings": {"C": NaN}}',
        "[" * 5000,
        '{"fingerprint":' * 5000,
        b'{"fingerprint": "\xff"}',
    ],
)
def test_results_that_are_hostile(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DifferentOutput):
        up_to_date(path, origin("results", {"C": 1.0}, [{"kind": "codes"}]), False)


def test_an_output_that_is_an_input(made, tmp_path):
    link, hard = tmp_path / "link.h5", tmp_path / "hard.h5"
    link.symlink_to(made[0])
    os.link(made[0], hard)
    for path in (made[0], link, hard, made[0].parent / ".." / made[0].parent.name / made[0].name):
        for overwrite in (False, True):
            with pytest.raises(BadInput, match="is an input of this command"):
                up_to_date(path, origin("moments", {}, [], made[0]), overwrite)


def test_an_input_that_would_be_the_partial_file(made, tmp_path):
    """Work that waits to be accepted is complete: it may well be given as an input, and must not be truncated."""
    source = Path(shutil.copy(made[0], tmp_path / "out.h5.partial"))
    with pytest.raises(BadInput, match=r"out\.h5\.partial is an input of this command"):
        check_place(tmp_path / "out.h5", (source,), overwrite=True)


def test_unfinished_work_of_extract_is_not_discarded_unasked(tmp_path):
    (tmp_path / "out.h5.partial").write_text("hours of work")
    check_place(tmp_path / "out.h5", (), overwrite=False)
    (tmp_path / "out.h5.partial.json").write_text("{}")
    with pytest.raises(DifferentOutput, match="Found: the unfinished work of fne extract"):
        check_place(tmp_path / "out.h5", (), overwrite=False)
    check_place(tmp_path / "out.h5", (), overwrite=True)


def test_places_that_do_not_exist(tmp_path):
    check_place(tmp_path / "no" / "out.h5", (tmp_path / "missing.h5",), overwrite=False)
    with pytest.raises(BadInput, match="should be a file to write"):
        check_place(Path("."), (), overwrite=False)


def test_killed_while_it_gets_its_name_a_table_is_made_again_or_known(tmp_path, monkeypatch):
    """Before every rename, sync and removal: the table is not there, or it is, and known."""

    class Killed(BaseException):
        pass

    done = False
    for point in range(30):
        path = tmp_path / str(point) / "table.csv"
        path.parent.mkdir()
        left = point

        def dying(real):
            def call(*arguments, **options):
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return real(*arguments, **options)

            return call

        output = Output(path).__enter__()
        output.partial.write_text("a,b\n")
        with monkeypatch.context() as patched:
            for owner, name in ((os, "replace"), (os, "fsync"), (Path, "unlink")):
                patched.setattr(owner, name, dying(getattr(owner, name)))
            try:
                output.accept_noted({"fingerprint": "one"})
                done = True
            except Killed:
                pass
        os.close(output._lock)  # the process is gone
        assert is_recorded(path, "one", TABLE, False, "this") == path.exists()
        if not path.exists():
            with Output(path) as output:
                output.partial.write_text("a,b\n")
                output.accept_noted({"fingerprint": "one"})
            assert is_recorded(path, "one", TABLE, False, "this")
        assert sorted(os.listdir(path.parent)) == ["table.csv", "table.csv.run.json"]
        with pytest.raises(DifferentOutput):
            is_recorded(path, "other", TABLE, False, "this")
        if done:
            break
    assert done
    assert point > 4
