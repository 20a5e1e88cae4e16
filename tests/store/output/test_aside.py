"""OUTPUT.known: unfinished work of images that have changed since."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from real_files import INPUTS, SOFTWARE, add, found, images, layers, rows_of, settings

from fne_cli.errors import Busy, DamagedFile, DifferentOutput
from fne_cli.store.format import chunks
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import Images, Layer
from fne_cli.store.output import aside
from fne_cli.store.output.aside import Unfinished
from fne_cli.store.output.partial import Output
from fne_cli.store.output.resume import Growing

COUNT, CROPS, BAD = 11, 5, (2, 9)
SPECS = [Layer("big", (200,), np.dtype("f4")), *layers((3,), (2, 2))]


@pytest.fixture(scope="module", autouse=True)
def _small_chunks() -> Iterator[None]:
    """13 rows of `big` in a chunk."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(chunks, "CHUNK_BYTES", 13 * 800)
        yield


def values() -> dict[str, np.ndarray]:
    bad = [number * CROPS + crop for number in BAD for crop in range(CROPS)]
    return rows_of(SPECS, COUNT * CROPS, bad)


def interrupted(path: Path, committed: int = 7, written: int = 8, **changed: Any) -> Output:
    """Work of which so many images are safe, and a few more are written."""
    table = images(COUNT)
    output = Output(path, keep=True)
    with output, Growing.start(output, SPECS, table, settings(CROPS, **changed), INPUTS, SOFTWARE) as growing:
        if committed:
            add(growing, table, values(), 0, committed, CROPS, BAD)
            growing.commit()
        add(growing, table, values(), committed, written, CROPS, BAD)
    return output


def set_aside(path: Path, **options: Any) -> bool:
    with interrupted(path, **options) as output:
        return Unfinished(output).set_aside()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same(settings: Any) -> Any:
    return settings


def test_it_is_moved_with_a_note_and_the_output_can_be_begun(tmp_path):
    output = interrupted(tmp_path / "a.h5")
    with output:
        content = output.partial.stat().st_ino
        assert Unfinished(output).set_aside()
        assert names(tmp_path) == ["a.h5.known", "a.h5.known.json", "a.h5.partial"]
        assert (tmp_path / "a.h5.known").stat().st_ino == content
        assert not output.resumable
        with pytest.raises(Busy), Output(tmp_path / "a.h5", keep=True):
            pass
        with Growing.start(output, SPECS, images(3), settings(CROPS), INPUTS, SOFTWARE) as growing:
            assert growing.committed == 0
    assert aside.find(tmp_path / "a.h5") == aside.Aside(tmp_path / "a.h5.known", 7, [])
    aside.forget(tmp_path / "a.h5")
    assert names(tmp_path) == ["a.h5.partial", "a.h5.partial.json"]
    aside.forget(tmp_path / "a.h5")
    assert aside.find(tmp_path / "a.h5") is None


@pytest.mark.parametrize("committed", [1, 5, 7, 10, 11])
def test_what_is_safe_can_be_read(tmp_path, committed):
    set_aside(tmp_path / "a.h5", committed=committed, written=min(COUNT, committed + 1))
    rows = values()
    with open_file(tmp_path / "a.h5.known", "activations", unfinished=True) as file:
        for name, layer in file.layers.items():
            np.testing.assert_array_equal(
                layer.read_stored(0, committed * CROPS), rows[name][: committed * CROPS].astype("f4")
            )
        sha256 = [value.decode() for value in file.column("images/sha256", 0, committed).tolist()]
    assert sha256 == found(images(COUNT))[2][:committed]


def torn(path: Path) -> None:
    """A kill in the middle of a write: the last chunk has new bytes, and the old checksum."""
    with h5py.File(path) as file:
        data = file["layers/big"]
        assert 8 * CROPS % data.chunks[0], "there are rows behind"
        last = (8 * CROPS - 1) // data.chunks[0]
        where, size = (getattr(data.id.get_chunk_info(last), name) for name in ("byte_offset", "size"))
    with open(path, "r+b") as file:
        file.seek(where + size - 100)
        file.write(b"\x55" * 90)


