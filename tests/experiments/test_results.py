"""results.csv: what other people called their networks and datasets computes nothing in a spreadsheet."""

from __future__ import annotations

import csv
import io

from fne_cli.experiments.summed.results import _csv


def test_names_are_no_formulas_and_numbers_stay():
    rows = [
        {"dataset": "=1+1", "network": "\x1b[2J", "thresholds": [-0.25, 0.15], "gap": -1.5, "name": "fc2", "n": None},
        {"dataset": "birds", "network": "-1", "thresholds": [], "gap": 2, "name": "@x", "n": 3},
    ]
    first, second = csv.DictReader(io.StringIO(_csv(rows)))
    assert (first["dataset"], first["network"], first["thresholds"]) == ("'=1+1", "'\\x1b[2J", "-0.25;0.15")
    assert (first["gap"], first["name"], first["n"]) == ("-1.5", "fc2", "")
    assert [second[name] for name in ("dataset", "network", "thresholds", "gap", "name", "n")] == [
        *("birds", "-1", "", "2", "'@x", "3")
    ]
