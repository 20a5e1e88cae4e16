"""SPEC and cluster.toml: what they may say, and the job script that comes of it."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from places import SCRIPTS

from fne_cli.clusters import jobs, spec
from fne_cli.clusters.parsing import parse
from fne_cli.clusters.spec import Spec
from fne_cli.errors import BadInput


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_the_words_that_name_a_cluster():
    assert parse("local:3") == Spec("local", 3, 3)
    assert parse("local").workers >= 1
    assert parse("tcp://host:8786").address == "tcp://host:8786"
    assert parse("slurm:8") == Spec("slurm", 8, 8)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "local:",
        "local:0",
        "local:x",
        "kubernetes",
        "tcp://host",
        "tcp://h:0",
        "tcp://h:65536",
        "http://h:1",
        "x.json",
    ],
)
def test_other_words_are_refused_with_what_they_may_be(text):
    with pytest.raises(BadInput, match=r"--cluster .*should (be (local:N|tcp://HOST:PORT)|have at least)"):
        parse(text)


def test_an_unknown_cluster_ends_before_any_image_is_looked_for(fne, tmp_path):
    result = fne("extract", tmp_path / "none", tmp_path / "a.h5", "--cluster", "kubernetes")
    assert (result.code, result.out) == (2, "")
    assert "fne: --cluster should be local:N (N processes here), tcp://HOST:PORT" in result.err


def test_the_size_of_shards_is_for_a_cluster(fne, tmp_path):
    result = fne("extract", tmp_path, tmp_path / "a.h5", "--shard-rows", 100)
    assert (result.code, "Give --shard-rows with --cluster" in result.err) == (2, True)


def test_one_local_worker_for_each_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert spec.visible_gpus() == ["2", "5"]
    assert parse("local").workers == 2
    with pytest.raises(BadInput, match=r"at most one worker for each GPU. Found: 2 GPUs"):
        parse("local:3")


FULL = """
minimum = 2
maximum = 40
[slurm]
gpus = 1
cores = 8
memory = "64GB"
walltime = "04:00:00"
queue = "long"
account = "vision"
environment = ["module load cuda/12", "source /shared/venv/bin/activate"]
directives = ["--constraint=a100"]
python = "python"
"""


def test_the_job_script_of_a_cluster_toml(fne, tmp_path):
    (tmp_path / "cluster.toml").write_text(FULL)
    result = fne("cluster", tmp_path / "cluster.toml", "--dry-run")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    for line in ("-p long", "-A vision", "--cpus-per-task=8", "-t 04:00:00", "--gres=gpu:1", "--constraint=a100"):
        assert f"#SBATCH {line}" in lines
    prologue = lines.index("module load cuda/12")
    assert lines[prologue + 1] == "source /shared/venv/bin/activate"
    assert "export OMP_NUM_THREADS=8" in lines[:prologue]
    assert lines[-1].startswith("python -m distributed.cli.dask_worker tcp://CLIENT:PORT ")
    worker = lines[-1].split()
    last = {word: value for word, value in itertools.pairwise(worker) if word.startswith("--")}
    assert (last["--nthreads"], last["--memory-limit"], last["--resources"]) == ("1", "0", "fne=1")
    assert last["--lifetime"] == f"{4 * 3600 - 300}s"
    assert (tmp_path / "cluster.toml").exists()
    read = parse(str(tmp_path / "cluster.toml"))
    assert (read.kind, read.workers, read.most) == ("slurm", 2, 40)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kid = 1", "Unknown: 'kid'. Did you mean 'kind'?"),
        ('kind = "pbs"', 'kind = "local", "tcp" or "slurm". Found: \'pbs\''),
        ("[slurm]\nwaltime = '1:00:00'", "table slurm: Unknown: 'waltime'. Did you mean 'walltime'?"),
        ("[slurm]\ncores = '4'", "cores should be a whole number. Found: '4'"),
        ("[slurm]\ngpus = 4", "gpus should be 0 or 1"),
        ("[slurm]\nwalltime = 'an hour'", "walltime should be a time as Slurm writes it"),
        ("[slurm]\nwalltime = '1:00:00'\nlifetime = '1:00:00'", "lifetime should be shorter than the walltime"),
        ("minimum = 3\nmaximum = 2\n[slurm]", "1 <= minimum <= maximum workers. Found: 3 and 2"),
        ("kind = ", "should be TOML"),
        ("[slurm]\nmemory = '64'", "table slurm: memory should be a size such as 64GB. Found: '64'"),
        ('kind = "local"\n[slurm]\ncores = 3', 'slurm goes with kind = "slurm". Found: kind = "local"'),
        ('kind = "local"\nminimum = 3', 'minimum goes with kind = "slurm". Found: kind = "local"'),
        ('kind = "tcp"\naddress = "tcp://a:1"\nworkers = 3', 'workers goes with kind = "slurm". Found: kind = "tcp"'),
        ("threads = 2\n[slurm]", 'threads goes with kind = "local". Found: kind = "slurm"'),
        ("[slurm]\nmemory = '64 apples'", "table slurm: memory should be a size such as 64GB. Found: '64 apples'"),
        ("[slurm]\ncores = 0", "cluster.toml, table slurm: cores should be 1 or more. Found: 0"),
        ("[slurm]\nwalltime = '" + "9" * 5000 + "'", "cluster.toml, table slurm: walltime should be a time"),
        ("workers = " + "9" * 5000, "should be TOML. Found: Exceeds the limit"),
        ("workers = 0x" + "9" * 5000, "workers should be 1,000,000 at most. Found: one of 20,000 bits"),
        ("workers = " + "[" * 3000 + "]" * 3000, "should be TOML. Found: lists or tables in hundreds of others"),
        ("workers = " + "[" * 300 + "]" * 300, "workers should be a whole number. Found: a list"),
        ("workers = 2\nmaximum = 3\n[slurm]", "cluster.toml should have workers, or minimum and maximum. Found: both"),
        ('kind = "tcp"\naddress = "cluster.toml"', "cluster.toml: address should be tcp://HOST:PORT"),
        ('kind = "local"\nthreads = -1', "threads should be 1 or more"),
    ],
)
def test_a_wrong_cluster_toml_says_what_is_wrong(tmp_path, text, message):
    (tmp_path / "cluster.toml").write_text(text)
    with pytest.raises(BadInput) as wrong:
        parse(str(tmp_path / "cluster.toml"))
    assert message in str(wrong.value)
    assert str(tmp_path / "cluster.toml") in str(wrong.value)
    assert len(str(wrong.value)) < 500


def test_a_cluster_toml_for_this_machine_or_a_running_scheduler(tmp_path):
    path = tmp_path / "cluster.toml"
    path.write_text('kind = "local"\nworkers = 3\nthreads = 2\n')
    assert parse(str(path)) == Spec("local", 3, 3, threads=2)
    path.write_text('kind = "tcp"\naddress = "tls://host:8786"\n')
    assert parse(str(path)).address == "tls://host:8786"
    with pytest.raises(BadInput, match=r"[Nn]o such file"):
        parse(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(("text", "seconds"), [("90", 5400), ("10:30", 630), ("1:00:00", 3600), ("2-12:00:00", 216000)])
def test_times_as_sbatch_reads_them(text, seconds):
    assert jobs.seconds_of(text, "walltime") == seconds


def test_a_dry_run_makes_no_folder(fne, tmp_path):
    (tmp_path / "cluster.toml").write_text(f'[slurm]\nname = "vgg"\nlog_folder = "{tmp_path}/logs"\n')
    result = fne("cluster", tmp_path / "cluster.toml", "--dry-run")
    assert f"#SBATCH -e {tmp_path}/logs/vgg-%J.err" in result.out.splitlines()
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("variables", "words", "message"),
    [
        ({}, ["a", "b"], "Found: no --array"),
        ({"ID": "1", "COUNT": "1", "MIN": "1", "MAX": "1"}, ["a"], "Found: 1 words"),
        ({"ID": "3", "COUNT": "2", "MIN": "3", "MAX": "5"}, ["a", "b"], "--array should be 1-N, or SHARDS should say"),
    ],
)
def test_an_array_that_is_none_is_refused(variables, words, message):
    environment = {f"SLURM_ARRAY_TASK_{name}": value for name, value in variables.items()} | {"PATH": "/usr/bin:/bin"}
    done = subprocess.run([SCRIPTS / "extract_array.sh", *words], env=environment, capture_output=True, text=True)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_only_a_slurm_of_ours_is_stopped(tmp_path):
    (tmp_path / "slurm.conf").write_text("AuthInfo=socket=/run/munge/socket\n")  # the system's own, say
    for folder in (tmp_path / "none", tmp_path):
        done = subprocess.run([SCRIPTS / "slurm_local.sh", "stop", folder], capture_output=True, text=True, timeout=120)
        assert (done.returncode, f"Found: no Slurm in {folder}" in done.stderr) == (1, True)
    assert not (tmp_path / "none").exists()


def test_only_jobs_have_scripts(fne):
    result = fne("cluster", "local:2", "--dry-run")
    assert result.code == 1
    assert "Only the workers of slurm" in result.err


def test_without_dask_the_error_names_the_extra_and_extract_alone_does_not_need_it(tmp_path, photos):
    program = (
        "import importlib.util, sys\n"
        "real, dask = importlib.util.find_spec, ('dask', 'distributed', 'dask_jobqueue')\n"
        "class Without:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in dask: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "importlib.util.find_spec = lambda name, *more: None if name in dask else real(name, *more)\n"
        "from fne_cli.cli.main import main\nmain(sys.argv[1:])\n"
    )
    run = [sys.executable, "-c", program, "extract", str(photos), str(tmp_path / "a.h5"), "--model", "nonsense"]
    alone = subprocess.run(run, capture_output=True, text=True)
    assert (alone.returncode, "fne: 'nonsense' should be a network's name" in alone.stderr) == (1, True)
    refused = subprocess.run([*run, "--cluster", "local:2"], capture_output=True, text=True)
    assert (refused.returncode, "pip install 'fne-cli[dask]'" in refused.stderr) == (1, True)
    assert "Traceback" not in refused.stderr
