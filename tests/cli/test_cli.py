"""The command line itself: help, where options come from, exit codes, what goes where."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import subprocess
import sys

import click
import pytest
from places import SCRIPTS

from fne_cli.cli.console import table
from fne_cli.cli.main import COMMANDS
from fne_cli.cli.main import fne as group


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


def test_help_lists_every_command_on_one_line_each(fne):
    result = fne("--help")
    assert result.code == 0
    for name in COMMANDS:
        assert sum(line.startswith(f"  {name} ") for line in result.out.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_no_tensorflow_and_no_hdf5(arguments):
    program = (
        "import sys\nfrom fne_cli.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n"
        "    assert not {'tensorflow', 'keras', 'h5py', 'sklearn'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: fne" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_gives_an_example(name):
    found = command(name)
    assert found.help
    assert f"Example: fne {name} " in found.help
    for param in found.params:
        if isinstance(param, click.Option):
            assert param.help, f"{name} {param.name} has no help"


WITHOUT_STEP = ("try", "cluster", "completion", "run", "transfer", "config")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_STEP])
def test_defaults_of_the_command_are_those_of_the_step(name):
    step = getattr(importlib.import_module(f"fne_cli.steps.{name}"), name)
    defaults = {key: param.default for key, param in inspect.signature(step).parameters.items()}
    for several in {
        "recipe",
        "options",
        "chosen",
        "protocol",
        "classifier",
        "vectors",
        "start",
        "rule",
        "course",
        "selection",
        "tuned",
        "learning",
    } & set(defaults):
        options = defaults.pop(several)
        defaults |= {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    given = command(name).make_context(name, [], resilient_parsing=True).params
    for param in command(name).params:
        if isinstance(param, click.Option) and param.name in defaults:
            assert given[param.name] == defaults[param.name], (name, param.name)
    known = {param.name for param in command(name).params} | {"progress", "as_json"}
    known |= {"results"} if name in ("evaluate", "retrieve") else set()  # the last of its files
    known |= {"asked", "output"} if name == "search" else set()  # its paths, but for the first
    assert set(defaults) <= known | {"batch_size"}, f"the step of {name} has options that the command lacks"


def test_python_m_fne_cli_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "fne_cli", "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("fne 0.")


def test_an_unknown_command_names_the_nearest(fne):
    result = fne("normalise")
    assert result.code == 2
    assert "Did you mean normalize?" in result.err


def test_an_unknown_option_names_none_that_the_help_does_not_show(fne):
    assert "'--model'" not in fne("evaluate", "--modle").err
    assert "'--predictions'" in fne("evaluate", "--prediction").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("discretize s-1.h5 m.h5", "ACTIVATIONS... MOMENTS CODES should be 3 paths or more. Found: 2, s-1.h5 m.h5."),
        ("normalize s-1.h5 --rows all", "ACTIVATIONS... MOMENTS should be 2 paths or more. Found: 1, s-1.h5."),
        ("analyze", "ACTIVATIONS... OUTPUT should be 2 paths or more. Found: none."),
        ("merge -v s-1.h5", "SHARD... OUTPUT should be 2 paths or more. Found: 1, s-1.h5."),
        ("evaluate", "Missing argument 'FEATURES... [RESULTS]'"),
    ],
)
def test_a_forgotten_path_is_not_blamed_on_the_first(fne, words, said):
    result = fne(*words.split())
    assert result.code == 2
    assert said in result.err


def test_wrong_words_exit_2(fne, tmp_path):
    assert fne("discretize", "a", "b").code == 2
    assert fne("discretize", "a", "b", "c", "--thresholds=1").code == 2
    assert fne("discretize", "a", "b", "c", "--thresholds=0.5,0.1").code == 2
    assert fne("extract", tmp_path, "x.h5", "--shard", "3/2").code == 2
    assert fne("extract", tmp_path, "x.h5", "--crops", "7").code == 2


@pytest.fixture
def seen(monkeypatch):
    """The keyword arguments that `fne extract` hands to its step."""
    from fne_cli.steps import extract as step

    calls = []

    def record(**options):
        calls.append(options)
        return step.Extraction(options["activations"], 0, [])

    monkeypatch.setattr(step, "extract", record)
    return calls


def test_flags_win_over_variables_over_configuration_over_defaults(fne, seen, monkeypatch, tmp_path):
    config = tmp_path / "fne.toml"
    config.write_text('[extract]\nbatch-size = 3\ncrops = 5\nlayers = ["fc1", "fc2"]\nmodel = "vgg19"\n')
    monkeypatch.setenv("FNE_EXTRACT_BATCH_SIZE", "7")
    monkeypatch.setenv("FNE_EXTRACT_CROPS", "10")
    fne("extract", "images", "out.h5", "--config", config, "--batch-size", "9")
    recipe = seen[0]["recipe"]
    assert recipe.batch_size == 9
    assert recipe.crops == 10
    assert recipe.layers == ("fc1", "fc2")
    assert recipe.model == "vgg19"
    assert recipe.resize == "squash"


def test_the_step_gets_exactly_the_options(fne, seen, tmp_path):
    fne("extract", "images", tmp_path / "out.h5", "--image-size", "240x320", "--pool", "avg,fc*=max", "--shard", "2/5")
    (options,) = seen
    assert (options["images"], options["activations"]) == ("images", tmp_path / "out.h5")
    assert options["recipe"].image_size == (240, 320)
    assert options["recipe"].pool == ("avg", "fc*=max")
    assert options["shard"] == (2, 5)


def test_unknown_keys_name_the_nearest(fne, monkeypatch, tmp_path):
    config = tmp_path / "fne.toml"
    config.write_text("[extract]\nbatchsize = 3\n")
    result = fne("extract", "images", "out.h5", "--config", config)
    assert (result.code, "Did you mean 'batch_size'?" in result.err) == (2, True)
    config.write_text("[extrct]\nbatch_size = 3\n")
    result = fne("extract", "images", "out.h5", "--config", config)
    assert (result.code, "Did you mean 'extract'?" in result.err) == (2, True)
    monkeypatch.setenv("FNE_EXTRACT_BATCHSIZE", "3")
    result = fne("extract", "images", "out.h5")
    assert (result.code, "Did you mean 'FNE_EXTRACT_BATCH_SIZE'?" in result.err) == (2, True)


def test_a_broken_configuration_file(fne, tmp_path):
    (tmp_path / "fne.toml").write_text("[extract\n")
    result = fne("extract", "images", "out.h5", "--config", tmp_path / "fne.toml")
    assert (result.code, "should be TOML" in result.err) == (2, True)
    assert fne("extract", "images", "out.h5", "--config", tmp_path / "none.toml").code == 2


def test_results_go_to_standard_output_and_the_rest_to_standard_error(fne):
    result = fne("layers", "mini", "--json")
    assert json.loads(result.out)["features"] == 3104


def test_nothing_in_a_name_can_command_a_terminal():
    assert table(("x",), [("\x1b[2J",), ("two\nlines",), ("a\u200eb",)]) == "x\n\\x1b[2J\ntwo\\nlines\na\\u200eb"


def test_names_from_files_are_escaped_in_errors(fne, tmp_path):
    (tmp_path / "evil\x1b[2J.h5").write_text("no")
    result = fne("info", tmp_path / "evil\x1b[2J.h5")
    assert result.code == 1
    assert "\x1b" not in result.err
    assert "evil\\x1b[2J.h5 should be a file made by fne. Found: not HDF5." in result.err


def test_quiet_prints_results_only(fne, extract, photos, tmp_path):
    result = extract(photos, tmp_path / "a.h5", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_bug_is_a_traceback_but_an_fne_error_is_not(fne, tmp_path):
    result = fne("normalize", tmp_path / "none.h5", tmp_path / "m.h5")
    assert result.code == 1
    assert result.err == (
        f"fne: {tmp_path}/none.h5 should be an fne activations file. Found: no such file. Run fne extract first.\n"
    )


@pytest.mark.parametrize("name", ["write_cli_docs.py", "write_man_pages.py"])
def test_the_pages_of_the_command_line_are_current(name):

    script = SCRIPTS / name
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
