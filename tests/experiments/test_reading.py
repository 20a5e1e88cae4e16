"""CONFIG.toml of fne run: what is read, where it came from, and what is said of mistakes."""

from __future__ import annotations

import json

import pytest
from places import CONFIGS

PLAIN = '[datasets.d]\nimages = "photos"\n[networks.n]\nmodel = "mini"\n'

EVERYTHING = r"""
[experiment]
name = "a \"b\" é\u007f	c"
output = "o\\ut"
[datasets.d]
images = "im"
root = "photos"
max_bad = "0.5%"
box_context = 0.1
max_pixels = 1000000
split = { per_class = 3, seed = 1 }
[datasets.l]
images = "im"
max_bad = 7
split = { list = { train = "train.txt", test = "te st.txt" } }
[datasets.v]
images = "im"
split = { voc = true }
[datasets.s]
sample = "digits"
split = { test = 0.25, val = 0.1 }
[networks.a]
model = "vgg16"
weights = "w.h5"
seed = 3
preprocess = "caffe"
image_size = [32, 48]
layers = "a*,b"
batch_size = 8
precision = "bfloat16"
xla = true
dtype = "float16"
[networks.b]
model = "mini"
image_size = 64
[poolings.avg]
[poolings.max]
pool = "max"
resize = "crop"
crops = 5
[embeddings.fne]
thresholds = [-1, 0.5]
layers = ["fc*", "x"]
[embeddings.data]
thresholds = "data"
[embeddings.z]
embedding = "standardized"
[protocols.given]
[protocols.file]
split = "x.csv"
single_layers = false
[protocols.curve]
per_class = [1, 5]
draws = 5
seed = 9
[protocols.folds]
cv = 5
rows = "train"
cost = [0.1, 1]
aggregate = "vote"
solver = "liblinear"
tolerance = 1e-7
[protocols.one]
split = [{ per_class = 3 }]
[protocols.several]
split = [{ per_class = 3 }, { per_class = 3, seed = 2, val = 0.1 }, { list = { train = "a", val = "b", test = "c" } }]
[extract]
workers = 8
decode_memory = "1G"
precision = "float32"
[normalize]
rows = "train"
batch_size = 32
[discretize]
packed = true
[analyze]
alpha = 0.001
random_classes = 7
memory = "2G"
[evaluate]
memory = "1.5G"
cost = 0.3
"""


def shown(fne, tmp_path, text=PLAIN, *more):
    (tmp_path / "e.toml").write_text(text)
    return json.loads(fne("config", "show", tmp_path / "e.toml", "--json", *more).out)


def test_every_value_says_where_it_is_from(fne, tmp_path):
    text = PLAIN + "batch_size = 8\n[extract]\nmax_bad = '1%'\nbatch_size = 4\n"
    found = shown(fne, tmp_path, text, "--set", "networks.n.seed=7", "--set", "protocols.p.per_class=1,2")
    file = str(tmp_path / "e.toml")
    assert found["networks.n"]["batch_size"] == {"value": 8, "from": file}
    assert found["networks.n"]["seed"] == {"value": 7, "from": "--set"}
    assert found["datasets.d"]["max_bad"] == {"value": "1%", "from": f"[extract], {file}"}
    assert found["networks.n"]["dtype"] == {"value": "float32", "from": "default"}
    assert found["protocols.p"]["per_class"] == {"value": [1, 2], "from": "--set"}
    assert found["embeddings.fne"]["thresholds"] == {"value": [-0.25, 0.15], "from": "default"}
    assert found["experiment"]["output"] == {"value": "e-results", "from": "default"}


def test_preprocessing_is_read_as_by_extract(fne, tmp_path):
    written = "mean=[0.5,0.5,0.5],std=0.25,scale=1/255"
    one = "mean=0.5,std=0.25,order=rgb,scale=0.00392156862745098"
    (tmp_path / "e.toml").write_text(PLAIN)
    found = shown(fne, tmp_path, PLAIN, "--set", f"networks.n.preprocess={written}")
    assert found["networks.n"]["preprocess"] == {"value": one, "from": "--set"}
    text = fne("config", "show", tmp_path / "e.toml", "--set", f"networks.n.preprocess={written}").out
    assert f'preprocess = "{one}"' in text
    assert (
        shown(fne, tmp_path, PLAIN + f'[extract]\npreprocess = "{one}"\n')["networks.n"]["preprocess"]["value"] == one
    )
    wrong = fne("config", "show", tmp_path / "e.toml", "--set", "networks.n.preprocess=mean=0.5")
    assert wrong.code == 1
    assert "preprocess: mean=0.5 seems to be of pixels from 0 to 1" in wrong.err