def test_a_chunk_that_a_kill_tore_gets_a_right_checksum(tmp_path):
    """Rows behind those that are safe have changed; those that are safe have not."""
    output = interrupted(tmp_path / "a.h5", 8, 9)
    torn(output.partial)
    with h5py.File(output.partial) as file, pytest.raises(OSError, match="filter returned failure"):
        file["layers/big"][8 * CROPS - 1]
    with output:
        Unfinished(output).set_aside()
    with open_file(tmp_path / "a.h5.known", "activations", unfinished=True) as file:
        np.testing.assert_array_equal(file.layers["big"].read_stored(0, 8 * CROPS), values()["big"][: 8 * CROPS])


def test_images_that_were_being_read_again_do_not_count(tmp_path):
    """Half written, they are blank; their neighbours in the same chunk are as they were."""
    output = interrupted(tmp_path / "a.h5", 11, 11)
    journal = output.read_journal() | {"retry": [9, 2]}
    output.note(journal)
    with h5py.File(output.partial) as file:
        data = file["layers/big"]
        where = data.id.get_chunk_info(2 * CROPS // data.chunks[0]).byte_offset
    with open(output.partial, "r+b") as file:
        file.seek(where + (2 * CROPS % 13) * 800)
        file.write(b"\x55" * 300)
    with output:
        Unfinished(output).set_aside()
    known = aside.find(tmp_path / "a.h5")
    assert (known.count, known.skip) == (11, [2, 9])
    rows = values()["big"].reshape(COUNT, CROPS, 200)
    with open_file(known.path, "activations", unfinished=True) as file:
        stored = file.layers["big"].read_stored(0, COUNT * CROPS).reshape(COUNT, CROPS, 200)
        sha256 = file.column("images/sha256", 0, COUNT).tolist()
    others = [number for number in range(COUNT) if number not in BAD]
    np.testing.assert_array_equal(stored[others], rows[others])
    assert not stored[list(BAD)].any()
    assert [sha256[number] for number in BAD] == [b"", b""]


def test_of_two_the_one_with_more_images_stays(tmp_path):
    path = tmp_path / "a.h5"
    assert set_aside(path, committed=7)
    one = (tmp_path / "a.h5.known").stat().st_ino
    assert not set_aside(path, committed=6)
    assert ((tmp_path / "a.h5.known").stat().st_ino, aside.find(path).count) == (one, 7)
    assert set_aside(path, committed=9, written=10)
    assert ((tmp_path / "a.h5.known").stat().st_ino != one, aside.find(path).count) == (True, 9)
    assert set_aside(path, committed=9, written=10), "the newer of two alike"


def test_nothing_that_is_safe_is_nothing_to_keep(tmp_path):
    set_aside(tmp_path / "a.h5", committed=0, written=2)
    assert names(tmp_path) == []


def test_whose_work_it_is(tmp_path):
    output = interrupted(tmp_path / "a.h5")
    with output:
        work = Unfinished(output)
        assert work.is_of(settings(CROPS), images(COUNT), same)
        assert not work.is_of(settings(CROPS), images(COUNT - 1), same)
        other = images(COUNT)
        other.label = np.where(np.arange(COUNT) == 10, 0, other.label).astype(np.int32)
        assert not work.is_of(settings(CROPS), other, same), "though image 10 is not safe yet"
        with pytest.raises(DifferentOutput) as raised:
            work.is_of(settings(CROPS, xla=True), images(COUNT - 1), same)
        assert (
            "a.h5.partial is the unfinished work of a run with other inputs or settings:\n  xla: false in the"
            in str(raised.value)
        )
        assert not work.is_of(settings(CROPS, xla=True), images(COUNT), lambda found: {**found, "xla": 0})
        assert work.contents() == found(images(COUNT))[2][:7]
        assert work.bad() == {2}
    assert output.resumable, "looking changes nothing"


@pytest.mark.parametrize(
    "note",
    ["", "[]", "5", "{}", '{"count": -1, "skip": []}', '{"count": true, "skip": []}', '{"count": "7", "skip": []}',
     '{"count": 7, "skip": [-1]}', '{"count": 7, "skip": ["1"]}', '{"count": 7, "skip": 5}', '{"count": 7}'],
)  # fmt: skip
def test_a_note_that_is_hostile_counts_for_nothing(tmp_path, note):
    set_aside(tmp_path / "a.h5")
    (tmp_path / "a.h5.known.json").write_text(note)
    assert aside.find(tmp_path / "a.h5") is None
    aside.forget(tmp_path / "a.h5")
    assert names(tmp_path) == []


def test_a_note_without_a_file(tmp_path):
    set_aside(tmp_path / "a.h5")
    (tmp_path / "a.h5.known").unlink()
    assert aside.find(tmp_path / "a.h5") is None


def cut(output: Output) -> None:
    os.truncate(output.partial, 5000)


def of_another_kind(output: Output) -> None:
    with h5py.File(output.partial, "r+") as file:
        file.attrs["kind"] = np.bytes_(b"moments")


@pytest.mark.parametrize("damage", [cut, of_another_kind])
def test_work_that_is_damaged_is_told(tmp_path, damage):
    output = interrupted(tmp_path / "a.h5")
    damage(output)
    with output, pytest.raises(DamagedFile, match="cannot be resumed: --overwrite begins again"):
        Unfinished(output).is_of(settings(CROPS), images(COUNT), same)
    output.journal.write_text("{")
    with output, pytest.raises(DamagedFile, match="--overwrite begins again"):
        Unfinished(output)


def test_somebody_else_is_quicker(tmp_path, monkeypatch):
    """Between the move and the new lock another process may come: the work is safe, and the right is theirs."""
    import fcntl

    output = interrupted(tmp_path / "a.h5")
    others: list[int] = []
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        real(source, target)
        if str(target).endswith(".known"):
            others.append(os.open(output.partial, os.O_RDWR | os.O_CREAT))
            fcntl.flock(others[0], fcntl.LOCK_EX)

    with pytest.raises(Busy), output:
        monkeypatch.setattr(os, "replace", replace)
        Unfinished(output).set_aside()
    assert aside.find(tmp_path / "a.h5").count == 7
    assert (tmp_path / "a.h5.partial").exists(), "it is theirs"
    os.close(others[0])


class Killed(BaseException):
    pass


@pytest.mark.parametrize("older", [0, 3])
def test_killed_anywhere_all_that_was_safe_stays_so(tmp_path, monkeypatch, older):
    """As OUTPUT.partial or as OUTPUT.known; an older one goes only when this one is to take its place."""
    for point in range(100):
        path = tmp_path / f"{point}" / "a.h5"
        path.parent.mkdir()
        if older:
            set_aside(path, committed=older)
        output = interrupted(path)
        left = point
        with monkeypatch.context() as patches:

            def kill(real: Any) -> Any:
                def call(*arguments: Any, **options: Any) -> Any:
                    nonlocal left
                    left -= 1
                    if left < 0:
                        raise Killed
                    return real(*arguments, **options)

                return call

            for owner, name in ((os, "replace"), (os, "unlink"), (os, "fsync"), (Path, "unlink"),
                                (chunks, "write_chunk")):  # fmt: skip
                patches.setattr(owner, name, kill(getattr(owner, name)))
            output.__enter__()
            done = False
            try:
                Unfinished(output).set_aside()
                done = True
            except Killed:
                pass
            os.close(output._lock)  # the process is gone
            output._lock = None
        after = Output(path, keep=True)
        known = aside.find(path)
        if after.resumable:
            assert after.read_journal()["committed"] == 7
            with after, Growing.start(after, SPECS, images(COUNT), settings(CROPS), INPUTS, SOFTWARE) as growing:
                assert growing.sha256() == found(images(COUNT))[2][:7]
        else:
            assert known.count == 7
        if known is not None:
            with open_file(known.path, "activations", unfinished=True) as file:
                rows = file.layers["big"].read_stored(0, known.count * CROPS)
            np.testing.assert_array_equal(rows, values()["big"][: known.count * CROPS])
        if done:
            assert point > 5
            return
    pytest.fail("it never ended")


def test_the_table_of_another_length(tmp_path):
    table: Images = images(4)
    output = interrupted(tmp_path / "a.h5")
    with output:
        assert not Unfinished(output).is_of(settings(CROPS), table, same)
    assert json.loads(output.journal.read_text())["committed"] == 7
