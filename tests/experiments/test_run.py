"""fne run: the files are those of the single commands, nothing is made twice, failures and kills cost nothing else."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from commands import Result, carry_out
from pictures import write_image
from scipy.stats import binomtest
from waiting import PROGRAM, wait_for

from fne_cli.numerics.recipes.candidates import CANDIDATES, CAUTIOUS
from fne_cli.store.output.sealed import with_digest, without_digest

pytestmark = pytest.mark.usefixtures("opened_once")

CONFIG = """
[experiment]
output = "out"

[datasets.noise]
images = "noise"
split = { per_class = 4, seed = 1 }

[networks.mini]
model = "mini"
layers = "block1_conv1,fc2"

[embeddings.fne]
[embeddings.data]
thresholds = "data"
[embeddings.z]
embedding = "standardized"
layers = ["fc2"]

[protocols.split]
[protocols.curve]
per_class = [1, 3]
draws = 2
[protocols.random]
single_layers = false
split = [{ per_class = 3, seed = 1 }, { per_class = 3, seed = 2 }]
[protocols.folds]
cv = 2
single_layers = false
"""

Run = Callable[..., Result]


def prepare(folder: Path) -> None:
    for number in range(18):
        write_image(folder / "noise" / "abc"[number % 3] / f"{number:02d}.png", number, (32, 32))
    (folder / "noise.toml").write_text(CONFIG)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: 18 images of three classes, and the experiment."""
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the experiment done, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    prepare(folder)
    carry_out("run", "noise.toml", "-q", at=folder)
    return folder


@pytest.fixture
def done_folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished experiment, times and all; the current folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the records of who and when."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".run.json") and path.name != "stamps.json"
    }


def table(folder: Path) -> dict[tuple[str, ...], dict[str, str]]:
    with open(folder / "out" / "results.csv", newline="") as file:
        return {(row["embedding"], row["protocol"], row["name"], row.get("training_images_per_class", "")): row
                for row in csv.DictReader(file)}  # fmt: skip


def test_everything_is_compared_with_everything(fne: Run, done_folder: Path) -> None:
    folder = done_folder
    done = fne("run", "noise.toml")
    assert done.code == 0, done.err
    results = json.loads((folder / "out" / "results.json").read_text())
    names = {(cell["embedding"], cell["protocol"]) for cell in results["cells"]}
    protocols = ("split", "curve", "random-1", "random-2", "folds")
    assert names == {(one, protocol) for one in ("fne", "data", "z") for protocol in protocols} | {
        ("layers", "split"), ("layers", "curve"),
    }  # fmt: skip
    for cell in results["cells"]:
        assert json.loads((folder / "out" / cell["results"]).read_text())["kind"] == "results"
        assert (cell["predictions"] is None) == (
            cell["embedding"] == "layers" or cell["protocol"] in ("curve", "folds")
        )
    found = table(folder)
    assert found["layers", "split", "fc2", ""]["features"] == "1024"
    assert found["z", "split", "embedding", ""]["features"] == "1024"
    assert found["fne", "curve", "embedding", "3"]["training_rows"] == "9"
    assert "block1_conv1" in done.out or "fc2" in done.out


def test_several_splits_have_their_mean_and_deviation(done_folder: Path) -> None:
    found = table(done_folder)
    key = "mean_per_class_accuracy"
    for embedding in ("fne", "data", "z"):
        parts = [float(found[embedding, f"random-{number}", "embedding", ""][key]) for number in (1, 2)]
        whole = found[embedding, "random", "embedding", ""]
        assert whole["splits"] == "2"
        assert float(whole[key]) == pytest.approx(statistics.mean(parts))
        assert float(whole[f"{key}_std"]) == pytest.approx(statistics.stdev(parts))


def predicted(folder: Path, embedding: str, protocol: str) -> dict[str, bool]:
    """By their paths whether test images are right."""
    with open(folder / "out/noise/mini.avg" / f"{embedding}.{protocol}.csv", newline="") as file:
        return {row["path"]: row["truth"] == row["prediction"] for row in csv.DictReader(file)}


def test_rows_are_compared_with_the_first_embedding_image_by_image(done_folder: Path) -> None:
    found = table(done_folder)
    key = "mean_per_class_accuracy"
    for protocol in ("split", "random-1", "random-2"):
        standard, other = (predicted(done_folder, name, protocol) for name in ("fne", "z"))
        here = sum(other[path] and not standard[path] for path in standard)
        there = sum(standard[path] and not other[path] for path in standard)
        row = found["z", protocol, "embedding", ""]
        assert (row["compared_with"], row["right_here_only"], row["right_there_only"]) == ("fne", f"{here}", f"{there}")
        assert float(row["mcnemar_p"]) == pytest.approx(binomtest(here, here + there).pvalue if here + there else 1)
        expected = float(row[key]) - float(found["fne", protocol, "embedding", ""][key])
        assert float(row["difference"]) == pytest.approx(expected, abs=1e-12)
        low, high = map(float, row["difference_95"].split(";"))
        assert low <= expected <= high
        assert row["significant"] in ("True", "False")
    assert found["layers", "split", "fc2", ""]["compared_with"] == "fne"
    assert found["data", "folds", "embedding", ""]["mcnemar_p"]  # every image is measured once
    curve = found["z", "curve", "embedding", "3"]
    assert curve["difference_95"] and curve["significant"] and not curve["mcnemar_p"]
    for uncompared in (("fne", "split", "embedding", ""), ("z", "random", "embedding", "")):
        assert not any(found[uncompared][name] for name in ("compared_with", "difference", "significant"))


