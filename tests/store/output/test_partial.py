"""An output appears whole or not at all, by one process at a time, and nothing is left of what failed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from real_files import small_files

from fne_cli.errors import BadInput, Busy, DamagedFile, DoesNotFit, FneError
from fne_cli.store.output import partial as module
from fne_cli.store.output.notes import read_record, record_path, write_json
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import file_state
from fne_cli.store.output.sealed import is_intact, without_digest


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_name_appears_with_the_whole_content(tmp_path):
    path = tmp_path / "out.json"
    with Output(path) as output:
        output.write_json({"a": "é"})
        assert names(tmp_path) == ["out.json.partial"]
        output.accept({"runs": []})
    digest = hashlib.sha256('{"a":"é"}'.encode()).hexdigest()
    assert path.read_text(encoding="utf-8") == f'{{\n  "a": "é",\n  "digest": "{digest}"\n}}\n'
    assert names(tmp_path) == ["out.json", "out.json.run.json"]
    assert read_record(path) == {"runs": [], "output": file_state(path)}


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, FneError])
def test_after_an_error_the_old_output_stands_alone(tmp_path, error):
    (tmp_path / "out").write_text("old")
    with pytest.raises(error), Output(tmp_path / "out") as output:
        output.partial.write_text("half")
        raise error
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "old"


def test_what_an_earlier_run_left_is_discarded(tmp_path):
    (tmp_path / "out.partial").write_text("half")
    (tmp_path / "out.partial.json").write_text("{}")
    with Output(tmp_path / "out") as output:
        assert output.partial.read_text() == ""
        assert names(tmp_path) == ["out.partial"]
    assert names(tmp_path) == []


def test_resumable_work_is_kept_and_only_with_its_journal(tmp_path):
    path = tmp_path / "out"
    with Output(path, keep=True) as output:
        output.partial.write_text("half")
    assert names(tmp_path) == []
    with Output(path, keep=True) as output:
        output.partial.write_text("half")
        output.note({"committed": 1, "images": 3, "inputs": {}, "runs": []})
    assert names(tmp_path) == ["out.partial", "out.partial.json"]
    with Output(path, keep=True) as output:
        assert output.resumable
        assert output.partial.read_text() == "half"
        assert output.read_journal()["committed"] == 1
        output.accept()
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("recorded", [True, False])
def test_the_record_is_of_the_file_that_is_there_at_any_moment(tmp_path, monkeypatch, recorded):
    """Also while an output is replaced: a kill between two renames leaves the one's record with it, or the other's."""
    path = tmp_path / "out"
    with Output(path) as output:
        output.partial.write_text("old")
        output.accept({"content": "old"})
    seen = []

    def watched(real):
        def call(*arguments, **options):
            real(*arguments, **options)
            seen.append((path.read_text(), read_record(path).get("content")))

        return call

    for owner, name in ((os, "replace"), (os, "fsync"), (Path, "unlink")):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    with Output(path) as output:
        output.partial.write_text("newest")
        output.accept({"content": "newest"} if recorded else None)
    if recorded:
        assert {*seen} == {("old", "old"), ("newest", "newest")}
    else:
        assert {*seen} == {("old", "old"), ("old", None), ("newest", None)}


CHILD = """
import sys, time
from pathlib import Path
from fne_cli.store.output.partial import Output
with Output(Path(sys.argv[1]), keep=True) as output:
    output.partial.write_text("half")
    output.note({"committed": 1, "images": 1, "inputs": {}, "runs": []})
    print("locked", flush=True)
    sys.stdin.readline()
    output.accept()
