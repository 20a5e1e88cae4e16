"""fne extract: from the command line to the bytes of the file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from pictures import write_image
from PIL import Image
from waiting import PROGRAM, committed, wait_for


def rows(path: Path, layer: str = "dense") -> np.ndarray:
    with h5py.File(path) as file:
        return file["layers"][layer][:]


def column(path: Path, name: str) -> list:
    with h5py.File(path) as file:
        values = file[name][:]
        return values.astype(str).tolist() if values.dtype.kind == "S" else values.tolist()


def test_second_run_is_up_to_date_and_loads_no_tensorflow(extract, photos, tmp_path):
    output = tmp_path / "a.h5"
    assert extract(photos, output).code == 0
    before = output.read_bytes()
    again = extract(photos, output)
    assert again.code == 0
    assert "up to date: 26 images" in again.err
    assert again.out == ""
    assert output.read_bytes() == before
    record = json.loads((tmp_path / "a.h5.run.json").read_text())
    assert record["images"] == 26
    (run,) = record["runs"]
    assert run["batch_rows"] == run["batch_rows_used"] == 4
    assert run["images"] == 26


def test_up_to_date_in_a_process_of_its_own_without_tensorflow(extract, network, photos, tmp_path):
    output = tmp_path / "a.h5"
    extract(photos, output)
    program = (
        "import sys\nfrom fne_cli.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n"
        "    assert not end.code, end.code\n    assert not {'tensorflow', 'keras'} & set(sys.modules), 'loaded'\n"
    )
    command = ["extract", photos, output, "--model", network, "--preprocess", "tf", "--batch-size", "4"]
    done = subprocess.run([sys.executable, "-c", program, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stderr


def test_two_runs_write_the_same_bytes(extract, photos, tmp_path):
    for name in ("a.h5", "b.h5"):
        assert extract(photos, tmp_path / name).code == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("memory", ["1", "20K", "2.5G"])
def test_the_bytes_do_not_depend_on_the_memory_for_decoding(extract, photos, tmp_path, memory):
    (photos / "train" / "b" / "05.png").write_bytes(b"")
    assert extract(photos, tmp_path / "a.h5", "--max-bad", 1).code == 0
    assert extract(photos, tmp_path / "b.h5", "--max-bad", 1, "--decode-memory", memory, "--workers", 5).code == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_memory_for_decoding_is_a_size(extract, photos, tmp_path):
    done = extract(photos, tmp_path / "a.h5", "--decode-memory", "much")
    assert done.code == 2
    assert "should be a size such as 500M or 2G, found 'much'" in done.err


def test_an_image_that_this_machine_cannot_hold_is_bad_and_is_read_again_where_there_is_more(
    extract, photos, tmp_path, monkeypatch
):
    output = tmp_path / "a.h5"
    Image.new("RGB", (1200, 1000)).save(photos / "train" / "a" / "large.png")
    with monkeypatch.context() as patched:
        patched.setattr("fne_cli.images.pixels.memory.free_memory", lambda: 5_000_000)
        done = extract(photos, output, "--decode-memory", "1M", "--max-bad", 1)
    assert done.code == 0
    assert "train/a/large.png: it takes about 10 MB to decode, and less is free" in done.err
    assert extract(photos, output, "--retry-bad").code == 0
    assert extract(photos, tmp_path / "b.h5").code == 0
    assert output.read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("batch", [1, 3, 7, 26, 100])
def test_activations_do_not_depend_on_the_batch_size(extract, photos, tmp_path, batch):
    assert extract(photos, tmp_path / "a.h5").code == 0
    assert extract(photos, tmp_path / "b.h5", "--batch-size", batch).code == 0
    for layer in ("conv1", "conv2", "dense"):
        np.testing.assert_allclose(rows(tmp_path / "b.h5", layer), rows(tmp_path / "a.h5", layer), rtol=1e-5, atol=1e-6)


def test_other_settings_exit_4_and_name_the_difference(extract, photos, tmp_path):
    output = tmp_path / "a.h5"
    extract(photos, output)
    before = output.read_bytes()
    other = extract(photos, output, "--resize", "crop")
    assert other.code == 4
    assert 'resize: "squash" in the existing output, "crop" asked for' in other.err
    assert output.read_bytes() == before
    assert not list(tmp_path.glob("*.partial*"))
    assert extract(photos, output, "--resize", "crop", "--overwrite").code == 0
    assert output.read_bytes() != before


def test_the_same_settings_said_otherwise_are_up_to_date(extract, photos, tmp_path):
    extract(photos, tmp_path / "a.h5")
    again = extract(photos, tmp_path / "a.h5", "--layers", "conv*,dense")
    assert (again.code, "up to date" in again.err) == (0, True)


def test_a_touched_image_costs_nothing_and_a_new_one_only_itself(extract, photos, tmp_path):
    output = tmp_path / "a.h5"
    extract(photos, output)
    os.utime(photos / "test" / "a" / "00.png", (1, 1))
    assert extract(photos, output).code == 0
    assert extract(photos, output).err.count("reading") == 0, "the new time was not remembered"
    write_image(photos / "test" / "a" / "00.png", 999)
    changed = extract(photos, output)
    assert (changed.code, "25 of them are known, 1 are computed" in changed.err) == (0, True)
    assert "1 image with other content: test/a/00.png" in changed.err
    write_image(photos / "test" / "a" / "00.png", 0)
    write_image(photos / "test" / "a" / "new.png", 1)
    more = extract(photos, output)
    assert "a.h5 is made again, as its images have changed:\n  1 image added: test/a/new.png\n" in more.err
    extract(photos, tmp_path / "fresh.h5")
    assert output.read_bytes() == (tmp_path / "fresh.h5").read_bytes()


def test_recheck_reads_images_whose_size_and_time_are_the_same(extract, photos, tmp_path):
    image = photos / "test" / "a" / "00.png"
    extract(photos, tmp_path / "a.h5")
    status = image.stat()
    content = bytearray(image.read_bytes())
    content[-20] ^= 1
    image.write_bytes(content)
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "up to date" in extract(photos, tmp_path / "a.h5").err
    found = extract(photos, tmp_path / "a.h5", "--recheck")
    assert (found.code, "1 image with other content: test/a/00.png" in found.err) == (3, True)


@pytest.fixture
def spoilt(photos: Path) -> Path:
    """The photos with two bad ones among them."""
    (photos / "train" / "a" / "05x.png").write_bytes(b"")
    (photos / "train" / "b" / "99.jpg").write_bytes(b"not an image at all")
    return photos


def test_bad_images_keep_their_rows_and_shift_no_other(extract, photos, spoilt, tmp_path):
    result = extract(spoilt, tmp_path / "bad.h5")
    assert result.code == 3
    assert not (tmp_path / "bad.h5").exists()
    assert "2 of 28 images are bad:\n  train/a/05x.png: 0 bytes\n  train/b/99.jpg: not an image" in result.err
    accepted = extract(spoilt, tmp_path / "bad.h5", "--max-bad", "2")
    assert accepted.code == 0
    (spoilt / "train" / "a" / "05x.png").unlink()
    (spoilt / "train" / "b" / "99.jpg").unlink()
    extract(photos, tmp_path / "good.h5")
    paths = column(tmp_path / "bad.h5", "images/path")
    status = np.array(column(tmp_path / "bad.h5", "images/status"))
    assert [paths[number] for number in np.flatnonzero(status)] == ["train/a/05x.png", "train/b/99.jpg"]
    for layer in ("conv1", "conv2", "dense"):
        assert np.isnan(rows(tmp_path / "bad.h5", layer)[status > 0]).all()
        np.testing.assert_array_equal(rows(tmp_path / "bad.h5", layer)[status == 0], rows(tmp_path / "good.h5", layer))


def test_accepting_more_bad_images_computes_nothing(extract, spoilt, tmp_path, monkeypatch):
    assert extract(spoilt, tmp_path / "a.h5").code == 3
    from fne_cli.networks import prepared

    monkeypatch.setattr(prepared.Prepared, "of", lambda *_: pytest.fail("the network was built"))
    assert extract(spoilt, tmp_path / "a.h5", "--max-bad", "1").code == 3
    assert extract(spoilt, tmp_path / "a.h5", "--max-bad", "10%").code == 0
    assert not list(tmp_path.glob("*.partial*"))


def test_retry_bad_reads_only_the_bad_images_again(extract, spoilt, tmp_path):
    output = tmp_path / "a.h5"
    extract(spoilt, output, "--max-bad", "2")
    write_image(spoilt / "train" / "a" / "05x.png", 50)
    Image.new("RGB", (9, 9), "red").save(spoilt / "train" / "b" / "99.jpg")
    result = extract(spoilt, output, "--retry-bad")
    assert result.code == 0, result.err
    assert set(column(output, "images/status")) == {0}
    run = json.loads((tmp_path / "a.h5.run.json").read_text())["runs"][-1]
    assert run["images"] == 2
    extract(spoilt, tmp_path / "fresh.h5")
    assert output.read_bytes() == (tmp_path / "fresh.h5").read_bytes()


def test_retry_bad_on_the_waiting_output_of_a_refused_run(extract, spoilt, tmp_path):
    output = tmp_path / "a.h5"
    assert extract(spoilt, output).code == 3
    write_image(spoilt / "train" / "a" / "05x.png", 50)
    (spoilt / "train" / "b" / "99.jpg").write_bytes(b"still not")
    assert extract(spoilt, output, "--retry-bad").code == 3
    assert extract(spoilt, output, "--max-bad", "1").code == 0
    assert sum(column(output, "images/status")) == 4


@pytest.mark.parametrize("count", [2, 3])
def test_merged_shards_are_the_bytes_of_a_whole_run(fne, extract, spoilt, tmp_path, count):
    extract(spoilt, tmp_path / "whole.h5", "--max-bad", "9")
    shards = [tmp_path / f"part{number}.h5" for number in range(1, count + 1)]
    for number, shard in enumerate(shards, start=1):
        assert extract(spoilt, shard, "--max-bad", "9", "--shard", f"{number}/{count}").code == 0
    assert fne("merge", *reversed(shards), tmp_path / "merged.h5").code == 0
    assert (tmp_path / "merged.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert "up to date" in fne("merge", *shards, tmp_path / "merged.h5").err
    missing = fne("merge", *shards[1:], tmp_path / "less.h5")
    assert (missing.code, f"Missing: 1/{count}" in missing.err) == (1, True)


def test_shards_of_other_settings_do_not_merge(fne, extract, photos, tmp_path):
    extract(photos, tmp_path / "1.h5", "--shard", "1/2")
    extract(photos, tmp_path / "2.h5", "--shard", "2/2", "--resize", "crop")
    result = fne("merge", tmp_path / "1.h5", tmp_path / "2.h5", tmp_path / "out.h5")
    assert result.code == 1
    assert "resize" in result.err
    assert not (tmp_path / "out.h5").exists()


def test_crops_are_rows_and_the_centre_is_among_them(extract, photos, tmp_path):
    extract(photos, tmp_path / "one.h5")
    assert extract(photos, tmp_path / "ten.h5", "--crops", 10).code == 0
    assert rows(tmp_path / "ten.h5").shape == (260, 20)
    by_image = rows(tmp_path / "ten.h5").reshape(26, 10, 20)
    assert len(np.unique(by_image[0], axis=0)) == 10


def test_float16_storage_is_the_rounded_float32(extract, photos, tmp_path):
    extract(photos, tmp_path / "a.h5")
    extract(photos, tmp_path / "b.h5", "--dtype", "float16")
    np.testing.assert_array_equal(rows(tmp_path / "b.h5"), rows(tmp_path / "a.h5").astype(np.float16))


def test_pooling_none_stores_the_maps_and_avg_is_their_mean(extract, photos, tmp_path):
    extract(photos, tmp_path / "a.h5")
    extract(photos, tmp_path / "b.h5", "--pool", "conv1=none,conv2=max:2")
    maps = rows(tmp_path / "b.h5", "conv1")
    assert maps.shape == (26, 10, 10, 12)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), rows(tmp_path / "a.h5", "conv1"), rtol=1e-5, atol=1e-6)
    assert rows(tmp_path / "b.h5", "conv2").shape == (26, 24)


def test_manifest_with_boxes_has_a_row_for_each_box(extract, tmp_path):
    write_image(tmp_path / "one.png", 1, (40, 30))
    lines = [
        {"path": "one.png", "label": "x", "x0": 0, "y0": 0, "x1": 20, "y1": 30},
        {"path": "one.png", "label": "y", "x0": 20, "y0": 0, "x1": 40, "y1": 30},
        {"path": "one.png", "label": "y"},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert extract(tmp_path / "m.jsonl", tmp_path / "a.h5").code == 0
    assert column(tmp_path / "a.h5", "images/path") == ["one.png#0,0,20,30", "one.png#20,0,40,30", "one.png"]
    halves = tmp_path / "halves"
    halves.mkdir()
    with Image.open(tmp_path / "one.png") as image:
        image.crop((0, 0, 20, 30)).save(halves / "0.png")
        image.crop((20, 0, 40, 30)).save(halves / "1.png")
    extract(halves, tmp_path / "b.h5")
    np.testing.assert_array_equal(rows(tmp_path / "a.h5")[:2], rows(tmp_path / "b.h5"))


def test_tar_and_folder_give_the_same_rows(extract, photos, tmp_path):
    subprocess.run(["tar", "-cf", tmp_path / "photos.tar", "-C", photos, "."], check=True)
    extract(photos, tmp_path / "a.h5")
    extract(tmp_path / "photos.tar", tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_what_is_found_is_said_before_the_work(extract, photos, network, tmp_path):
    (photos / "test/a/notes.md").touch()
    (photos / "test/a/copy").write_bytes((photos / "train/b/01.png").read_bytes())
    (photos / "test/a/gone.png").symlink_to("nowhere.png")
    (photos / "test/d").mkdir()
    (photos / "test/@eaDir").mkdir()
    found = [
        f"{photos}: 28 images (train 17, test 11), 3 classes, 0 images without label",
        "  1 file left out: .md 1",
        "  folders left out by name: @eaDir 1",
        "  1 link that leads nowhere: test/a/gone.png",
        "  1 class folder without images: test/d",
        f"loading {network}",
        "left out: scores (classifier)",
    ]
    dry = extract(photos, tmp_path / "a.h5", "--dry-run")
    assert (dry.code, dry.err.splitlines()) == (0, found)
    done = extract(photos, tmp_path / "a.h5", "--max-bad", 1)
    assert (done.code, done.err.splitlines()[:7]) == (0, found)
    assert "test/a/copy" in column(tmp_path / "a.h5", "images/path")
    quiet = extract(photos, tmp_path / "b.h5", "--max-bad", 1, "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_wrapped_and_other_split_names_change_no_number(extract, photos, tmp_path):
    extract(photos, tmp_path / "a.h5")
    (photos / "train").rename(photos / "Training_Set")
    (photos / "test").rename(photos / "TEST")
    (tmp_path / "around").mkdir()
    photos.rename(tmp_path / "around/photos")
    done = extract(tmp_path / "around", tmp_path / "b.h5")
    assert f"{tmp_path}/around: 26 images (train 17, test 9), 3 classes, 0 images without label\n" in done.err
    assert "  looked through the folder photos, which is around everything\n" in done.err
    order = np.argsort([name.split("/")[-1] for name in column(tmp_path / "a.h5", "images/path")])
    other = np.argsort([name.split("/")[-1] for name in column(tmp_path / "b.h5", "images/path")])
    np.testing.assert_array_equal(rows(tmp_path / "a.h5")[order], rows(tmp_path / "b.h5")[other])
    for name in ("images/split", "images/label"):
        before, after = (np.array(column(tmp_path / file, name)) for file in ("a.h5", "b.h5"))
        assert before[order].tolist() == after[other].tolist()


def test_a_manifest_of_another_program_gives_the_same_file(fne, extract, photos, tmp_path):
    paths = sorted(str(path.relative_to(photos)) for path in photos.glob("*/*/*.png"))
    table = [(path, path.split("/")[1], path.split("/")[0]) for path in paths]
    lines = ["\t".join((path.replace("/", "\\"), label, split.title())) for path, label, split in table]
    (photos / "m.tsv").write_bytes("\ufeff".encode() + "\r\n".join(["path\tclass\tsplit", *lines]).encode())
    told = extract(photos / "m.tsv", tmp_path / "b.h5")
    assert (told.code, told.err) == (
        1,
        f"fne: {photos}/m.tsv should have its classes in a column label. Found: none, but 'class'.\n"
        "Give --label-column class, or rename the column if it does not say what an image shows.\n",
    )
    extract(photos, tmp_path / "a.h5")
    done = extract(photos / "m.tsv", tmp_path / "b.h5", "--label-column", "class")
    assert done.code == 0, done.err
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    info = fne("info", tmp_path / "b.h5").out
    assert "images       26 (test 9, train 17), 1 row(s) each; 3 classes, 0 images without label\n" in info


def test_dry_run_prints_the_estimate_and_writes_nothing(extract, photos, tmp_path):
    result = extract(photos, tmp_path / "a.h5", "--dry-run")
    assert result.code == 0
    assert "26 rows x 38 features" in result.out
    assert not list(tmp_path.glob("a.h5*"))


def test_an_output_too_large_for_the_disk_is_refused_with_the_numbers(extract, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    result = extract(photos, tmp_path / "a.h5")
    assert result.code == 1
    assert "Free on its disk: 1." in result.err
    assert not list(tmp_path.glob("a.h5*"))


def test_an_empty_folder_and_a_missing_one(extract, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "should hold images. Found: none." in extract(tmp_path / "empty", tmp_path / "a.h5").err
    missing = extract(tmp_path / "nowhere", tmp_path / "a.h5")
    assert (missing.code, "no such file" in missing.err) == (1, True)


def test_output_in_a_missing_folder(extract, photos, tmp_path):
    result = extract(photos, tmp_path / "no" / "a.h5")
    assert result.code == 1
    assert f"mkdir -p {tmp_path / 'no'}" in result.err


def test_an_output_that_is_another_file_is_left_alone(extract, photos, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for more in ([], ["--overwrite"]):
        result = extract(photos, tmp_path / "notes.txt", *more)
        assert result.code == 4
        assert "Found: not made by fne." in result.err
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """More images than an extraction that is held comes to."""
    folder = tmp_path / "many"
    for image in range(300):
        write_image(folder / "a" / f"{image:03d}.png", image)
    return folder


def stopped(network: Path, images: Path, output: Path, number: int) -> tuple[list[str], int, str]:
    """The words of an extraction that gets a signal after some commits, its exit code, and what it said."""
    words = ["extract", str(images), str(output), "--model", str(network)]
    words += ["--preprocess", "tf", "--batch-size", "2", "--workers", "1"]
    go = output.with_name("go")
    process = subprocess.Popen([sys.executable, PROGRAM, go, *words], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: committed(output.with_name(output.name + ".partial.json")), process)
    process.send_signal(number)
    go.touch()
    _, err = process.communicate(timeout=300)
    return words, process.returncode, err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGUSR1, 143)])
def test_a_signal_ends_with_its_code_and_says_how_to_go_on(network, many, tmp_path, number, code):
    _, found, err = stopped(network, many, tmp_path / "a.h5", number)
    assert found == code, err
    assert "Run the same command again to go on." in err
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.slow
def test_the_same_command_goes_on_after_sigterm_to_the_same_bytes(extract, network, many, tmp_path):
    words, code, err = stopped(network, many, tmp_path / "a.h5", signal.SIGTERM)
    assert code == 143, err
    safe = committed(tmp_path / "a.h5.partial.json")
    assert 0 < safe < 300
    resumed = subprocess.run([sys.executable, "-m", "fne_cli", *words], capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert f"going on after {safe} of 300 images" in resumed.stderr
    runs = json.loads((tmp_path / "a.h5.run.json").read_text())["runs"]
    assert [run["images"] for run in runs] == [safe, 300 - safe]
    assert extract(many, tmp_path / "b.h5", "--batch-size", "2").code == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_resuming_with_other_settings_exits_4_and_keeps_the_work(extract, photos, tmp_path, monkeypatch):
    output = tmp_path / "a.h5"
    assert extract(photos, output, "--max-bad", "0").code == 0
    output.rename(tmp_path / "a.h5.partial")
    (tmp_path / "a.h5.partial.json").write_text(
        json.dumps({"images": 26, "committed": 8, "inputs": {"state": ""}, "runs": []})
    )
    other = extract(photos, output, "--crops", 5)
    assert other.code == 4
    assert "crops: 1 in the existing output, 5 asked for" in other.err
    assert (tmp_path / "a.h5.partial").exists()
    assert extract(photos, output).code == 0


def test_a_second_process_exits_5_and_harms_nothing(extract, photos, tmp_path):
    import fcntl

    (tmp_path / "a.h5.partial").touch()
    with open(tmp_path / "a.h5.partial", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        result = extract(photos, tmp_path / "a.h5")
        assert result.code == 5
        assert "is being written by another process" in result.err
        assert (tmp_path / "a.h5.partial").exists()
    assert extract(photos, tmp_path / "a.h5").code == 0


def test_a_value_beyond_float16_makes_the_image_bad_not_infinite(extract, photos, tmp_path, monkeypatch):
    from fne_cli.networks.running.extractor import Extractor

    original = Extractor.__call__

    def enlarged(self, pixels):
        return [np.asarray(values) * 1e8 for values in original(self, pixels)]

    monkeypatch.setattr(Extractor, "__call__", enlarged)
    result = extract(photos, tmp_path / "a.h5", "--dtype", "float16")
    assert result.code == 3
    assert "not finite in float16" in result.err
    assert "Or take numbers that go further: --dtype float32, with --overwrite." in result.err
    assert "mend" not in result.err
    assert extract(photos, tmp_path / "a.h5", "--dtype", "float32", "--overwrite").code == 0


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("--precision", "float16"), "Or take numbers that go further: --precision float32, with --overwrite."),
        (
            ("--precision", "float16", "--dtype", "float16"),
            "Or take numbers that go further: --dtype float32 --precision float32, with --overwrite.",
        ),
        ((), "A network that gives numbers that are not finite may be damaged, or want another --preprocess."),
    ],
)
def test_numbers_that_are_not_finite_are_no_reason_to_mend_images(
    extract, photos, tmp_path, monkeypatch, options, advice
):
    from fne_cli.networks.running.extractor import Extractor

    original = Extractor.__call__
    monkeypatch.setattr(Extractor, "__call__", lambda self, pixels: [x * np.inf for x in original(self, pixels)])
    result = extract(photos, tmp_path / "a.h5", *options)
    assert result.code == 3
    assert advice in result.err
    assert f"not finite in {'float16' if options else 'float32'}" in result.err
    assert "mend" not in result.err
    (photos / "test" / "a" / "00.png").write_bytes(b"no image")
    result = extract(photos, tmp_path / "b.h5", *options)
    assert "Or mend the images and add --retry-bad.\n" + advice in result.err


def test_reduced_decoding_is_a_setting_that_new_images_follow(fne, extract, tmp_path):
    for number in range(8):
        path = tmp_path / "photos" / "train" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (18, 24, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((96, 72)).save(path, quality=95)
    photos = tmp_path / "photos"
    assert extract(photos, tmp_path / "full.h5").code == 0
    assert extract(photos, tmp_path / "same.h5", "--decode", "full").code == 0
    assert (tmp_path / "full.h5").read_bytes() == (tmp_path / "same.h5").read_bytes()
    assert extract(photos, tmp_path / "a.h5", "--decode", "reduced").code == 0
    before = (tmp_path / "a.h5").read_bytes()
    settings = [json.loads(h5py.File(tmp_path / name).attrs["settings"]) for name in ("full.h5", "a.h5")]
    assert [made.get("decode") for made in settings] == [None, "reduced"]
    assert not np.array_equal(rows(tmp_path / "full.h5"), rows(tmp_path / "a.h5"))

    assert "up to date" in extract(photos, tmp_path / "a.h5", "--decode", "reduced").err
    other = extract(photos, tmp_path / "a.h5")
    assert (other.code, 'decode: "reduced" in the existing output, "full" asked for' in other.err) == (4, True), (
        other.err
    )
    other = extract(photos, tmp_path / "full.h5", "--decode", "reduced")
    assert (other.code, 'decode: "full" in the existing output, "reduced" asked for' in other.err) == (4, True), (
        other.err
    )
    assert extract(photos, tmp_path / "b.h5", "--decode", "reduced", "--batch-size", 3, "--workers", 1).code == 0
    np.testing.assert_array_equal(rows(tmp_path / "b.h5"), rows(tmp_path / "a.h5"))
    assert (tmp_path / "a.h5").read_bytes() == before

    found = fne("search", tmp_path / "a.h5", photos / "train" / "a" / "0.jpg", "-K", 1, "--json")
    [query] = json.loads(found.out)["queries"]
    [near] = query["neighbours"]
    assert (near["path"], near["distance"]) == ("train/a/0.jpg", 0), "the very bits of the file"
