"""fne report, image by image: which differences it calls significant, and the table for LaTeX that marks them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from report_files import HOSTILE, curve, document, layers_document, measured, pair, save, with_test_images
from scipy.stats import binomtest

from fne_cli.errors import BadInput, DifferentOutput, WrongOptions
from fne_cli.figures.tables.latex import escaped, table
from fne_cli.steps.report import report
from fne_cli.steps.report.comparison import grouped
from fne_cli.steps.report.sources import gather

CLASSES = ["a", "b"]
TRUTH = [0, 1] * 100
EVERY = np.ones(200, bool)


def wrong(*places):
    """All right but the images at these places."""
    return ~np.isin(np.arange(200), np.concatenate([np.arange(200)[place] for place in places]))


FIRST = wrong(slice(0, 30))  # 85 %
BETTER = wrong(slice(0, 10))  # 95 %, 20 images better than the first
LIKE = wrong(slice(0, 27), slice(30, 32))  # 3 images better, 2 worse
LAYER = wrong(slice(0, 90))  # 55 %


def written(folder, digest="1" * 64, layer=LAYER, truth=TRUTH, classes=CLASSES):
    """Three embeddings and a layer, by their right images."""
    said = with_test_images(truth, digest)
    paths = [
        save(folder / f"{kind}.json", document([measured("embedding", right, truth, classes)],
                                               settings={"embedding": kind}, **with_test_images(truth)))
        for kind, right in (("fne", FIRST), ("standardized", BETTER), ("clipped", LIKE))
    ]  # fmt: skip
    return [*paths, save(folder / "l.json", layers_document([measured("conv1", layer, truth, classes)], **said))]


def group(paths):
    ((found, _),) = grouped(gather(paths).evaluated)
    return found


def test_embeddings_are_compared_with_the_first_and_with_the_best_layer(tmp_path):
    found = group(written(tmp_path))
    assert [(one.first.made, one.second.made, one.significant) for one in found.differences] == [
        ("z-scores", "ternary codes", True),
        ("z-scores cut at 2.5", "ternary codes", False),
        *((made, "L2-normalised", True) for made in ("ternary codes", "z-scores", "z-scores cut at 2.5")),
    ]
    better, like, *_ = found.differences
    assert (better.only_first, better.only_second, like.only_first, like.only_second) == (20, 0, 3, 2)
    assert (better.p, like.p) == pytest.approx((binomtest(0, 20).pvalue, binomtest(2, 5).pvalue))
    assert better.value == pytest.approx(0.1)
    assert better.low < 0.1 < better.high and like.low < 0 < like.high
    assert [verdict.paired for verdict in found.verdicts] == list(found.differences[2:])
    assert [verdict.side for verdict in found.verdicts] == ["over"] * 3


def test_what_image_by_image_is_luck_is_grey(tmp_path):
    found = group(written(tmp_path, layer=wrong(slice(0, 29), slice(40, 45))))
    assert [verdict.side for verdict in found.verdicts] == ["quiet", "over", "quiet"]


def test_overlapping_intervals_hide_nothing_that_images_tell(tmp_path):
    """Both have an interval of ten points, and one is right wherever the other is."""
    paths = written(tmp_path, layer=wrong(slice(0, 36)))
    for path in paths:
        content = json.loads(path.read_text())
        value = content["results"][0]["mean_per_class_accuracy"]
        content["results"][0]["mean_per_class_accuracy_wilson_95"] = [value - 0.05, min(1, value + 0.05)]
        save(path, content)
    (verdict, *_) = group(paths).verdicts
    assert not verdict.unclear


def test_other_test_images_are_not_compared(tmp_path):
    found = group(written(tmp_path, digest="2" * 64))
    assert [one.second.made for one in found.differences] == ["ternary codes"] * 2
    assert [(verdict.paired, verdict.side) for verdict in found.verdicts] == [(None, "quiet")] * 3


def test_results_of_version_2_are_shown_without_a_test(tmp_path):
    found = group(pair(tmp_path, CLASSES))
    assert not found.differences
    report(pair(tmp_path, CLASSES), tmp_path / "page.html")
    assert "Differences</h3>" not in (tmp_path / "page.html").read_text()


def test_splits_are_not_compared_image_by_image(tmp_path):
    from fne_cli.steps.report.classes import together
    from fne_cli.store.other.results import read_results

    first, second = (read_results(path).entries[0] for path in written(tmp_path)[:2])
    assert first.right is not None
    assert together([first, second]).right is None


def test_splits_are_compared_each_with_its_own_images(tmp_path):
    from fne_cli.steps.report.differences import differences
    from fne_cli.store.other.results import read_results

    found = group(written(tmp_path))
    first, better, *_ = (read_results(path).entries[0].right for path in written(tmp_path))
    rows = [row for row in found.rows if row.whole][:2]
    keys = [(row.name, row.made, True, None) for row in rows]
    (one,) = differences(rows, [None], [], dict(zip(keys, [[first] * 3, [better, better, first]], strict=True)))
    assert one.significant and one.only_first is None
    assert one.value == pytest.approx(2 / 3 * 0.1) and one.p == pytest.approx(2 * binomtest(0, 20).pvalue)
    assert differences(rows, [None], [], dict(zip(keys, [[first] * 3, [better, None, first]], strict=True))) == []


def test_networks_are_compared_on_the_same_images(tmp_path):
    from fne_cli.steps.report.comparison import networks

    paths = written(tmp_path / "one")
    for number, path in enumerate(others := written(tmp_path / "two", layer=BETTER)):
        content = json.loads(path.read_text())
        content["made_from"]["network"] = "other"
        if number == 0:
            content["results"] = [measured("embedding", BETTER, TRUTH, CLASSES)]
        save(path, content | {"fingerprint": f"{number}" * 64})
    found = {one.name: one for one in networks(grouped(gather([*paths, *others]).evaluated))}
    assert {one.networks for one in found.values()} == {("other, avg", "net, avg")}
    first = found["embedding (ternary codes)"].difference
    assert (first.only_first, first.only_second, first.significant) == (20, 0, True)
    assert found["embedding (z-scores)"].difference.value == 0
    assert found["best layer"].difference.value == pytest.approx(0.4)
    report([*paths, *others], tmp_path / "page.html")
    assert "Networks beside each other" in (tmp_path / "page.html").read_text()


def test_the_page_says_so(tmp_path):
    report(written(tmp_path), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    plain = re.sub(r"<[^>]+>", "", text).replace("&nbsp;", " ").replace("&#39;", "'")
    assert re.search(
        r"30.00 points above the best single layer, conv1 \(55.00 %\)\. Image by image the difference is significant "
        r"\(95 % interval \+\d\d\.\d\d to \+\d\d\.\d\d points, McNemar's p below 0\.0001\)\.",
        plain,
    )
    rows = re.search(r"Differences</h3>.*?<tbody>(.*?)</tbody>", text, re.S)[1].split("<tr>")[1:]
    told = [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]
    assert told[0][0] == "embedding (z-scores)" and told[0][-4:] == ["20", "0", "below 0.0001", "yes"]
    assert told[1][-4:] == ["3", "2", "1", "no"]
    assert "Grey differences" not in text


def test_a_learning_curve_says_at_which_sizes_it_is_luck(tmp_path):
    def trials(*rights):
        return [{"draw": number, **part} for number, part in enumerate(rights, 1)]

    def points(name, small, large):
        return [
            measured(
                name, right, TRUTH, CLASSES, training_images_per_class=size, trials=2, each_trial=trials(part, part)
            )
            for size, right in ((1, small), (5, large))
            for part in [{"right": measured(name, right, TRUTH, CLASSES)["right"]}]
        ]

    settings = {"protocol": {"per_class": [1, 5], "draws": 2}}
    whole = document(points("embedding", FIRST, BETTER), settings=settings, **with_test_images(TRUTH))
    layer = layers_document(points("conv1", LIKE, LAYER), settings=settings, **with_test_images(TRUTH))
    paths = [save(tmp_path / "e.json", whole), save(tmp_path / "l.json", layer)]
    found = group(paths)
    assert [(one.size, one.significant, one.only_first) for one in found.differences] == [
        (1, False, None), (5, True, None)
    ]  # fmt: skip
    report(paths, tmp_path / "page.html", latex=tmp_path / "t.tex")
    text = re.sub(r"<[^>]+>", "", (tmp_path / "page.html").read_text())
    assert "At 1 the difference is not significant." in text
    assert "and of draws of training images" in text
    rows = cells(tmp_path / "t.tex")
    assert rows[0] == ["", "", r"\multicolumn{2}{l}{learning curve, 2 draws, images per class}"]
    assert rows[2] == ["embedding", "features", "1", "5"]
    assert rows[3][2:] == ["85.00", r"\textbf{95.00}"]
    assert rows[4][0] == "best layer" and rows[4][2:] == [r"\textbf{85.50}", "55.00$^{-}$"]


def cells(path):
    """The cells of a table, line by line."""
    body = re.search(r"\\toprule\n(.*?)\\bottomrule", path.read_text(), re.S)[1]
    return [row.removesuffix(r" \\").split(" & ") for row in body.splitlines() if row != r"\midrule"]


def test_the_table_has_the_best_bold_and_what_is_significant_marked(tmp_path):
    report(written(tmp_path), tmp_path / "page.html", latex=tmp_path / "t.tex")
    above, rule, head, *rows = cells(tmp_path / "t.tex")
    assert (above, rule) == (["", "", r"\multicolumn{1}{l}{given split}"], [r"\cmidrule(lr){3-3}"])
    assert head == ["embedding", "features", "all"]
    assert [[row[0], row[2]] for row in rows] == [
        ["embedding (ternary codes)", "85.00"], ["embedding (z-scores)", r"\textbf{95.00}$^{+}$"],
        ["embedding (z-scores cut at 2.5)", "85.50"], ["best layer", "55.00$^{-}$"],
    ]  # fmt: skip
    text = (tmp_path / "t.tex").read_text()
    assert r"\begin{tabular}{lrl}" in text
    assert "significantly above, below embedding (ternary codes) on the same test images" in text
    assert "Best layer: conv1." in text and "Network net, avg" in text


def test_the_table_is_made_once_and_nothing_else_is_replaced(fne, tmp_path):
    paths = written(tmp_path)
    page, latex = tmp_path / "page.html", tmp_path / "t.tex"
    first = fne("report", *paths, page, "--latex", latex)
    assert (first.code, first.err) == (0, f"{page}; table {latex}\n")
    before = latex.read_bytes()
    again = fne("report", *paths, page, "--latex", latex)
    assert (again.code, again.err) == (0, f"{page} is up to date; table {latex}\n")
    latex.unlink()
    assert fne("report", *paths, page, "--latex", latex).code == 0
    assert latex.read_bytes() == before
    mine = tmp_path / "paper.tex"
    mine.write_text("mine")
    with pytest.raises(DifferentOutput, match="is not the table of these results"):
        report(paths, tmp_path / "q.html", latex=mine)
    assert mine.read_text() == "mine" and not (tmp_path / "q.html").exists()
    with pytest.raises(WrongOptions, match=r"--latex .*q.txt should be a file to write that ends in .tex. Found: .txt"):
        report(paths, tmp_path / "q.html", latex=tmp_path / "q.txt")
    with pytest.raises(BadInput, match="in an existing folder"):
        report(paths, tmp_path / "q.html", latex=tmp_path / "no" / "t.tex")


def test_results_that_change_make_the_table_again(tmp_path):
    paths = written(tmp_path)
    report(paths, tmp_path / "page.html", latex=tmp_path / "t.tex")
    before = (tmp_path / "t.tex").read_text()
    content = json.loads(paths[0].read_text())
    content["results"] = [measured("embedding", LIKE, TRUTH, CLASSES)]
    save(paths[0], content | {"fingerprint": "9" * 64})
    report(paths, tmp_path / "page.html", latex=tmp_path / "t.tex")
    assert (tmp_path / "t.tex").read_text() != before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a_b & 50 % #1 $x$ {y}", r"a\_b \& 50 \% \#1 \$x\$ \{y\}"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("~^<>|`", r"\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}\textasciigrave{}"),
        ("[1cm] *", "{[}1cm{]} {*}"),
        ("a--b---c-d", "a-{}-b-{}-{}-c-d"),
        ("^^5cinput", r"\textasciicircum{}\textasciicircum{}5cinput"),
    ],
)
def test_names_are_no_commands(name, expected):
    assert escaped(name) == expected


def test_without_single_layers_or_embeddings(tmp_path):
    paths = written(tmp_path)
    for place, some in enumerate((paths[:1], paths[3:])):
        report(some, tmp_path / f"{place}.html", latex=tmp_path / f"{place}.tex")
    assert cells(tmp_path / "0.tex")[2:] == [["embedding", "features", "all"], ["embedding", "14", r"\textbf{85.00}"]]
    assert cells(tmp_path / "1.tex")[3:] == [["best layer", "10", r"\textbf{55.00}"]]


def no_specials_are_left(text: str) -> None:
    """Braces are in pairs, and but for those of ours nothing is a command, a comment, a superscript or a parameter."""
    _, body = text.split("\n", 1)  # the first line is a comment
    depth = 0
    for line in re.sub(r"\$(?:\^\{[+-]\}|\\pm)\$", "", body).splitlines():
        plain = re.sub(r"\\(?:[a-zA-Z]+|.)", "", line)
        assert not set(plain) & set("%#_^~$"), line
        for character in plain:
            depth += {"{": 1, "}": -1}.get(character, 0)
            assert depth >= 0, line
        assert depth == 0, line
    commands = {*re.findall(r"\\([a-zA-Z]+)", body)}
    ours = (
        "begin end toprule midrule bottomrule cmidrule textbf multicolumn footnotesize scriptsize pm char "
        "textbackslash textasciitilde textasciicircum textless textgreater textbar textasciigrave"
    )
    assert commands <= {*ours.split()}


def test_latex_takes_it_whatever_the_names(tmp_path):
    classes = [*HOSTILE[:-1], "plain"]
    printable = [name for name in HOSTILE if not re.search("[א-ת]", name)]  # LaTeX has no letters for Hebrew by default
    paths = [*pair(tmp_path, classes, [*printable, "[2cm]", "*", "a_b^c~d\\e%f#g&h$i{j}k"]), *written(tmp_path)]
    for number, path in enumerate(paths):
        content = json.loads(path.read_text())
        content["made_from"]["network"] = printable[number]
        save(path, content)
    paths += curve(tmp_path, CLASSES)
    report(paths, tmp_path / "page.html", latex=tmp_path / "t.tex")
    no_specials_are_left((tmp_path / "t.tex").read_text())
    if shutil.which("pdflatex") is None:
        return  # what it would stumble over has been looked for; where it is installed it says so itself
    text = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{t.tex}\end{document}"
    (tmp_path / "m.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "m.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-1500:]
    assert (tmp_path / "m.pdf").stat().st_size > 5000


def test_the_same_groups_give_the_same_text(tmp_path):
    found = [one for one, _ in grouped(gather(written(tmp_path)).evaluated)]
    assert table(found) == table(found)