def test_without_the_first_embedding_nothing_is_compared(done_folder: Path) -> None:
    missing = {Path("out/noise/mini.avg/fne.split.json"): "no reason"}
    rows = documented(done_folder, missing)["results"]
    assert {row["protocol"] for row in rows if "compared_with" in row} == {"curve", "random-1", "random-2", "folds"}


def test_results_of_version_2_are_not_compared(done_folder: Path) -> None:
    path = done_folder / "out/noise/mini.avg/z.split.json"
    content = without_digest(json.loads(path.read_text()))
    del content["tested"]
    for entry in content["results"]:
        del entry["right"]
    path.write_text(json.dumps(with_digest(content | {"version": 2})))
    rows = documented(done_folder, {})["results"]
    split = {row["embedding"]: row for row in rows if row["protocol"] == "split"}
    assert "compared_with" not in split["z"] and "compared_with" in split["data"]


def documented(folder: Path, failed: dict[Path, str]) -> dict[str, Any]:
    """results.json, if some results were missing."""
    from fne_cli.cli.run import known_options
    from fne_cli.experiments.plan import plan
    from fne_cli.experiments.summed.results import document
    from fne_cli.experiments.written.reading import read_experiment

    experiment = read_experiment(folder / "noise.toml", [], known_options())
    return document(experiment, plan(experiment), failed)


def over_splits(folder: Path, changed: dict[str, dict[str, object]]) -> dict[str, object]:
    """The row of the embedding z over its splits, if results said other things than they do."""
    for protocol, values in changed.items():
        path = folder / "out" / "noise" / "mini.avg" / f"z.{protocol}.json"
        results = json.loads(path.read_text())
        results["results"][0].update(values)
        path.write_text(json.dumps(with_digest(results)))
    rows = documented(folder, {})["results"]
    return next(row for row in rows if (row["embedding"], row["protocol"]) == ("z", "random"))


def test_settings_of_several_splits_have_no_mean(done_folder: Path) -> None:
    assert over_splits(done_folder, {})["C"] == 1.0
    row = over_splits(
        done_folder,
        {
            "random-1": {"C": 1.0, "training_rows": 9, "duality_gap": 2e-6, "path": "gram"},
            "random-2": {"C": 0.001, "training_rows": 8, "duality_gap": 1e-6, "path": "dual", "converged": False},
        },
    )
    assert row["C"] == [0.001, 1.0]
    assert row["training_rows"] == [8, 9]
    assert row["features"] == 1024
    assert row["duality_gap"] == 2e-6  # the worst
    assert row["path"] == "dual, gram"
    assert row["converged"] is False
    assert "C_std" not in row
    assert over_splits(done_folder, {"random-1": {"C": [0.1, 1.0]}})["C"] == [0.001, 0.1, 1.0]  # of draws


def test_a_split_that_fails_is_missing_from_the_mean_and_says_why(fne: Run, done_folder: Path) -> None:
    splits = "protocols.random.split=[{per_class=3, seed=1}, {per_class=3, seed=2}, {per_class=300}]"
    done = fne("run", "noise.toml", "-q", "--set", splits)
    assert done.code == 1
    (line,) = (line for line in done.out.splitlines() if " random " in line)
    assert line.count("(2 of 3 splits)") == 3  # embeddings
    results = json.loads((done_folder / "out" / "results.json").read_text())
    errors = [cell["error"] for cell in results["cells"] if cell["protocol"] == "random-3"]
    assert len(errors) == 3
    assert all("random-3.csv" in error and "more than 300 images" in error for error in errors)
    assert table(done_folder)["z", "random", "embedding", ""]["splits_missing"] == "1"


def test_the_other_splits_are_known_as_such_when_the_first_failed(done_folder: Path) -> None:
    from fne_cli.store.other.results import Experiment, read_results

    path = done_folder / "out" / "results.json"
    first = {Path(f"out/noise/mini.avg/{name}.random-1.json"): "no reason" for name in ("fne", "data", "z")}
    path.write_text(json.dumps(with_digest(documented(done_folder, first))))
    found = read_results(path)
    assert isinstance(found, Experiment)
    assert found.splits == {"random-1": "random", "random-2": "random"}


