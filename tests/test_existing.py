"""Whether an output is the one that would be made, and what is said if it is not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from real_files import write_all

from fne_cli.errors import BadInput, DifferentOutput
from fne_cli.store.existing import check_place, file_head, is_recorded, up_to_date
from fne_cli.store.output import Output
from fne_cli.store.reader import open_file
from fne_cli.store.schema import fingerprint


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return write_all(tmp_path_factory.mktemp("made"))


def head(path: Path) -> tuple[dict, list]:
    with open_file(path) as file:
        return file.settings, file.sources


def test_a_file_made_with_the_same_settings_is_up_to_date(made, tmp_path):
    settings, sources = head(made[1])
    assert up_to_date(made[1], "moments", settings, sources, False, (made[0],))
    assert not up_to_date(made[1], "moments", settings, sources, True)
    assert not up_to_date(tmp_path / "new.h5", "moments", settings, sources, False, (made[0],))


def test_what_differs_is_named(made):
    settings, sources = head(made[1])
    other = [{"kind": "activations", "fingerprint": "f" * 64}]
    with pytest.raises(DifferentOutput) as raised:
        up_to_date(made[1], "moments", settings | {"rows": "all"}, other, False)
    message = str(raised.value)
    assert message.startswith(f"{made[1]} exists and was made with other inputs or settings:\n  settings.rows: ")
    assert 'settings.rows: "train" in the existing output, "all" asked for\n' in message
    assert f'sources.0.fingerprint: "{sources[0]["fingerprint"]}" in the existing output, "ffff' in message
    assert message.endswith("Write to another output, or give --overwrite to replace it.")
    assert raised.value.exit_code == 4


@pytest.mark.parametrize("content", [b"", b"notes of mine", b"{}"])
@pytest.mark.parametrize("kind", ["moments", "codes", "results"])
def test_a_file_that_is_something_else_is_not_replaced_unasked(tmp_path, kind, content):
    path = tmp_path / "out"
    path.write_bytes(content)
    with pytest.raises(DifferentOutput, match=r"(?s)out exists and is .*\.(\n| )--overwrite replaces it\.$"):
        up_to_date(path, kind, {}, [], False)
    assert not up_to_date(path, kind, {}, [], True)
    assert path.read_bytes() == content


def test_a_file_of_another_kind(made):
    with pytest.raises(DifferentOutput, match=r"is no such output\..* Found: kind=codes\.\n--overwrite replaces it\."):
        file_head(made[2], "moments")


RESULT = {"fingerprint": fingerprint("results", {"C": 1.0}, [{"kind": "codes"}])}


def test_results_are_json(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(RESULT | {"settings": {"C": 1.0}, "sources": [{"kind": "codes"}]}))
    assert up_to_date(path, "results", {"C": 1.0}, [{"kind": "codes"}], False)
    with pytest.raises(DifferentOutput, match=r"settings\.C: 1\.0 in the existing output, 2\.0 asked for"):
        up_to_date(path, "results", {"C": 2.0}, [{"kind": "codes"}], False)


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
        up_to_date(path, "results", {"C": 1.0}, [{"kind": "codes"}], False)


def test_an_output_that_is_an_input(made, tmp_path):
    link, hard = tmp_path / "link.h5", tmp_path / "hard.h5"
    link.symlink_to(made[0])
    os.link(made[0], hard)
    for path in (made[0], link, hard, made[0].parent / ".." / made[0].parent.name / made[0].name):
        for overwrite in (False, True):
            with pytest.raises(BadInput, match="is an input of this command"):
                up_to_date(path, "moments", {}, [], overwrite, (made[0],))


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


@pytest.mark.parametrize("moment", ["record", "rename"])
def test_killed_while_it_gets_its_name_a_table_is_made_again_or_known(tmp_path, monkeypatch, moment):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    path = tmp_path / "table.csv"
    with monkeypatch.context() as patched:
        if moment == "rename":
            rename = os.replace
            patched.setattr(os, "replace", lambda a, b: die() if Path(b) == path else rename(a, b))
        else:
            patched.setattr("fne_cli.store.output.write_json", die)
        with pytest.raises(Killed), Output(path) as output:
            output.partial.write_text("a,b\n")
            output.accept_noted({"fingerprint": "one"})
    assert not is_recorded(path, "one", (), False, "this")
    with Output(path) as output:
        output.partial.write_text("a,b\n")
        output.accept_noted({"fingerprint": "one"})
    assert is_recorded(path, "one", (), False, "this")
    with pytest.raises(DifferentOutput):
        is_recorded(path, "other", (), False, "this")
