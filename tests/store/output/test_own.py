"""Names beside an output that anybody can foresee: a link there is never followed, a file of somebody else not used."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from real_files import write_activations, write_all

from fne_cli.errors import BadInput
from fne_cli.steps.analyze import analyze
from fne_cli.steps.discretize import discretize
from fne_cli.steps.export import export
from fne_cli.steps.normalize import normalize
from fne_cli.store.output.notes import read_record, write_json
from fne_cli.store.output.own import check_folder, open_own, replacing
from fne_cli.store.output.partial import Output
from fne_cli.tasks.parts import Parts


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that nobody named."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "diary"
    path.write_text("dear diary")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_a_partial_file_that_is_a_link_is_refused(folder, victim):
    (folder / "out.partial").symlink_to(victim)
    with pytest.raises(BadInput, match=r"out\.partial should be a file that fne alone .* Found: a link"):
        Output(folder / "out").__enter__()
    assert victim.read_text() == "dear diary"
    (folder / "out.partial").unlink()
    (folder / "out.partial").symlink_to("nowhere")
    with pytest.raises(BadInput, match="Found: a link"):
        Output(folder / "out", keep=True).__enter__()
    assert not (folder / "nowhere").exists()


def test_a_partial_file_with_two_names_is_refused(folder, victim):
    """It may be somebody's file, or the copy of a backup that links what has not changed."""
    os.link(victim, folder / "out.partial")
    with pytest.raises(BadInput, match="Found: a file with 2 names"):
        Output(folder / "out").__enter__()
    assert victim.read_text() == "dear diary"


def test_what_is_no_file_is_refused(folder):
    os.mkfifo(folder / "out.partial")
    with pytest.raises(BadInput, match="Found: a device or a pipe"):
        Output(folder / "out").__enter__()


@pytest.mark.parametrize(("mode", "refused"), [(0o1777, True), (0o777, False), (0o755, False)])
def test_a_file_of_another_user_where_everybody_may_write(folder, monkeypatch, mode, refused):
    """As the kernel has it (fs.protected_regular): in a folder without the sticky bit it could be replaced anyway."""
    path = folder / "out.partial"
    path.touch()
    folder.chmod(mode)
    real = os.fstat

    def of_another(handle: int) -> os.stat_result:
        found = [*real(handle)[:10]]
        found[4] = os.geteuid() + 1
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", of_another)  # root alone could give a file away
    if not refused:
        os.close(open_own(path))
        return
    with pytest.raises(BadInput, match="Found: a file of another user"):
        open_own(path)
    with pytest.raises(BadInput, match="Found: a file of another user"):
        open_own(path, create=False)


@pytest.mark.parametrize("name", ["out.partial.json", "out.run.json", "out.run.json.next"])
@pytest.mark.parametrize("scratch", ["", ".new"])
def test_journals_and_records_that_are_links(folder, victim, name, scratch):
    (folder / (name + scratch)).symlink_to(victim)
    with Output(folder / "out", keep=True) as output:
        output.into.write_text("content")
        output.note({"committed": 1, "images": 1, "inputs": {}, "runs": []})
        output.accept({"runs": []})
    assert victim.read_text() == "dear diary"
    assert sorted(os.listdir(folder)) == ["out", "out.run.json"]
    assert not (folder / "out.run.json").is_symlink()
    assert read_record(folder / "out")["runs"] == []


def test_a_scratch_file_with_two_names_is_not_written_to(folder, victim):
    os.link(victim, folder / "j.new")
    write_json(folder / "j", {"a": 1})
    assert victim.read_text() == "dear diary"
    assert os.listdir(folder) == ["j"]


def test_a_record_that_is_a_pipe_is_none(folder):
    os.mkfifo(folder / "out.run.json")
    assert read_record(folder / "out") == {}


def test_an_error_leaves_no_scratch_file_and_names_the_file(folder):
    with pytest.raises(OSError, match="full") as raised, replacing(folder / "j"):
        raise OSError(28, "full")
    assert raised.value.filename == str(folder / "j")
    assert os.listdir(folder) == []


@pytest.mark.parametrize("there", [True, False])
def test_an_output_that_is_a_link_is_refused(folder, victim, there):
    """Nobody can know whether the link or the file is to be replaced."""
    target = victim if there else victim.with_name("absent")
    (folder / "out").symlink_to(target)
    with pytest.raises(BadInput, match=r"out should be a file to write\. Found: a link, to .*\.\nName the file"):
        Output(folder / "out").__enter__()
    assert victim.read_text() == "dear diary"
    assert os.listdir(victim.parent) == ["diary"]
    assert os.listdir(folder) == ["out"]


