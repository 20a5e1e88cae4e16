"""Free memory is that of the machine, of the container or of the batch job, whichever is least."""

from __future__ import annotations

import pytest

from fne_cli.machine import free_memory


@pytest.fixture
def machine(tmp_path):
    """A /proc with 8 GiB free and no limits."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 16777216 kB\nMemAvailable:    8388608 kB\n")
    (tmp_path / "groups").mkdir()
    return tmp_path


def free(machine):
    return free_memory(machine / "proc", machine / "groups")


def test_of_the_machine(machine):
    assert free(machine) == 8 << 30


def test_of_a_container(machine):
    (machine / "groups/memory.max").write_text("3221225472\n")
    (machine / "groups/memory.current").write_text("1073741824\n")
    assert free(machine) == 2 << 30
    (machine / "groups/memory.max").write_text("max\n")
    assert free(machine) == 8 << 30


def test_pages_of_files_are_given_up_when_memory_is_wanted(machine):
    (machine / "groups/memory.max").write_text("4294967296\n")
    (machine / "groups/memory.current").write_text("4290000000\n")
    (machine / "groups/memory.stat").write_text("anon 1000\nactive_file 7\ninactive_file 4000000000\n")
    assert free(machine) == 4294967296 - 290000000


def test_of_a_batch_job(machine):
    job = machine / "groups/slurm/job_7/step_0"
    job.mkdir(parents=True)
    (machine / "proc/self/cgroup").write_text("0::/slurm/job_7/step_0\n")
    (job.parent / "memory.max").write_text(str(5 << 30))
    (job.parent / "memory.current").write_text(str(1 << 30))
    assert free(machine) == 4 << 30


def test_of_the_first_version_of_control_groups(machine):
    (machine / "groups/memory").mkdir()
    (machine / "groups/memory/memory.limit_in_bytes").write_text(str(1 << 30))
    (machine / "groups/memory/memory.usage_in_bytes").write_text(str(2 << 30))
    assert free(machine) == 0


def test_unknown(tmp_path):
    assert free(tmp_path) == 2 << 30