def values(fne, path):
    tables = json.loads(fne("config", "show", path, "--json").out)
    return {name: {key: entry["value"] for key, entry in table.items()} for name, table in tables.items()}


def files(path):
    from fne_cli.cli.run import known_options
    from fne_cli.experiments.plan import plan
    from fne_cli.experiments.written.reading import read_experiment

    return [job.outputs for job in plan(read_experiment(path, [], known_options())).jobs]


@pytest.mark.parametrize("path", [*sorted(CONFIGS.glob("*.toml")), None], ids=lambda path: path.stem if path else "all")
def test_what_is_shown_can_be_read_again_and_means_the_same(fne, tmp_path, path):
    if path is None:
        path = tmp_path / "all.toml"
        path.write_text(EVERYTHING)
    again = tmp_path / "again.toml"
    again.write_text(fne("config", "show", path).out)
    assert values(fne, again) == values(fne, path)
    if "[transfer]" not in again.read_text():  # what that trains depends on the classes of the images
        assert files(again) == files(path)


def test_the_folder_for_everything_is_called_as_the_experiment(fne, tmp_path):
    named = '[experiment]\nname = "birds"\n'
    assert shown(fne, tmp_path, named + PLAIN)["experiment"]["output"]["value"] == "birds-results"
    found = shown(fne, tmp_path, PLAIN, "--set", "experiment.name=owls")["experiment"]
    assert found["output"] == {"value": "owls-results", "from": "default"}
    found = shown(fne, tmp_path, named + "output = 'out'\n" + PLAIN)["experiment"]
    assert found["output"]["value"] == "out"


def test_a_name_that_no_folder_can_have_needs_an_output(fne, tmp_path):
    (tmp_path / "e.toml").write_text(PLAIN + '[experiment]\nname = "birds/owls"\n')
    done = fne("config", "show", tmp_path / "e.toml")
    assert done.code == 1
    assert "[experiment] should have an output, as no folder can be called 'birds/owls'" in done.err
    assert fne("config", "show", tmp_path / "e.toml", "--set", "experiment.output=birds").code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "should have a table [datasets.NAME] at least"),
        ('[datasets.d]\nimages = "x"\n', "should have a table [networks.NAME] at least"),
        (PLAIN + "[network.m]\n", "unknown table 'network'. Did you mean 'networks'?"),
        (PLAIN + "batchsize = 2\n", "[networks.n] has the unknown key 'batchsize'. Did you mean 'batch_size'?"),
        (PLAIN + "batch_size = 0\n", "[networks.n] batch_size: 0 is not in the range 1<=x<=65536"),
        (PLAIN + "batch_size = 1.5\n", "should be a whole number, found 1.5"),
        (PLAIN + "xla = 'yes'\n", "should be true or false, found 'yes'"),
        (PLAIN + "dtype = 'float64'\n", "[networks.n] dtype: 'float64' is not one of"),
        (PLAIN + "[networks.m]\n", "[networks.m] should have model. Found: none."),
        (PLAIN + "['networks'.'../x']\nmodel = 'mini'\n", "letters, digits, _ and -"),
        (PLAIN + "[embeddings.layers]\n", "layers stands for every single layer"),
        (PLAIN + "[embeddings.z]\nembedding = 'l2'\nthresholds = [0, 1]\n", "which only the embedding fne takes"),
        (PLAIN + "[embeddings.z]\nembedding = 'l2'\nrecipe = 'auto'\n", "has embedding, which the recipe says"),
        (PLAIN + "[embeddings.z]\nrecipe = 'published'\nbudget = 9\n", 'which only the recipe "auto" takes'),
        (PLAIN + "[embeddings.z]\nrecipe = 'best'\n", "'best' is not one of 'published', 'auto'"),
        (PLAIN + "[protocols.p]\ncv = 3\nper_class = [1]\n", "should have cv, or per_class and split"),
        (PLAIN + "[protocols.p]\nsplit = {folds = 3}\n", "unknown key 'folds'"),
        (PLAIN + "[protocols.p]\nsplit = []\n", "should have one split at least"),
        (PLAIN + "[protocols.p]\nsplit = {list = {trian = 'x'}}\n", "should be train=FILE, val=FILE or test=FILE"),
        (PLAIN + "[datasets.e]\nsample = 'mnist'\n", "should be digits, found 'mnist'"),
        (PLAIN + "[datasets.e]\nsample = 'digits'\nimages = 'x'\n", "should have images or sample. Found: both"),
        ("[datasets.d]\nimages = '-'\n[networks.n]\nmodel = 'mini'\n", "standard input can be read only once"),
        (PLAIN + f"seed = {'9' * 5000}\n", "should be TOML"),
        (PLAIN + f"batch_size = 0x{'f' * 5000}\n", "should be a number of 64 bits"),
        (PLAIN + "[extract]\nmax_bad = '200%'\n", "[extract] max_bad: should be a number of images (7) or a share"),
        (PLAIN + "[datasets.e]\nimages = 'x'\nmax_bad = 0.5\n", "[datasets.e] max_bad: should be a number of images"),
        (PLAIN + "[datasets.e]\nimages = 'x'\nmax_bad = -1\n", "Found: '-1'."),
        (PLAIN + "[protocols.p]\nrows = 'train'\n", "[protocols.p] should have cv, as rows says which images"),
        (
            PLAIN + "[protocols.p]\nclassifier = 'ridge'\nC = 1\n",
            "[protocols.p] has C, which only the classifier svm or logistic takes. Found: the classifier ridge.",
        ),
        (PLAIN + "[protocols.p]\npenalty = [1]\n", "[protocols.p] has penalty, which only the classifier ridge takes"),
        (
            PLAIN + "[protocols.p]\ntolerance = 0.1\n[evaluate]\nclassifier = 'ridge'\n",
            "[protocols.p] has tolerance, which only the classifier svm or logistic takes",
        ),
        (PLAIN + "[evaluate]\npenalty = [1]\n", "[evaluate] has penalty, which only the classifier ridge takes"),
        (PLAIN + "[protocols.p]\nclassifier = 'rigde'\n", "[protocols.p] classifier: should be svm, ridge, lda"),
        (PLAIN + "[extract]\nmodel = 'mini'\n", "[extract] has the unknown key 'model'"),
        (PLAIN + "[evaluate]\ncost = [0]\n", "[evaluate] cost: should be numbers above 0"),
        ("datasets = 3\n", "should have datasets as a table"),
        ("[datasets]\nimages = 'x'\n", "should have tables [datasets.NAME]. Found: images = 'x' in [datasets]"),
        ("[datasets\n", "should be TOML"),
    ],
)
def test_a_mistake_is_named_as_it_stands_there(fne, tmp_path, text, said):
    (tmp_path / "e.toml").write_text(text)
    done = fne("run", tmp_path / "e.toml", "--dry-run")
    assert done.code == 1
    assert said in done.err
    assert str(tmp_path / "e.toml") in done.err