def test_an_output_behind_a_link_may_be_up_to_date(folder, tmp_path):
    source, moments, _ = write_all(tmp_path)
    (folder / "m.h5").symlink_to(moments)
    assert normalize(source, folder / "m.h5").up_to_date
    with pytest.raises(BadInput, match="Found: a link"):
        normalize(source, folder / "m.h5", rows="all", overwrite=True)


def test_a_folder_that_is_a_link_may_be_gone_through(folder, tmp_path):
    (tmp_path / "short").symlink_to(folder)
    source = write_activations(tmp_path / "a.h5")
    assert not normalize(source, tmp_path / "short" / "m.h5").up_to_date
    assert (folder / "m.h5").is_file()


def test_a_link_put_there_while_the_command_writes_is_not_followed(folder, tmp_path, victim, monkeypatch):
    """In a folder that others can write to the name may change its meaning at any moment; the locked file does not."""
    source, moments, codes = write_all(tmp_path)
    for number, (work, name) in enumerate((
        (lambda path: normalize(source, path), "m.h5"),
        (lambda path: discretize(source, moments, path), "c.h5"),
        (lambda path: analyze(source, path, random_classes=5), "b.h5"),
        (lambda path: export(codes, path), "a.npy"),
        (lambda path: export(codes, path), "a.npz"),
        (lambda path: export(codes, path), "a.csv"),
        (lambda path: export(codes, path), "a.svm"),
        (lambda path: export(codes, path), "a.parquet"),
    )):  # fmt: skip
        place = folder / str(number)
        place.mkdir()
        entered = Output.__enter__

        def bends(output: Output, real=entered) -> Output:
            real(output)
            output.partial.unlink()
            output.partial.symlink_to(victim)
            return output

        with monkeypatch.context() as patches:
            patches.setattr(Output, "__enter__", bends)
            with pytest.raises(Exception, match="should be the file that this command has written"):
                work(place / name)
        assert victim.read_text() == "dear diary", name
        assert not (place / name).exists()


def test_folders_that_are_links(folder, victim):
    (folder / "out.parts").symlink_to(victim.parent)
    with pytest.raises(BadInput, match=r"out\.parts should be a folder that fne alone .* Found: a link"):
        Parts(folder / "out", {}, {}, cluster=Sizes()).__enter__()  # type: ignore[arg-type]  # as far as it comes
    with pytest.raises(BadInput, match="Found: a link"):
        check_folder(folder / "out.parts")
    assert os.listdir(victim.parent) == ["diary"]


class Sizes:
    sizes = None


def test_a_sample_is_written_through_no_link(fne, folder, victim):
    (folder / "digits.partial").symlink_to(victim.parent)
    result = fne("sample", "digits", folder / "digits")
    assert result.code == 1
    assert "digits.partial should be a folder that fne alone writes to, or none. Found: a link" in result.err
    assert os.listdir(victim.parent) == ["diary"]


def test_why_a_file_beside_the_output_cannot_be_made(folder, monkeypatch):
    real = os.open

    def full(path, *more):
        if str(path).endswith(".new"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *more)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(folder / "a.json", {"a": 1})


def test_a_record_stays_though_the_time_of_its_output_is_another_when_looked_at_by_name(folder, monkeypatch):
    """As some network file systems have it."""
    real = os.replace

    def replaced(old, new):
        real(old, new)
        if Path(new).name == "out":
            os.utime(new, ns=(0, 0))

    monkeypatch.setattr(os, "replace", replaced)
    with Output(folder / "out") as output:
        output.write_json({})
        output.accept({"runs": [1]})
    assert read_record(folder / "out")["runs"] == [1]
    assert sorted(path.name for path in folder.glob("out*")) == ["out", "out.run.json"]


def test_another_process_that_begins_at_once_keeps_its_journal_and_its_record(folder, monkeypatch):
    """As soon as the output has its name, its lock is free."""
    real, second = os.replace, Output(folder / "out", keep=True)

    def replaced(old, new):
        real(old, new)
        if Path(new).name == "out" and second._lock is None:
            second.__enter__()
            second.begin_with(folder / "out", {"of": "the second"})

    with Output(folder / "out") as output:
        output.write_json({})
        monkeypatch.setattr(os, "replace", replaced)
        output.accept({"runs": [1]})
    assert json.loads(second.journal.read_text())["of"] == "the second"
    assert read_record(folder / "out")["runs"] == [1]
    second.__exit__(None, None)