@pytest.mark.slow
def test_the_commands_it_names_make_the_same_files(fne: Run, done_folder: Path) -> None:
    folder = done_folder
    results = json.loads((folder / "out" / "results.json").read_text())
    before = contents(folder / "out")
    shutil.rmtree(folder / "out")
    first, *rest = results["commands"]
    subprocess.run(first, shell=True, check=True)
    for line in rest:
        words = shlex.split(line)
        assert words[0] == "fne"
        assert fne(*words[1:], "-q").code == 0, line
    after = contents(folder / "out")
    assert after == {name: content for name, content in before.items() if not name.startswith("results.")}


def test_the_second_time_nothing_is_made_or_loaded(fne: Run, done_folder: Path) -> None:
    folder = done_folder
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")}
    program = (
        "import sys; from fne_cli.cli.main import main\n"
        "try: main(['run', 'noise.toml'])\n"
        "finally: print([name for name in ('tensorflow', 'keras', 'numba', 'sklearn', 'scipy') if name in sys.modules])"
    )
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert again.returncode == 0
    assert "up to date" in again.stderr
    assert again.stdout.splitlines()[-1] == "[]"
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")} == before
    plan = json.loads(fne("run", "noise.toml", "--dry-run", "--json").out)["plan"]
    assert {one["state"] for one in plan} == {"up to date"}


@pytest.mark.slow
def test_only_what_changed_is_made_again(fne: Run, done_folder: Path) -> None:
    folder = done_folder
    (folder / "out" / "noise" / "mini.avg" / "z.split.json").unlink()
    os.utime(folder / "noise" / "a" / "00.png", ns=(1, 1))
    plan = json.loads(fne("run", "noise.toml", "--dry-run", "--json").out)["plan"]
    states = {Path(one["output"]).name: one["state"] for one in plan}
    assert states["z.split.json"] == states["activations.h5"] == "to do"
    before = contents(folder / "out")
    done = fne("run", "noise.toml", "-v")
    assert done.code == 0
    assert contents(folder / "out").items() >= before.items()
    assert "reading 18 images to see which of them are known" in done.err
    moved = fne("run", "noise.toml", "--set", "protocols.split.cost=0.5")
    assert moved.code == 4  # as the single command: another result stands there
    assert "--overwrite" in moved.err
    replaced = fne("run", "noise.toml", "--set", "protocols.split.cost=0.5", "--overwrite")
    assert replaced.code == 0
    assert json.loads((folder / "out/noise/mini.avg/fne.split.json").read_text())["settings"]["C"] == 0.5


@pytest.mark.slow
def test_it_goes_on_after_a_failure_and_says_so(fne: Run, folder: Path) -> None:
    text = CONFIG.replace("[networks.mini]", '[networks.lost]\nmodel = "lost.keras"\n[networks.mini]')
    (folder / "noise.toml").write_text(text)
    done = fne("run", "noise.toml", "-q")
    assert done.code == 1
    assert "lost.avg/activations.h5 failed: " in done.err
    assert "lost.keras" in done.err
    assert "more need what failed" in done.err
    cells = json.loads((folder / "out" / "results.json").read_text())["cells"]
    assert {cell["network"] for cell in cells if cell["error"]} == {"lost"}
    assert all(cell["results"] for cell in cells if cell["network"] == "mini")


@pytest.mark.slow
def test_bad_images_end_it_with_3_and_can_be_accepted(fne: Run, folder: Path) -> None:
    (folder / "noise" / "a" / "00.png").write_bytes(b"no image")
    done = fne("run", "noise.toml", "-q")
    assert done.code == 3
    assert "a/00.png" in done.err
    assert "max_bad" in done.err
    assert fne("run", "noise.toml", "-q", "--set", "datasets.noise.max_bad=1").code == 0