def test_a_protocol_and_a_split_of_another_cannot_have_one_name(fne, tmp_path):
    protocols = "[protocols.a]\nsplit = [{test = '20%'}, {test = '30%'}]\n[protocols.a-2]\n"
    (tmp_path / "e.toml").write_text(PLAIN + protocols)
    done = fne("run", tmp_path / "e.toml", "--dry-run")
    assert done.code == 1
    assert "Found: a-2, which is one of the splits of a, too." in done.err


def test_a_mistake_of_set_is_not_blamed_on_the_file(fne, tmp_path):
    (tmp_path / "e.toml").write_text(PLAIN)
    done = fne("run", tmp_path / "e.toml", "--dry-run", "--set", "experiment.outputt=x")
    assert (
        done.err
        == "fne: --set experiment.outputt, [experiment] has the unknown key 'outputt'. Did you mean 'output'?\n"
    )


@pytest.mark.parametrize("text", ["x", "=3", "a..b=3", "networks.n.model.x=3"])
def test_a_set_that_sets_nothing_is_refused(fne, tmp_path, text):
    (tmp_path / "e.toml").write_text(PLAIN)
    done = fne("run", tmp_path / "e.toml", "--dry-run", "--set", text)
    assert done.code == 1
    assert "--set" in done.err


def test_a_number_of_5000_digits_is_refused(fne, tmp_path):
    (tmp_path / "e.toml").write_text(PLAIN)
    done = fne("run", tmp_path / "e.toml", "--dry-run", "--set", f"networks.n.batch_size={'9' * 5000}")
    assert done.code == 1
    assert done.err.startswith("fne: --set networks.n.batch_size, [networks.n] batch_size: ")


def test_a_whole_table_can_be_set(fne, tmp_path):
    found = shown(fne, tmp_path, PLAIN, "--set", 'networks={ m = { model = "vgg16" } }')
    assert found["networks.m"]["model"] == {"value": "vgg16", "from": "--set"}
    assert "networks.n" not in found


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_experiments_that_come_with_fne_are_valid_and_say_where_the_images_are(fne, path):
    done = fne("config", "show", path)
    assert done.code == 0, done.err
    text = path.read_text()
    assert f"fne {'transfer' if '[transfer]' in text else 'run'} configs/{path.name}" in text
    assert "https://" in text or "offline" in text
