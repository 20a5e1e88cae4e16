"""fne analyze: what is in the file, by references, and how the command behaves."""

import json
from pathlib import Path

import numpy as np
import pytest
from activations import damage, relu, shards, table, write
from edited_files import edited
from scipy.stats import ks_2samp

from fne_cli.errors import BadInput, DamagedFile, DifferentOutput, WrongFile
from fne_cli.steps.analyze import analyze, tables
from fne_cli.steps.discretize import discretize
from fne_cli.steps.normalize import normalize
from fne_cli.steps.verify import verify
from fne_cli.store.format.reader import open_file

CLASSES = ("a", "b", "c")


def read(path):
    """{layer: (s, z, label)} and the rest of a behavior file."""
    with open_file(path, "behavior") as file:
        found = file.behavior()
        return {name: (layer.s(), layer.z(), layer.label()) for name, layer in found.layers.items()}, found


def sample(folder: Path, *, crops=1, seed=1, count=90, bad=(4, 30), dtype=np.float32, several=False, name="a.h5"):
    """Two layers of ReLU values; the third of the images is test, every seventh has no label."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % 3
    label[::7] = -1
    if several:
        label = rng.integers(-1, 2, (count, 3)).astype(np.int8)
        label[::7] = -1
    images = table(
        count, split=["test" if n % 3 == 1 else "train" for n in range(count)], bad=bad, classes=CLASSES,
        label=label if several else rng.permutation(label).astype(np.int32),
    )  # fmt: skip
    layers = {"conv": relu(rng, count * crops, 7, dtype=dtype), "fc": relu(rng, count * crops, 40, dtype=dtype)}
    layers["conv"][:, 3] = 0.5
    return write(folder / name, layers, images, crops=crops), layers, images


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("crops", [1, 5])
def test_is_scipys_statistic_of_the_chosen_images(tmp_path, crops, several):
    source, layers, images = sample(tmp_path, crops=crops, several=several)
    done = analyze(source, tmp_path / "b.h5", random_classes=4)
    found, behavior = read(tmp_path / "b.h5")
    train = images.good & (np.array(images.split) == "train")
    known = (images.label != -1).any(axis=1) if several else images.label >= 0
    assert done.images == (train & known).sum()
    for name, rows in layers.items():
        values = rows.astype(np.float64).reshape(len(images), crops, -1)
        chosen = values[train].reshape(-1, rows.shape[1])
        mean, std = chosen.mean(axis=0), chosen.std(axis=0)
        s, z, _ = found[name]
        for c in range(3):
            label = images.label[:, c] if several else np.where(images.label >= 0, images.label == c, -1)
            inside, others = (values[train & known & (label == value)].mean(axis=1) for value in (1, 0))
            assert behavior.counts[c] == len(inside)
            for j in range(rows.shape[1]):
                expected = ks_2samp(inside[:, j], others[:, j], method="asymp").statistic
                assert abs(s[j, c]) == pytest.approx(expected, abs=1e-7)
                score = (inside[:, j].mean() - mean[j]) / std[j] if std[j] else 0
                assert z[j, c] == pytest.approx(score, rel=1e-5, abs=1e-6)


def planted(folder, shuffled=False):
    """60 features of 600 images of 6 classes; 0-5 are larger on the class of their number, 6-11 smaller."""
    rng = np.random.default_rng(3)
    label = rng.permutation(np.arange(600) % 6).astype(np.int32)
    rows = rng.normal(1.0, 1.0, (600, 60))
    for c in range(6):
        rows[label == c, c] += 1.5
        rows[label == c, 6 + c] -= 1.5
    if shuffled:
        label = rng.permutation(label)
    images = table(600, classes=tuple("abcdef"), label=label)
    return write(folder / "planted.h5", {"fc": np.maximum(rows, 0).astype(np.float32)}, images)


@pytest.mark.parametrize("fdr", [False, True])
def test_planted_truth_is_found_with_its_sign(tmp_path, fdr):
    done = analyze(planted(tmp_path), tmp_path / "b.h5", fdr=fdr, random_classes=50)
    _, _, label = read(tmp_path / "b.h5")[0]["fc"]
    assert label[:6].diagonal().tolist() == [1] * 6
    assert label[6:12].diagonal().tolist() == [-1] * 6
    rest = label[12:]  # 288 pairs without a difference
    if fdr:
        assert (rest != 0).sum() <= 8
        assert done.expected_false == pytest.approx(0.05 * (label != 0).sum())
    else:
        assert (rest != 0).mean() == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / 288))
        assert done.expected_false == pytest.approx(0.05 * 360)
    assert done.low < 0 < done.high


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_shuffled_labels_pass_as_often_as_alpha_says(tmp_path, alpha):
    done = analyze(planted(tmp_path, shuffled=True), tmp_path / "b.h5", alpha=alpha)
    share = (done.total.presence + done.total.absence) / done.total.pairs
    # the six classes of a feature are not quite independent, and the threshold has an error of its own
    assert share == pytest.approx(alpha, abs=5 * np.sqrt(2 * alpha * (1 - alpha) / 360))


def test_shuffled_labels_give_no_discoveries(tmp_path):
    done = analyze(planted(tmp_path, shuffled=True), tmp_path / "b.h5", fdr=True, random_classes=50)
    assert done.total.presence + done.total.absence <= 2


def test_the_same_bytes_for_any_block_and_any_number_of_threads(tmp_path, monkeypatch):
    source, *_ = sample(tmp_path, crops=2)
    analyze(source, tmp_path / "b.h5")
    expected = (tmp_path / "b.h5").read_bytes()
    for block, threads in ((1, 1), (1 << 11, 4), (1 << 30, 3)):
        monkeypatch.setattr(tables, "BLOCK_BYTES", block)
        monkeypatch.setattr("fne_cli.machine.processors", lambda threads=threads: threads)
        analyze(source, tmp_path / "b.h5", overwrite=True)
        assert (tmp_path / "b.h5").read_bytes() == expected
    analyze(source, tmp_path / "b.h5", overwrite=True, memory=8)  # all tables in temporary files
    assert (tmp_path / "b.h5").read_bytes() == expected


def test_shards_in_any_order_are_the_whole(tmp_path):
    source, layers, images = sample(tmp_path, crops=2)
    parts = shards(tmp_path, layers, images, 3, crops=2)
    analyze(source, tmp_path / "b.h5")
    analyze([parts[2], parts[0], parts[1]], tmp_path / "s.h5")
    (one, _), (other, _) = read(tmp_path / "b.h5"), read(tmp_path / "s.h5")
    for name in one:
        for ours, theirs in zip(one[name], other[name], strict=True):
            assert np.array_equal(ours, theirs)


def test_float16_and_chosen_layers(tmp_path):
    source, *_ = sample(tmp_path, dtype=np.float16)
    analyze(source, tmp_path / "b.h5")
    done = analyze(source, tmp_path / "fc.h5", layers=("f*",))
    assert [row.layer for row in done.layers] == ["fc"]
    one, other = read(tmp_path / "b.h5")[0], read(tmp_path / "fc.h5")[0]
    assert list(other) == ["fc"]
    assert np.array_equal(one["fc"][0], other["fc"][0])
    with pytest.raises(BadInput, match="has no layer 'x'"):
        analyze(source, tmp_path / "x.h5", layers=("x",))


def test_one_image_a_class_and_a_class_without_images(tmp_path):
    images = table(3, classes=("a", "b", "none"), label=np.array([0, 1, 1], np.int32))
    source = write(tmp_path / "a.h5", {"fc": np.array([[1, 0], [2, 5], [3, 5]], np.float32)}, images)
    done = analyze(source, tmp_path / "b.h5")
    (s, z, label), found = read(tmp_path / "b.h5")[0]["fc"], read(tmp_path / "b.h5")[1]
    assert done.classes == 2
    assert s[:, :2].tolist() == [[-1, 1], [-1, 1]]
    assert np.isnan(s[:, 2]).all()
    assert np.isnan(z[:, 2]).all()
    assert not label[:, 2].any()
    assert found.counts.tolist() == [1, 2, 0]
    assert np.isnan(found.random.threshold).tolist() == [False, False, True]
    assert verify(tmp_path / "b.h5").problems == []


def test_one_class_cannot_be_analysed(tmp_path):
    source = write(tmp_path / "a.h5", {"fc": np.ones((4, 2), np.float32)}, table(4, label=np.zeros(4, np.int32)))
    with pytest.raises(BadInput) as error:
        analyze(source, tmp_path / "b.h5")
    assert str(error.value) == (
        f"{source} should have labelled images of at least two classes among the rows all. Found: a only."
    )
    images = table(4, label=np.full(4, -1, np.int32))
    source = write(tmp_path / "none.h5", {"fc": np.ones((4, 2), np.float32)}, images)
    with pytest.raises(BadInput, match=r"among the rows all. Found: none\."):
        analyze(source, tmp_path / "b.h5")
    assert not (tmp_path / "b.h5").exists()


def test_a_value_that_is_not_finite_and_a_damaged_chunk_are_named(tmp_path):
    source, layers, images = sample(tmp_path)
    layers["fc"][12, 2] = np.inf
    broken = write(tmp_path / "inf.h5", layers, images)
    with pytest.raises(DamagedFile, match=r"layer fc, row 12 \(class/é12.png\) should have finite activations"):
        analyze(broken, tmp_path / "b.h5")
    damage(source, "fc", 3)
    with pytest.raises(DamagedFile, match="layer fc, rows 0-89 are damaged"):
        analyze(source, tmp_path / "b.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "inf.h5"]


def test_other_choices_are_another_output(tmp_path):
    source, *_ = sample(tmp_path)
    analyze(source, tmp_path / "b.h5")
    assert analyze(source, tmp_path / "b.h5", memory=1 << 20).up_to_date
    for change in (
        {"seed": 1},
        {"alpha": 0.01},
        {"fdr": True},
        {"random_classes": 3},
        {"rows": "all"},
        {"layers": ("fc",)},
    ):
        [name] = change
        with pytest.raises(DifferentOutput, match=f"{name}: .* in the existing output"):
            analyze(source, tmp_path / "b.h5", **change)
    with pytest.raises(BadInput, match="cannot be its output"):
        analyze(source, source)


def test_the_command(fne, tmp_path):
    source, _, images = sample(tmp_path)
    unlabelled = int((images.good & (np.array(images.split) == "train") & (images.label < 0)).sum())
    result = fne("analyze", source, tmp_path / "b.h5", "--random-classes", 5)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].split() == ["layer", "features", "presence", "absence", "uncharacteristic"]
    assert [line.split()[0] for line in lines[1:4]] == ["conv", "fc", "all"]
    assert "of 141 pairs are characteristic; of random classes 7 would be" in lines[4]
    assert f"{unlabelled} of the 59 images have no label and are left out" in result.err
    again = fne("analyze", source, tmp_path / "b.h5", "--random-classes", 5, "--json")
    assert "is up to date" in again.err
    found = json.loads(again.out)
    assert (found["total"]["pairs"], found["up_to_date"], found["rows"]) == (141, True, "train")
    assert fne("analyze", source, tmp_path / "b.h5", "--alpha", "0.1").code == 4
    assert fne("analyze", source, tmp_path / "b.h5", "--alpha", "1").code == 2
    assert fne("analyze", source, tmp_path / "b.h5", "--random-classes", "0").code == 2
    wrong = fne("analyze", tmp_path / "b.h5", tmp_path / "c.h5")
    assert (wrong.code, "should be an fne activations file. Found: kind=behavior" in wrong.err) == (1, True)
    info = fne("info", tmp_path / "b.h5")
    assert info.code == 0
    assert "classes      3, 3 of them compared" in info.out
    assert fne("verify", tmp_path / "b.h5").code == 0


@pytest.fixture
def made(tmp_path):
    """Activations, moments, behavior of planted features."""
    source, moments, behavior = planted(tmp_path), tmp_path / "m.h5", tmp_path / "b.h5"
    normalize(source, moments)
    analyze(source, behavior)
    return source, moments, behavior


def test_discretize_takes_the_thresholds(fne, made, tmp_path):
    source, moments, behavior = made
    _, found = read(behavior)
    assert fne("discretize", source, moments, tmp_path / "c.h5", "--thresholds", behavior).code == 0
    discretize(source, moments, tmp_path / "d.h5", thresholds=(found.low, found.high))
    with open_file(tmp_path / "c.h5") as codes, open_file(tmp_path / "d.h5") as others:
        assert codes.settings == others.settings
        assert codes.settings["thresholds"] == [found.low, found.high]
        assert [part["kind"] for part in codes.sources] == ["activations", "moments", "behavior"]
        assert np.array_equal(codes.layers["fc"].read(0, 600), others.layers["fc"].read(0, 600))
    assert discretize(source, moments, tmp_path / "c.h5", thresholds=behavior).up_to_date
    with pytest.raises(BadInput, match="cannot be its output"):
        discretize(source, moments, behavior, thresholds=behavior)
    wrong = fne("discretize", source, moments, tmp_path / "e.h5", "--thresholds", moments)
    assert (wrong.code, "should be an fne behavior file. Found: kind=moments. Run fne analyze" in wrong.err) == (
        1,
        True,
    )
    assert fne("discretize", source, moments, tmp_path / "e.h5", "--thresholds", "0.3").code == 2


def test_thresholds_of_other_activations_or_without_numbers(made, tmp_path):
    source, moments, _ = made
    rows = np.random.default_rng(0).normal(size=(600, 60)).astype(np.float32)
    images = table(600)
    other = write(tmp_path / "other.h5", {"fc": rows}, images, settings={"model": "vgg16"})
    analyze(other, tmp_path / "other_b.h5")
    with pytest.raises(WrongFile, match='model: "vgg16" there, "by hand" here'):
        discretize(source, moments, tmp_path / "c.h5", thresholds=tmp_path / "other_b.h5")
    analyze(write(tmp_path / "noise.h5", {"fc": rows}, images), tmp_path / "noise_b.h5", fdr=True)
    with pytest.raises(BadInput, match=r"should have thresholds, low below high. Found: low nan"):
        discretize(source, moments, tmp_path / "c.h5", thresholds=tmp_path / "noise_b.h5")


def test_evaluate_takes_the_thresholds(fne, made, tmp_path):
    source, _, behavior = made
    _, found = read(behavior)
    result = fne("evaluate", source, tmp_path / "r.json", "--embedding", "fne", "--cv", 3, "--thresholds", behavior)
    assert result.code == 0, result.err
    assert "the thresholds come from the rows 'all'" in result.err
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["settings"]["thresholds"] == [found.low, found.high]
    assert [part["kind"] for part in written["sources"]] == ["activations", "behavior"]


def test_verify_finds_what_cannot_be(made):
    *_, behavior = made

    def spoil(name, change):
        with edited(behavior) as file:
            before = file[name][:]
            after = before.copy()
            change(after)
            file[name][:] = after
        problems = verify(behavior).problems
        with edited(behavior) as file:
            file[name][:] = before
        return problems

    def put(place, value):
        return lambda values: values.__setitem__(place, value)

    assert spoil("layers/fc/s", put((12, 0), 1.5))[0] == (
        "layer fc has s outside -1 ... 1, or of a class that was not compared"
    )
    assert spoil("layers/fc/z", put((12, 0), np.nan)) == [
        "layer fc has z that is not finite, or of a class without images"
    ]
    assert spoil("layers/fc/label", put((0, 0), -1)) == [
        "layer fc has labels that do not follow from s and the threshold"
    ]
    assert spoil("thresholds/presence", put(0, 7)) == ["the histograms of z should be those of the pairs"]
    assert verify(behavior).problems == []


HOSTILE = {
    "counts or thresholds for another number": lambda file: replace(file, "counts", np.zeros(4, np.int64)),
    "a negative number of images": lambda file: file["counts"].__setitem__(0, -1),
    "of shape (features, 6)": lambda file: replace(file, "layers/fc/label", np.zeros((60, 5), np.int8)),
    "layers/fc/s should be of type f4": lambda file: replace(file, "layers/fc/s", np.zeros((60, 6))),
    "should have layers/fc/z. Found: none": lambda file: file.__delitem__("layers/fc/z"),
    "should have thresholds/edges. Found: none": lambda file: file.__delitem__("thresholds"),
    "low or high that is no number": lambda file: file["thresholds"].attrs.__setitem__("low", np.inf),
    "quantiles that do not fit": lambda file: replace(file, "null/levels", np.linspace(0, 1, 7)),
    "quantiles outside 0 ... 1": lambda file: file["null/quantiles"].__setitem__((0, 0), np.nan),
    "sizes that do not ascend": lambda file: file["null/sizes"].__setitem__(0, 0),
    "edges that do not ascend": lambda file: file["thresholds/edges"].__setitem__(0, 1e9),
    "histograms that do not fit": lambda file: replace(file, "thresholds/absence", np.zeros(2, np.int64)),
    "settings should say how a behavior file was made": lambda file: set_settings(file, {"alpha": 7}),
    "a threshold outside 0 ... 1": lambda file: file["null/threshold"].__setitem__(0, -1),
}


def replace(file, name, values):
    del file[name]
    file[name] = values


def set_settings(file, settings):
    file.attrs["settings"] = np.bytes_(json.dumps(json.loads(file.attrs["settings"]) | settings))


@pytest.mark.parametrize("message", HOSTILE)
def test_a_file_that_contradicts_itself_is_refused(fne, made, message):
    *_, behavior = made
    with edited(behavior) as file:
        HOSTILE[message](file)
    for command in ("info", "verify", "features"):
        result = fne(command, behavior)
        assert (result.code, message in result.err, "Traceback" in result.err) == (1, True, False), result.err


def test_names_from_the_file_cannot_command_a_terminal(fne, tmp_path):
    images = table(8, classes=("a\x1b[2J", "b"))
    source = write(tmp_path / "a.h5", {"f\x1bc": np.eye(8, dtype=np.float32)}, images)
    shown = [
        fne("analyze", source, tmp_path / "b.h5"),
        fne("features", tmp_path / "b.h5"),
        fne("info", tmp_path / "b.h5"),
    ]
    shown.append(fne("features", tmp_path / "b.h5", "--activations", source))
    for result in shown:
        assert result.code == 0, result.err
        assert "\x1b" not in result.out + result.err