"""


def child(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the output until it is told to accept it."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_second_process_is_told_and_harms_nothing(tmp_path):
    path = tmp_path / "out"
    process = child(path)
    for keep in (False, True):
        with pytest.raises(Busy, match="out is being written by another process") as raised, Output(path, keep):
            pass
        assert raised.value.exit_code == 5
    assert path.with_name("out.partial").read_text() == "half"
    process.communicate("go\n", timeout=120)
    assert process.returncode == 0
    assert names(tmp_path) == ["out"]


def test_a_killed_process_holds_no_lock(tmp_path):
    process = child(tmp_path / "out")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Output(tmp_path / "out", keep=True) as output:
        assert output.resumable


def test_the_lock_of_a_file_that_was_renamed_meanwhile_counts_for_nothing(tmp_path, monkeypatch):
    """Between our open and our lock, the other process accepts its output: we hold what is now OUT, and try again."""
    path = tmp_path / "out"
    process = child(path)
    real, tries = fcntl.flock, []

    def flock(handle, how):
        if not tries:
            process.communicate("go\n", timeout=120)
        tries.append(handle)
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with Output(path) as output:
        assert len(tries) == 2
        output.partial.write_text("new")
        assert path.read_text() == "half"
        output.accept()
    assert path.read_text() == "new"


def test_a_partial_file_that_is_no_longer_ours_is_left_alone(tmp_path):
    with Output(tmp_path / "out") as output:
        output.partial.unlink()
        output.partial.write_text("of another process")
    assert output.partial.read_text() == "of another process"


@pytest.mark.parametrize("again", [True, False])
def test_a_partial_file_that_somebody_began_again_is_not_accepted(tmp_path, again):
    output = Output(tmp_path / "out")
    for accept in (output.accept, lambda: output.accept_noted({})):
        with pytest.raises(Busy, match=r"out\.partial should be the file that this command has written"), output:
            output.partial.unlink()
            if again:
                output.partial.write_text("another's")
            accept()
        assert not output.path.exists()
        assert output.partial.exists() == again


def test_many_at_once(tmp_path):
    """Every one either writes the whole file or is told that it is busy."""
    path, done = tmp_path / "out", []

    def work(number: int) -> None:
        for turn in range(20):
            text = f"{number} {turn} " * 50
            try:
                with Output(path) as output:
                    output.partial.write_text(text)
                    output.accept()
                done.append(text)
            except Busy:
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in done
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/out", r"nowhere/out should be in an existing folder\. Found: no folder .*nowhere\. mkdir -p "),
        ("folder", r"folder should be a file to write\. Found: a folder\."),
        ("pipe", r"pipe should be a file to write\. Found: a device or a pipe\."),
        ("x" * 250, r"partial cannot be written: File name too long"),
        ("file/out", r"should be in an existing folder"),
    ],
)
def test_places_where_no_file_can_stand(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    before = names(tmp_path)
    with pytest.raises(BadInput, match=message), Output(tmp_path / name):
        pass
    assert names(tmp_path) == before


@pytest.mark.parametrize("path", [".", "/", "/dev/null"])
def test_paths_that_are_no_name(path):
    with pytest.raises(BadInput, match=r"should be a file to write\. Found: a (folder|device)"), Output(Path(path)):
        pass
    assert os.path.exists(path)


def test_a_folder_that_may_not_be_written(ordinary_folder):
    ordinary_folder.chmod(0o500)
    output = Output(ordinary_folder / "out")
    with pytest.raises(BadInput, match=r"out\.partial cannot be written: Permission denied"), output:
        pass


def test_a_folder_that_the_system_keeps_for_itself():
    with pytest.raises(BadInput, match=r"/proc/out\.partial cannot be written: "), Output(Path("/proc/out")):
        pass


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(BadInput, match=r"file system with locks \(flock\)\. Found: No locks available"):
        Output(tmp_path / "out").__enter__()


def test_a_full_disk_is_told_with_numbers(tmp_path):
    with pytest.raises(DoesNotFit) as raised, small_files(1000), Output(tmp_path / "out") as output:
        with open(output.partial, "r+b", buffering=0) as file:
            file.write(bytes(1000))
            file.write(bytes(1))
    assert str(raised.value).startswith(f"The disk of {tmp_path} is full. out has 1,000 bytes so far; ")
    assert str(raised.value).endswith(" are free.\nMake room and run the same command again.")
    assert names(tmp_path) == []


def test_a_full_disk_where_work_is_kept(tmp_path):
    with pytest.raises(DoesNotFit, match="again: it goes on from the last committed image"):
        with Output(tmp_path / "out", keep=True) as output:
            output.partial.write_text("half")
            output.note({"committed": 1, "images": 3, "inputs": {}, "runs": []})
            raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == ["out.partial", "out.partial.json"]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded"), DoesNotFit, "is full"),
        (ValueError("Can't (file write failed, errno = 28, error message = 'No')"), DoesNotFit, "is full"),
        (
            RuntimeError("Can't (file write failed, errno = 5, error message = 'I')"),
            BadInput,
            "Found: Input/output error.",
        ),
        (PermissionError(13, "Permission denied", "out"), BadInput, "Found: [Errno 13] Permission denied: 'out'."),
        (ValueError("ours"), ValueError, "ours"),
        (DamagedFile("errno = 28"), DamagedFile, "errno = 28"),
    ],
)
def test_what_becomes_of_errors(tmp_path, error, kind, message):
    with pytest.raises(kind) as raised, Output(tmp_path / "out"):
        raise error
    assert type(raised.value) is kind
    assert message in str(raised.value)


def test_the_journal_is_replaced_atomically_and_is_on_the_disk(tmp_path, monkeypatch):
    steps = []
    real_sync, real_replace = os.fsync, os.replace

    def fsync(handle):
        steps.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))
        real_sync(handle)

    def replace(source, target):
        steps.append(f"{Path(source).name} -> {Path(target).name}")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_json(tmp_path / "j", {"a": 1})
    assert steps == ["j.new", "j.new -> j", tmp_path.name]


def test_an_output_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(module, "sync", lambda path: order.append(f"sync {path.resolve().name}"))
    monkeypatch.setattr(os, "replace", lambda old, new: order.append(f"rename {new.name}"))
    with Output(tmp_path / "out") as output:
        output.write_json({})
        output.accept()
    assert order == ["sync out.partial", "rename out", f"sync {tmp_path.name}"]


@pytest.mark.parametrize("point", ["fsync", "replace"])
def test_a_journal_that_cannot_be_replaced_is_the_old_one(tmp_path, monkeypatch, point):
    write_json(tmp_path / "j", {"a": 1})

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, point, fail)
    with pytest.raises(OSError, match="Input/output"):
        write_json(tmp_path / "j", {"a": 2})
    assert without_digest(json.loads((tmp_path / "j").read_text())) == {"a": 1}


def test_a_folder_that_cannot_be_synced_is_no_error_but_a_file_is(tmp_path, monkeypatch):
    def fsync(handle):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "file").touch()
    module.sync(tmp_path)
    with pytest.raises(OSError, match="Invalid argument"):
        module.sync(tmp_path / "file")


def test_the_journal_goes_before_the_file_it_speaks_of(tmp_path, monkeypatch):
    """Cleared in the other order, a journal could outlive its file and be believed of the next one."""
    with Output(tmp_path / "out", keep=True) as output:
        output.partial.write_text("half")
        output.note({"committed": 1, "images": 3, "inputs": {}, "runs": []})
        monkeypatch.setattr(os, "truncate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            output.clear()
        assert not output.journal.exists()
        assert not output.resumable


def test_a_copy_to_be_changed_is_on_the_disk_before_its_journal(tmp_path, monkeypatch):
    (tmp_path / "old").write_bytes(b"content")
    order = []
    monkeypatch.setattr(module, "sync", lambda path: order.append(path.resolve().name))
    monkeypatch.setattr(module, "write_json", lambda path, state: order.append(Path(path).name))
    with Output(tmp_path / "out", keep=True) as output:
        output.begin_with(tmp_path / "old", {})
        assert output.partial.read_bytes() == b"content"
    assert order == ["out.partial", "out.partial.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 9999, "{}", '{"committed": 1}', b"\xff"]
    + [
        json.dumps({"committed": 1, "images": 3, "inputs": {}, "runs": []} | change)
        for change in ({"committed": 4}, {"committed": -1}, {"committed": "1"}, {"inputs": []}, {"runs": {}})
    ],
)
def test_a_journal_that_is_none(tmp_path, text):
    output = Output(tmp_path / "out")
    output.journal.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DamagedFile, match=r"out\.partial\.json should say how far .*\n--overwrite begins again\."):
        output.read_journal()


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 9999, '{"inputs": 3}', '{"runs": {}}', b"\xff"])
def test_a_record_that_is_none_is_as_no_record(tmp_path, text):
    path = record_path(tmp_path / "out")
    assert path.name == "out.run.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert read_record(tmp_path / "out") == {}
    path.unlink()
    assert read_record(tmp_path / "out") == {}


def test_a_command_line_that_is_not_utf8_can_be_recorded(tmp_path):
    write_json(tmp_path / "j", {"command": ["caf\udce9", "é"]})
    found = json.loads((tmp_path / "j").read_text(encoding="utf-8"))
    assert (without_digest(found), is_intact(found)) == ({"command": ["caf\udce9", "é"]}, True)


def test_results_without_a_number_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"), Output(tmp_path / "out") as output:
        output.write_json({"accuracy": float("nan")})


def test_a_finished_file_is_taken_without_a_copy_and_with_the_lock(tmp_path):
    made = tmp_path / "made"
    made.write_bytes(b"whole")
    number = made.stat().st_ino
    with Output(tmp_path / "a.h5", keep=True) as output:
        output.take(made, {"images": 1, "committed": 1, "inputs": {}, "runs": []})
        with pytest.raises(Busy), Output(tmp_path / "a.h5", keep=True):
            pass
        assert output.resumable
        output.accept()
    assert (tmp_path / "a.h5").read_bytes() == b"whole"
    assert (tmp_path / "a.h5").stat().st_ino == number
    assert os.listdir(tmp_path) == ["a.h5"]