@pytest.mark.slow
def test_workers_make_the_same_files(fne: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fne_cli.steps import evaluate as step

    real, seen = step.evaluate, []
    monkeypatch.setattr(step, "evaluate", lambda *given, **more: (seen.append(more["cluster"]), real(*given, **more)))
    assert fne("run", "noise.toml", "-q", "--set", "experiment.output=alone").code == 0
    assert set(seen) == {None}
    seen.clear()
    done = fne("run", "noise.toml", "--cluster", "local:2")
    assert done.code == 0, done.err
    assert done.err.count("dashboard") == 1, "the same workers should do all"
    assert {cluster.local_workers for cluster in seen} == {2}, "they should share the memory of this machine"
    alone, shared = contents(folder / "alone"), contents(folder / "out")
    commands = [json.loads(each.pop("results.json"))["commands"] for each in (alone, shared)]
    assert commands[0] == [line.replace("out/", "alone/") for line in commands[1]]
    assert shared == alone
    again = fne("run", "noise.toml", "--cluster", "local:2")
    assert (again.code, "dashboard" in again.err) == (0, False)


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_with_the_same_bytes(folder: Path) -> None:
    command = [sys.executable, "-m", "fne_cli", "run", "noise.toml", "-q"]
    subprocess.run([*command, "--set", "experiment.output=whole"], check=True)
    expected = contents(folder / "whole")

    def finished() -> int:
        return sum(path.suffix in (".h5", ".json", ".csv") for path in (folder / "out").rglob("mini.avg/*"))

    moments = random.Random(1)
    for _ in range(5):
        before = finished()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(lambda before=before: finished() > before, process)
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it should be killed before its end"
    subprocess.run(command, check=True)
    found = contents(folder / "out")
    commands = {name: json.loads(both["results.json"])["commands"]
                for name, both in (("out", found), ("whole", expected))}  # fmt: skip
    assert [line.replace("out/", "whole/") for line in commands["out"]] == commands["whole"]
    del found["results.json"], expected["results.json"]
    assert found == expected


@pytest.mark.slow
def test_interrupted_it_keeps_what_is_done(folder: Path) -> None:
    held = [sys.executable, PROGRAM, "go", "run", "noise.toml"]
    process = subprocess.Popen(held, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    assert any(line.startswith("[5/") for line in process.stderr)
    process.send_signal(signal.SIGINT)
    Path("go").touch()
    rest = process.stderr.read()
    assert process.wait() == 130
    assert "Traceback" not in rest
    command = [sys.executable, "-m", "fne_cli", "run", "noise.toml", "-v"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "activations.h5 is up to date" in done.stderr


def test_a_worse_run_leaves_the_table_of_a_better_one(fne: Run, done_folder: Path) -> None:
    before = contents(done_folder / "out")
    done = fne("run", "noise.toml", "-q", "--set", "networks.mini.layers=fc2")
    assert done.code == 4
    assert "stay as they were" in done.err
    assert contents(done_folder / "out") == before


def cells(folder: Path) -> set[str]:
    return {cell["embedding"] for cell in json.loads((folder / "out" / "results.json").read_text())["cells"]}


FEW = ("--set", "protocols={split={single_layers=false}}", "--set", "embeddings={fne={}, l2={embedding='l2'}}")


def test_a_table_has_the_figures_of_the_files_that_are_there(fne: Run, folder: Path) -> None:
    """With fewer cells than before, and other settings."""
    assert fne("run", "noise.toml", "-q", *FEW).code == 0
    one = (*FEW, "--set", "embeddings={fne={}}", "--set", "evaluate={cost=0.000001}", "--overwrite")
    for _ in range(2):
        done = fne("run", "noise.toml", "-q", *one)
        assert done.code == 0, done.err
        assert "stay as they were" not in done.err
        assert cells(folder) == {"fne"}
        assert table(folder)["fne", "split", "embedding", ""]["C"] == "1e-06"
    assert "1e-06" in (folder / "out/noise/mini.avg/fne.split.json").read_text()


def test_a_failure_keeps_no_table_whose_figures_are_gone(fne: Run, folder: Path) -> None:
    assert fne("run", "noise.toml", "-q", *FEW).code == 0
    before = (folder / "out" / "results.json").read_bytes()
    lost = (*FEW, "--set", "embeddings={fne={}, no={embedding='l2', layers=['nolayer']}}")
    done = fne("run", "noise.toml", "-q", *lost)
    assert done.code == 1
    assert "stay as they were" in done.err
    assert (folder / "out" / "results.json").read_bytes() == before
    done = fne("run", "noise.toml", "-q", *lost, "--set", "evaluate={cost=0.000001}", "--overwrite")
    assert done.code == 1
    assert "stay as they were" not in done.err
    assert cells(folder) == {"fne", "no"}


def test_images_that_change_while_they_are_read_are_looked_at_again(
    fne: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fne_cli.experiments.jobs import Job

    chosen = ("--set", "datasets={d={images='noise'}}", "--set", "protocols={p={cv=2, single_layers=false}}")
    perform = Job.perform

    def disturbed(job: Job, *more: object) -> None:
        perform(job, *more)  # type: ignore[arg-type]  # as it came
        if job.command == "extract":
            os.utime(folder / "noise" / "a" / "00.png", ns=(1, 1))

    monkeypatch.setattr(Job, "perform", disturbed)
    assert fne("run", "noise.toml", "-q", *chosen).code == 0
    plan = json.loads(fne("run", "noise.toml", "--dry-run", "--json", *chosen).out)["plan"]
    states = {Path(one["output"]).name: one["state"] for one in plan}
    assert states["activations.h5"] == "to do"
    monkeypatch.setattr(Job, "perform", perform)
    assert fne("run", "noise.toml", "-q", *chosen).code == 0
    plan = json.loads(fne("run", "noise.toml", "--dry-run", "--json", *chosen).out)["plan"]
    assert {one["state"] for one in plan} == {"up to date"}


@pytest.mark.slow
def test_changed_annotations_of_voc_are_noticed(fne: Run, folder: Path) -> None:
    for number in range(8):
        write_image(folder / "VOC" / "JPEGImages" / f"{number}.jpg", number, (32, 32))
    shown = folder / "VOC" / "Annotations"
    sets = folder / "VOC" / "ImageSets" / "Main"
    shown.mkdir()
    sets.mkdir(parents=True)
    for number in range(8):
        (shown / f"{number}.xml").write_text(f"<a><object><name>{'ab'[number % 2]}</name></object></a>")
    for name, numbers in {"train": "0123", "val": "45", "test": "67"}.items():
        (sets / f"{name}.txt").write_text("\n".join(numbers))
    chosen = ("--set", "datasets={voc={images='VOC', split={voc=true}}}", *FEW)
    assert fne("run", "noise.toml", "-q", *chosen).code == 0

    def state() -> str:
        plan = json.loads(fne("run", "noise.toml", "--dry-run", "--json", *chosen).out)["plan"]
        return {Path(one["output"]).name: one["state"] for one in plan}["split.csv"]

    assert state() == "up to date"
    (shown / "0.xml").write_text("<a><object><name>b</name></object></a>")
    os.utime(shown / "0.xml", ns=(1, 1))
    assert state() == "to do"
    assert fne("run", "noise.toml", "-q", *chosen, "--overwrite").code == 0
    assert "0.jpg,b," in (folder / "out/voc/split.csv").read_text().replace('"', "")
    assert state() == "up to date"
    (sets / "test.txt").write_text("6")
    assert state() == "to do"


@pytest.mark.parametrize(
    ("protocols", "said"),
    [
        ("split={split={per_class=3}}", "[protocols.split] should have another name"),
        ("split={split=[{per_class=3}]}", "[protocols.split] should have another name"),
        ("a={split=[{per_class=3}, {per_class=2}]}, a-1={split={per_class=1}}", "a-1, which is one of the splits of a"),
        ("a-1={split={per_class=1}}, a={split=[{per_class=3}, {per_class=2}]}", "a-1, which is one of the splits of a"),
        ("a-1={cv=2}, a={split=[{per_class=3}, {per_class=2}]}", "a-1, which is one of the splits of a"),
    ],
)
def test_two_splits_are_never_one_file(fne: Run, folder: Path, protocols: str, said: str) -> None:
    done = fne("run", "noise.toml", "--set", f"protocols={{{protocols}}}")
    assert done.code == 1
    assert said in done.err
    assert "Rename" in done.err
    assert not (folder / "out").exists()


def test_a_step_that_would_make_the_file_of_another_is_refused() -> None:
    from fne_cli.errors import BadInput
    from fne_cli.experiments.datasets import Jobs
    from fne_cli.experiments.jobs import Job

    jobs = Jobs()
    first = Job("split", ("images", "a.csv"), {"per_class": 3}, (), (Path("a.csv"),))
    jobs.add(first)
    jobs.add(Job("split", ("images", "a.csv"), {"per_class": 3}, (), (Path("a.csv"),)))
    assert jobs.in_order == [first]
    with pytest.raises(BadInput, match=r"a\.csv should be made by one step"):
        jobs.add(Job("split", ("images", "a.csv"), {"per_class": 8}, (), (Path("a.csv"),)))
    with pytest.raises(BadInput, match="made by one step"):  # whichever of its files it is
        jobs.add(Job("evaluate", ("codes", "a.json"), {}, (), (Path("a.json"), Path("a.csv"))))


@pytest.mark.parametrize("seconds", ["1" + 400 * "0", "-1", '"x"', "null", "[]"])
def test_times_that_nobody_measured_are_ignored(fne: Run, done_folder: Path, seconds: str) -> None:
    stamps = done_folder / "out" / "stamps.json"
    found = without_digest(json.loads(stamps.read_text()))
    for stamp in found.values():
        stamp.update(seconds="SECONDS", state={"words": stamp["state"]["words"]})
    stamps.write_text(json.dumps(found).replace('"SECONDS"', seconds))
    done = fne("run", "noise.toml", "--dry-run")
    assert done.code == 0, done.err


def test_a_result_that_says_no_figure_is_named(fne: Run, done_folder: Path) -> None:
    path = Path("out/noise/mini.avg/z.split.json")
    found = json.loads(path.read_text())
    found["results"][0]["mean_per_class_accuracy"] = "x"
    path.write_text(json.dumps(with_digest(found)))
    done = fne("run", "noise.toml", "-q")
    assert done.code == 1
    assert f"{path}: results[0].mean_per_class_accuracy should be" in done.err
    assert f"Remove {path}, and run again." in done.err


def test_the_end_says_what_was_wrong_and_what_to_do(fne: Run, done_folder: Path) -> None:
    done = fne("run", "noise.toml", "--set", "protocols.folds.cost=0.5")
    assert done.code == 4
    end = done.err[done.err.rindex("z.folds.json failed: ") :]
    assert "exists and was made with other inputs or settings:" in end
    assert "settings.C" in end
    assert "--overwrite" in end


def test_the_end_names_the_bad_images(fne: Run, folder: Path) -> None:
    (folder / "noise" / "a" / "00.png").write_bytes(b"no image")
    done = fne("run", "noise.toml", *FEW)
    assert done.code == 3
    end = done.err[done.err.rindex("activations.h5 failed: ") :]
    assert "1 of 18 images is bad:\n  a/00.png: " in end
    assert end.count("Accept them: max_bad") == 1


def test_the_end_counts_steps_and_names_each_failure_once(fne: Run, folder: Path) -> None:
    done = fne("run", "noise.toml", "--set", "networks.mini.model=lost.keras")
    assert done.code == 1
    lines = done.err.splitlines()
    steps = next(line for line in lines if " steps: " in line)
    plan = json.loads(fne("run", "noise.toml", "--dry-run", "--json").out)["plan"]
    made, failed, untried = (int(part.split()[0]) for part in steps.split(": ")[1].split(", "))
    assert (made, failed) == (3, 1)
    assert made + failed + untried == len(plan) == int(steps.split()[0])
    assert sum("failed: " in line for line in lines) == 1


def test_missing_splits_are_found_before_the_extraction(fne: Run, folder: Path) -> None:
    chosen = ("--set", "datasets.noise={images='noise'}", "--set", "protocols={split={}}")
    planned = fne("run", "noise.toml", "--dry-run", *chosen)
    done = fne("run", "noise.toml", *chosen)
    for said in (planned, done):
        assert said.code == 1
        assert "split = { per_class = 30 }" in said.err
    assert not (folder / "out" / "noise").exists()
    assert fne("run", "noise.toml", *chosen, "--set", "protocols.split.cv=2", "-q").code == 0


@pytest.mark.parametrize(
    ("dataset", "most", "beyond", "found"),
    [
        ("{images='noise', split={per_class=4}}", "{per_class=[1, 4]}", "{per_class=[1, 5]}",
         "split = { per_class = 4 }"),
        ("{images='noise'}", "{per_class=[4], split={per_class=4}}", "{per_class=[5], split={per_class=4}}",
         "split = { per_class = 4 }"),
        ("{images='parted'}", "{per_class=[2]}", "{per_class=[3, 1]}", "class b with 2"),
        ("{images='parted'}", "{cv=8}", "{cv=9}", "8"),
        ("{images='parted'}", "{cv=11, rows='all'}", "{cv=12, rows='all'}", "11"),
        ("{images='noise'}", "{cv=18}", "{cv=19}", "18"),
    ],
)  # fmt: skip
def test_too_few_images_are_found_before_the_extraction(
    fne: Run, folder: Path, dataset: str, most: str, beyond: str, found: str
) -> None:
    for split, counts in (("train", {"a": 3, "b": 2, "c": 3}), ("test", dict.fromkeys("abc", 1))):
        for name, count in counts.items():
            for number in range(count):
                shutil.copy(folder / "noise" / "a" / "00.png", _made(folder / "parted" / split / name, number))
    chosen = ("--set", f"datasets.noise={dataset}")
    assert "impossible" not in fne("run", "noise.toml", "--dry-run", *chosen, "--set", f"protocols={{p={most}}}").out
    for more in ([], ["--dry-run"]):
        said = fne("run", "noise.toml", *more, *chosen, "--set", f"protocols={{p={beyond}}}")
        assert (said.code, f"of [datasets.noise]. Found: {found}.\nGive fewer" in said.err) == (1, True), said.err
    assert not (folder / "out" / "noise" / "mini.avg").exists()


def _made(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{number}.png"


def test_thresholds_that_are_no_file_are_found_before_the_extraction(fne: Run, folder: Path) -> None:
    protocols = "protocols={split={single_layers=false}, f={cv=2, single_layers=false}}"
    chosen = ("--set", "embeddings={x={thresholds='dta'}}", "--set", protocols)
    planned = fne("run", "noise.toml", "--dry-run", *chosen)
    assert "3 impossible" in planned.out  # the codes, and what is measured with and without them
    done = fne("run", "noise.toml", *chosen)
    for said in (planned, done):
        assert said.code == 1
        assert "[embeddings.x] thresholds should be data, [LOW, HIGH], or a file of fne analyze. Found: dta" in said.err
    assert not (folder / "out" / "noise").exists()


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("datasets.noise.images=nose", "nose should be a folder"),
        ("networks.mini.model=vgg61", "Did you mean vgg"),
        ("networks.mini.layers=nolayer*", "nolayer*"),
        ("embeddings.z.layers=conv10", "'conv10', which is none. There are: block1_conv1, fc2"),
        ("datasets.noise.split={per_class=500}", "should have more than 500 images"),
        ("protocols.random.split=[{per_class=3}, {per_class=500}]", "should have more than 500 images"),
    ],
)
def test_the_plan_says_what_is_impossible(fne: Run, folder: Path, chosen: str, said: str) -> None:
    done = fne("run", "noise.toml", "--dry-run", "--set", chosen)
    assert done.code == 1
    assert said in done.err


def test_the_plan_says_what_was_made_otherwise(fne: Run, done_folder: Path) -> None:
    done = fne("run", "noise.toml", "--dry-run", "--json", "--set", "networks.mini.layers=fc2")
    plan = {Path(one["output"]).name: one for one in json.loads(done.out)["plan"]}
    assert (done.code, plan["activations.h5"]["state"]) == (4, "changed")
    assert plan["activations.h5"]["bytes"] == 18 * 1024 * 4


@pytest.mark.parametrize("added", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_plan_says_that_there_are_other_images(fne: Run, done_folder: Path, added: bool) -> None:
    if added:
        write_image(done_folder / "noise" / "a" / "more.png", 99, (32, 32))
    else:
        (done_folder / "noise" / "a" / "00.png").unlink()
    done = fne("run", "noise.toml", "--dry-run")
    assert (done.code, "--overwrite" in done.err) == (0, False)
    assert next(line for line in done.out.splitlines() if "split.csv" in line).startswith("to do ")
    again = fne("run", "noise.toml")
    assert again.code == 0  # as was said
    assert f"  1 image {'added' if added else 'removed'}: a/" in again.err
    assert fne("run", "noise.toml", "-v").err.count("is up to date") > 3


@pytest.mark.slow
def test_the_plan_says_that_images_were_touched(fne: Run, done_folder: Path) -> None:
    write_image(done_folder / "noise" / "a" / "00.png", 99, (33, 32))
    plan = json.loads(fne("run", "noise.toml", "--dry-run", "--json").out)["plan"]
    (found,) = (one for one in plan if one["command"] == "extract")
    assert found["state"] == "to do"
    assert "what is new is computed" in found["detail"]
    again = fne("run", "noise.toml")
    assert (again.code, "1 image with other content: a/00.png" in again.err) == (0, True)


def test_the_plan_knows_the_digits_before_they_are_written(fne: Run, folder: Path) -> None:
    done = fne("run", "noise.toml", "--dry-run", "--json", "--set", "datasets={digits={sample='digits'}}")
    plan = {Path(one["output"]).name: one for one in json.loads(done.out)["plan"]}
    assert plan["codes-fne.h5"]["bytes"] == 1797 * (16 + 1024)


def test_a_second_run_of_the_same_experiment_is_refused(fne: Run, folder: Path) -> None:
    from fne_cli.store.output.partial import Output

    (folder / "out").mkdir()
    with Output(folder / "out" / "results.json"):
        program = [sys.executable, "-m", "fne_cli", "run", "noise.toml"]
        assert subprocess.run(program, capture_output=True).returncode == 5


def test_the_plan_knows_bytes_and_time(fne: Run, folder: Path) -> None:
    done = fne("run", "noise.toml", "--dry-run", "--json", "--set", "datasets.noise.split={per_class=4}")
    plan = {Path(one["output"]).name: one for one in json.loads(done.out)["plan"]}
    assert plan["activations.h5"]["bytes"] == 18 * (16 + 1024) * 4
    assert plan["activations.h5"]["seconds"] > 0
    assert plan["codes-fne.h5"]["bytes"] == 18 * (16 + 1024)
    assert plan["layers.curve.json"]["seconds"] > 0
    assert not (folder / "out").exists()
    lines = fne("run", "noise.toml", "--dry-run").out.splitlines()
    assert lines[-1].startswith("25 to do: ")


def test_several_labels_and_an_archive_of_images(fne: Run, folder: Path) -> None:
    rows = [f"{path.relative_to(folder)},{'a;b' if number % 3 else 'c'},{'train' if number % 2 else 'test'}"
            for number, path in enumerate(sorted((folder / "noise").rglob("*.png")))]  # fmt: skip
    (folder / "many.csv").write_text("\n".join(["path,labels,split", *rows]) + "\n")
    chosen = ("--set", 'datasets={many={images="many.csv"}}', "--set", "protocols={split={}}")
    assert fne("run", "noise.toml", *chosen).code == 0
    assert all(row["mean_average_precision"] for row in table(folder).values())
    subprocess.run(["tar", "cf", "noise.tar", "-C", "noise", "."], check=True)
    done = fne("run", "noise.toml", "--set", 'datasets.noise.images="noise.tar"', "--set", "experiment.output=tar")
    assert done.code == 1
    assert "archive" in done.err


@pytest.mark.parametrize("own", ["", ", split={per_class=3}"])
def test_classes_in_a_column_of_another_name(fne: Run, folder: Path, own: str) -> None:
    rows = [f"{path.relative_to(folder)}\t{path.parent.name * 2}\t{'Train' if number % 2 else 'Test'}"
            for number, path in enumerate(sorted((folder / "noise").rglob("*.png")))]  # fmt: skip
    (folder / "many.tsv").write_text("\n".join(["path\tclass\tsplit", *rows]) + "\n")
    few = ("--set", "protocols={split={}}", "--set", 'networks={m={model="mini",layers="fc2"}}')
    told = fne("run", "noise.toml", *few, "--set", f'datasets={{many={{images="many.tsv"{own}}}}}')
    assert (told.code, "Give --label-column class, or rename" in told.err) == (1, True), told.err
    chosen = (*few, "--set", f'datasets={{many={{images="many.tsv", label_column="class"{own}}}}}')
    plan = json.loads(fne("run", "noise.toml", *chosen, "--dry-run", "--json").out)["plan"]
    assert {one["state"] for one in plan} == {"to do"}
    done = fne("run", "noise.toml", *chosen)
    assert done.code == 0, done.err
    assert fne("run", "noise.toml", *chosen).err.startswith(f"{len(plan)} steps: {len(plan)} up to date")
    with h5py.File(folder / "out/many/m.avg/activations.h5") as file:
        assert file["classes"][:].tolist() == [b"aa", b"bb", b"cc"]
    commands = json.loads((folder / "out/results.json").read_text())["commands"]
    assert sum("--label-column class" in line for line in commands) == 1


def test_classifiers_stand_side_by_side(fne: Run, done_folder: Path) -> None:
    """What is up to date stays so; each protocol is measured by its own classifier, with its own options."""
    before = contents(done_folder / "out")
    others = ", ".join(
        f"{name}={{classifier='{spelled}'{more}, single_layers=false}}"
        for name, spelled, more in (
            ("ridge", "ridge", ""),
            ("lda", "lda", ", shrinkage='auto'"),
            ("logistic", "logistic", ", relative_cost=true"),
            ("knn", "knn:3", ", temperature=inf"),
            ("mean", "centroid", ""),
        )
    )
    protocols = f"protocols={{split={{}}, {others}}}"
    chosen = ("--set", protocols, "--set", "evaluate={cost=[1], penalty=[0.1, 1, 10], seed=0}")
    done = fne("run", "noise.toml", *chosen)
    assert done.code == 0, done.err
    shown = fne("config", "show", "noise.toml", *chosen).out
    counts = {key: len(re.findall(rf"^{key} ", shown, re.MULTILINE)) for key in ("penalty", "cost", "temperature")}
    assert counts == {
        "penalty": 2,
        "cost": 3,
        "temperature": 1,
    }  # each in its protocols and in [evaluate], if it is there
    rows = table(done_folder)
    ours = rows["z", "ridge", "embedding", ""]
    assert float(ours["penalty"]) in (0.1, 1.0, 10.0)
    assert (ours["C"], ours["support_vectors"], ours["converged"]) == ("", "", "True")
    assert rows["z", "split", "embedding", ""]["C"] == rows["z", "logistic", "embedding", ""]["C"] == "1.0"
    assert float(rows["z", "lda", "embedding", ""]["shrinkage"]) <= 1
    for name, path in (("lda", "dual"), ("logistic", "dual"), ("knn", "neighbours"), ("mean", "centroid")):
        row = rows["z", name, "embedding", ""]
        assert row["path"] == path and (name == "logistic") == (row["converged"] == "True")
    config = json.loads((done_folder / "out" / "results.json").read_text())["config"]
    assert config["protocols.knn"]["temperature"] == "inf" and "relative_cost" not in config["protocols.split"]
    folder = done_folder / "out" / "noise" / "mini.avg"
    after = contents(done_folder / "out")
    kept = [name for name in before if name.endswith("split.json")]
    assert kept and all(before[name] == after[name] for name in kept)
    said = json.loads((folder / "z.ridge.json").read_text())
    assert said["results"][0]["penalty"] == float(ours["penalty"])
    (command,) = [line for line in json.loads((done_folder / "out" / "results.json").read_text())["commands"]
                  if "z.ridge.json" in line]  # fmt: skip
    assert "--classifier ridge" in command and "--cost" not in command and "--penalty 0.1,1.0,10.0" in command
    assert fne("report", "out", "page.html").code == 0
    page = (done_folder / "page.html").read_text(encoding="utf-8")
    assert "<dt>classifier</dt><dd><bdi>ridge</bdi></dd>" in page and "penalty chosen</th>" in page
    again = fne("run", "noise.toml", *chosen)
    assert "up to date" in again.err and "made" not in again.err


def test_recipes_are_embeddings_with_a_classifier_of_their_own(fne: Run, done_folder: Path) -> None:
    """Whatever classifier the protocol has for the others."""
    chosen = ("--set", "embeddings={z={embedding='standardized'}, paper={recipe='published'}, best={recipe='auto'}}")
    chosen += ("--set", "protocols={ridge={classifier='ridge', penalty=[0.1, 1], single_layers=false}}")
    plan = json.loads(fne("run", "noise.toml", "--dry-run", "--json", *chosen).out)["plan"]
    assert next(one for one in plan if one["output"].endswith("best.ridge.json"))["seconds"] > 0
    done = fne("run", "noise.toml", *chosen)
    assert done.code == 0, done.err
    rows = table(done_folder)
    assert [rows[name, "ridge", "embedding", ""]["C"] for name in ("z", "paper", "best")] == ["", "1.0", ""]
    assert rows["best", "ridge", "embedding", ""]["recipe"] in (*CANDIDATES, CAUTIOUS)
    lines = json.loads((done_folder / "out" / "results.json").read_text())["commands"]
    (command,) = [line for line in lines if "best.ridge.json" in line]
    assert "--recipe auto" in command and "--classifier" not in command and "--penalty" not in command
    shown = fne("config", "show", "noise.toml", *chosen).out
    assert shown.count("budget") == 1 and shown.count("thresholds") == 0
    assert fne("report", "out", "page.html").code == 0
    assert "chosen by training images" in (done_folder / "page.html").read_text(encoding="utf-8")
