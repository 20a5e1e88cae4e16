"""The page in a real browser: quiet, offline, by keyboard, on a phone, in the dark, on paper, and among enemies."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re

import pytest
from browser import chromium
from report_files import ATTACK, HOSTILE, curve, document, entry, experiment, layers_document, pair, predictions, save
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from fne_cli.figures.charted.charts import as_script
from fne_cli.figures.names import distinct, shown
from fne_cli.steps.report import report
from fne_cli.store.output.sealed import with_digest

CLASSES = [f"class {number}" for number in range(12)]


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A split and a learning curve."""
    folder = tmp_path_factory.mktemp("page")
    report([*pair(folder, CLASSES), *curve(folder, CLASSES)], folder / "page.html")
    return folder / "page.html"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A page on which every name is an attack."""
    folder = tmp_path_factory.mktemp("hostile")
    classes = [*HOSTILE[:-1], "plain"]
    paths = pair(folder, classes, HOSTILE)
    for path in paths:
        content = json.loads(path.read_text())
        content["made_from"] |= {"network": HOSTILE[0], "weights": HOSTILE[1], "preprocess": HOSTILE[4]}
        content["software"] = dict(zip(HOSTILE, HOSTILE[::-1], strict=True))
        save(path, content, ["fne", *HOSTILE])
    lines = [(f"{name} {n}", name, classes[n], [0.1] * 11) for n, name in enumerate(classes[1:]) if "\0" not in name]
    said = predictions(folder / "p.csv", paths[0], lines)
    report(paths, folder / "page.html", predictions=[said], title=HOSTILE[0])
    return folder / "page.html"


def cells(browser, column, table=0):
    rows = "[...document.querySelectorAll('table')[arguments[0]].tBodies[0].rows]"
    script = f"return {rows}.map(row => row.cells[arguments[1]].innerText)"
    return browser.run(script, table, column)


def test_a_page_says_nothing_and_asks_for_nothing(browser, page):
    browser.open(page)
    assert browser.log() == []
    assert browser.requests() == []
    assert browser.run("return document.querySelectorAll('.chart svg').length") == 6
    texts = "return [...document.querySelector('[data-chart=\"2-curve\"] svg').querySelectorAll('text')]"
    assert "training images per class (logarithmic)" in browser.run(f"{texts}.map(text => text.textContent)")


def test_the_policy_forbids_the_network(browser, page):
    browser.open(page)
    assert browser.run("return fetch('https://example.org/').then(() => 'loaded', () => 'refused')") == "refused"
    browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.attacked = 1'; document.body.append(s)"
    )
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.attacked=1\">')")
    assert browser.run("return window.attacked ?? null") is None


def test_tables_are_sorted_by_keyboard(browser, page):
    browser.open(page)
    table = browser.driver.find_elements(By.CSS_SELECTOR, "table.sortable")[1]
    header = table.find_elements(By.CSS_SELECTOR, "thead th")[1]
    before = cells(browser, 0, 1)
    header.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    values = [float(text) for text in cells(browser, 1, 1)]
    assert header.get_attribute("aria-sort") == "descending"
    assert values == sorted(values, reverse=True)
    header.find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    values = [float(text) for text in cells(browser, 1, 1)]
    assert (header.get_attribute("aria-sort"), values) == ("ascending", sorted(values))
    assert len(table.find_elements(By.CSS_SELECTOR, "th[aria-sort]")) == 1
    table.find_element(By.CSS_SELECTOR, "th button").send_keys(Keys.ENTER)
    assert cells(browser, 0, 1) == before  # the order of the network


def test_the_first_key_skips_to_the_results_and_focus_is_seen(browser, page):
    browser.open(page)
    browser.driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    focused = browser.driver.switch_to.active_element
    assert (focused.text, focused.is_displayed()) == ("Skip to the results", True)
    assert focused.value_of_css_property("outline-style") == "solid"
    focused.send_keys(Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "content"


@pytest.mark.parametrize(("count", "cut"), [(24, False), (60, True)])
def test_a_long_table_says_that_it_scrolls_and_begins_with_what_counts(browser, tmp_path, count, cut):
    layers = [f"layer{number}" for number in range(count)]
    paths = pair(tmp_path, CLASSES, layers)
    found = json.loads(paths[1].read_text())["results"]
    best = max(found, key=lambda part: part["mean_per_class_accuracy"])["name"]
    report(paths, tmp_path / "p.html")
    browser.open(tmp_path / "p.html")
    table = browser.driver.find_element(By.CSS_SELECTOR, "#group-1 table")
    names = [each.text for each in table.find_elements(By.CSS_SELECTOR, "tr.whole ~ tr th bdi")]
    assert names == [best, *(name for name in layers if name != best)]
    box = "const box = document.querySelector('#group-1 .scroll'); return box.scrollHeight > box.clientHeight"
    assert browser.run(box) == cut
    said = browser.driver.find_element(By.CSS_SELECTOR, "#group-1 .caption").text
    assert (f"{count + 1} rows; scroll" in said) == cut


def test_a_phone_shows_the_figures_of_the_overview(browser, tmp_path, monkeypatch):
    out = experiment(tmp_path)
    content = json.loads((out / "results.json").read_text())
    first = content["cells"][0]
    content["cells"] += [first | {"embedding": "a-name-that-is-rather-long"}]
    (out / "results.json").write_text(json.dumps(with_digest(content)))
    monkeypatch.chdir(tmp_path)
    report([out], tmp_path / "p.html")
    browser.open(tmp_path / "p.html", width=390)
    rows = "document.querySelector('#overview table').rows"
    script = f"return [...{rows}].map(row => [row.cells[1], row.cells[3]].map(c => c.getBoundingClientRect().right))"
    assert all(right <= 390 for row in browser.run(script) for right in row)
    assert browser.run(f"return [...{rows}[0].cells].map(cell => cell.innerText.trim())") == [
        "embedding", "it reaches, %", "best layer, %", "difference, points"]  # fmt: skip
    said = browser.driver.find_element(By.CSS_SELECTOR, "#overview .caption + .caption").text
    assert said == (
        "In every row: dataset things; network net, avg; protocol given split; measure mean per-class accuracy; "
        "best layer conv2."
    )


def test_an_embedding_has_one_name(browser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report([experiment(tmp_path)], tmp_path / "p.html")
    browser.open(tmp_path / "p.html")
    browser.unfold()
    rows = browser.run("return document.querySelector('tr.whole bdi').innerText")
    choice = browser.run("return document.querySelector('select[name=view] option').innerText")
    header = browser.run("return document.querySelectorAll('#group-1 table')[2].tHead.rows[0].cells[1].innerText")
    texts = browser.run("return [...document.querySelectorAll('figure:not(.matrix) svg text')].map(t => t.textContent)")
    assert (rows, choice, header) == ("fne", "fne", "fne")
    assert any(text.startswith("fne ") for text in texts)
    assert "The embedding fne reaches" in browser.run("return document.body.innerText")


def test_no_two_headings_read_the_same(tmp_path):
    whole, _ = pair(tmp_path, CLASSES)
    others = [
        document([entry("embedding", [*CLASSES, "one more"])]),
        document([entry("embedding", CLASSES)], images={"training": 30, "test": 201, "bad": 0}),
        document([entry("embedding", CLASSES)], sources=[{"kind": "split", "fingerprint": "1"}]),
        document([entry("embedding", CLASSES)], settings={"protocol": {"cv": 5}}),
    ]
    paths = [save(tmp_path / f"{number}.json", content) for number, content in enumerate(others)]
    report([whole, *paths], tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    links = [re.sub("<.*?>", "", link) for link in re.findall(r'<a href="#group-\d+">(.*?)</a>', text)]
    assert links == [re.sub("<.*?>", "", title) for title in re.findall(r'<h2 id="group-\d+-title">(.*?)</h2>', text)]
    assert len(set(links)) == 5
    assert "net, avg, given split, classes 13" in links and "net, avg, 5-fold cross-validation" in links


def test_the_matrix_has_views_orders_and_sizes(browser, page):
    browser.open(page)
    browser.unfold()
    figure = browser.driver.find_element(By.CSS_SELECTOR, "figure.matrix")

    def shown():
        script = (
            "const f = document.querySelectorAll('figure.matrix')[0];"
            "const texts = [...f.querySelectorAll('svg text')].map(t => t.textContent);"
            "return [f.querySelector('.chart').dataset.step, texts]"
        )
        return browser.run(script)

    step, texts = shown()
    assert set(CLASSES) <= set(texts)
    figure.find_element(By.CSS_SELECTOR, "[data-zoom=out]").send_keys(Keys.ENTER)
    browser.run("return new Promise(done => setTimeout(done, 300))")
    assert int(shown()[0]) < int(step)
    figure.find_element(By.NAME, "order").send_keys("as in")
    browser.run("return new Promise(done => setTimeout(done, 300))")
    texts = [text for text in shown()[1] if text in CLASSES]
    assert texts == CLASSES * 2
    figure.find_element(By.NAME, "view").send_keys("conv2")
    browser.run("return new Promise(done => setTimeout(done, 300))")
    assert browser.log() == []


def test_a_mark_tells_its_value(browser, page):
    browser.open(page)
    browser.unfold()
    browser.run(
        "const mark = [...document.querySelectorAll('figure.matrix svg path')].find(m => m.__data__?.datum?.tip);"
        "const {x, y} = mark.getBoundingClientRect();"
        "mark.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: x + 2, clientY: y + 2}));"
        "mark.dispatchEvent(new MouseEvent('mousemove', {bubbles: true, clientX: x + 2, clientY: y + 2}))"
    )
    assert re.fullmatch(
        r"class \d+: \d+ of 20 \(.* %\) (right|classified as class \d+)",
        browser.run("return document.querySelector('.tip').textContent"),
    )


@pytest.mark.parametrize("which", ["page", "hostile"])
def test_nothing_is_wider_than_a_phone(browser, which, request):
    browser.open(request.getfixturevalue(which), width=360)
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    wide = "return [...document.querySelectorAll('.scroll')].some(box => box.scrollWidth > box.clientWidth)"
    assert browser.run(wide)  # tables scroll in their boxes


def test_a_table_that_goes_on_is_shaded_where_it_does(browser, page):
    """The shadows stay, their covers go with the table: nobody sees them at its ends."""
    browser.open(page, width=360)
    style = "getComputedStyle(document.querySelector('#overview .scroll'))"
    assert browser.run(f"return {style}.backgroundAttachment") == "local, local, scroll, scroll"
    assert browser.run(f"return {style}.backgroundImage").count("gradient") == 4


def test_what_is_folded_is_drawn_for_paper_and_as_wide_as_it_is_when_unfolded(browser, page):
    browser.open(page)
    closed = "document.querySelectorAll('details:not([open])').length"
    assert browser.run(f"return {closed}") > 5
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(f"return {closed}") == 0
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(f"return {closed}") > 5
    browser.open(page, width=700)
    browser.unfold()
    width = "document.querySelector('[data-chart=\"1-layers\"] svg').getBoundingClientRect().width"
    assert abs(browser.run(f"return {width} - document.querySelector('#group-1').clientWidth")) < 40
    assert browser.log() == []


@pytest.mark.parametrize("encrypted", [True, False])
def test_tables_are_copied_by_keyboard(browser, tmp_path, encrypted):
    layers = ["a|b_c & {d}", "=1+1", 'with "quotes", and a comma']
    report(pair(tmp_path, CLASSES, layers), tmp_path / "p.html")
    browser.open(tmp_path / "p.html")
    if encrypted:
        browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    else:  # what else there is: a selection, and a command
        browser.run("navigator.clipboard.writeText = async () => { throw new Error('no'); }")
        browser.run("document.execCommand = () => { window.copied = document.activeElement.value; return true; }")
    buttons = browser.driver.find_elements(By.CSS_SELECTOR, "#group-1 .copies button")[:3]
    assert buttons[1].get_attribute("aria-label") == "Copy the table Results as LaTeX"
    texts = []
    for button in buttons:
        button.send_keys(Keys.ENTER)
        texts.append(browser.run("return new Promise(done => setTimeout(() => done(window.copied), 50))"))
        assert browser.run("return document.activeElement.textContent") == button.text
    said = browser.run("return document.querySelector('#group-1 [role=status]').textContent")
    assert said == "Copied as Markdown"
    rows = list(csv.reader(io.StringIO(texts[0])))
    assert rows[0][:2] == ["embedding or layer", "mean per-class accuracy"]
    assert {"'=1+1", 'with "quotes", and a comma (best layer)'} <= {row[0] for row in rows}
    assert all(float(row[1]) > 0 for row in rows[1:])
    assert "a\\textbar{}b\\_c \\& \\{d\\} & " in texts[1] and texts[1].count(r"\\") == 5
    assert texts[2].splitlines()[1].startswith("|---|--:|") and "| a\\|b\\_c & {d} |" in texts[2]
    assert browser.log() == []


def _luminance(colour):
    parts = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_the_contrast_of_aa_in_light_and_dark(browser, page, dark):
    browser.open(page, dark=dark)
    # results that say nothing of their images have nothing significant
    colours = '<b class="over">1</b><b class="under">2</b>'
    browser.run(f"document.querySelector('.said').insertAdjacentHTML('beforeend', '{colours}')")
    script = """
        const behind = (e) => { for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor; if (c != 'rgba(0, 0, 0, 0)') return c; } };
        return ['h1', '.quiet', '.caption', 'td', 'th button', '.tag', '.spread', '.over', '.under', 'a', 'pre',
                'select', 'dt', 'figcaption', 'footer', 'summary h3', '.copies', '.copies button'].map((name) => {
            const e = document.querySelector(name); return [name, getComputedStyle(e).color, behind(e)]; })"""
    found = browser.run(script)
    assert (_luminance(found[0][2]) < 0.1) == dark
    script = "return [...document.querySelectorAll('figure:not(.matrix) svg text')].map(t => getComputedStyle(t).fill)"
    found += [["a chart", ink, found[0][2]] for ink in set(browser.run(script))]
    for name, ink, paper in found:
        light, low = sorted((_luminance(ink), _luminance(paper)), reverse=True)
        assert (light + 0.05) / (low + 0.05) >= 4.5, name


def test_charts_follow_the_page_into_the_dark(browser, page):
    colours = []
    for dark in (False, True):
        browser.open(page, dark=dark)
        texts = "[...document.querySelectorAll('figure:not(.matrix) svg text')]"
        script = f"return {texts}.map(text => getComputedStyle(text).fill)"
        colours.append(set(browser.run(script)))
    assert colours[0].isdisjoint(colours[1])


def test_paper_is_white_and_holds_everything(browser, page):
    browser.open(page, dark=True, medium="print")
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("return getComputedStyle(document.querySelector('nav')).display") == "none"
    boxes = "return [...document.querySelectorAll('.scroll')].map(box => getComputedStyle(box).overflowY)"
    assert set(browser.run(boxes)) == {"visible"}
    browser.open(page)
    content = browser.print()
    assert content.startswith(b"%PDF-") and len(re.findall(rb"/Type\s*/Page\b", content)) >= 3


def test_without_scripts_the_tables_stand(browser, page):
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.driver.get(page.as_uri())
        for summary in browser.driver.find_elements(By.CSS_SELECTOR, "#group-1 details:not([open]) > summary"):
            summary.send_keys(Keys.ENTER)
        text = browser.driver.find_element(By.TAG_NAME, "body").text
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)
    assert "Charts and sorting need JavaScript" in text
    assert "conv2" in text and "class 11" in text


def test_no_name_is_obeyed(browser, hostile):
    browser.open(hostile)
    browser.unfold()
    assert browser.log() == []
    assert browser.requests() == []
    assert browser.run("return window.attacked ?? null") is None
    assert browser.run("return document.scripts.length") == 3
    assert browser.run("return document.querySelectorAll('img, iframe, object, embed, link').length") == 0
    assert browser.run("return document.title").startswith("</script><script>")
    text = browser.run("return document.body.innerText")
    assert ATTACK in text and "{{ 7 * 7 }}" in text and "gpj\\u202eexe" in text
    browser.run("for (const button of document.querySelectorAll('th button')) button.click()")
    assert browser.run("return window.attacked ?? null") is None


class _Tags(html.parser.HTMLParser):
    """Every start tag, and attributes that would be scripts or addresses."""

    def __init__(self):
        super().__init__()
        self.tags, self.wrong = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name.startswith("on") or name == "style" or (name in ("src", "href") and value[:1] != "#"):
                self.wrong.append((tag, name, value))


def test_no_name_becomes_markup(hostile):
    text = hostile.read_text()
    tags = _Tags()
    tags.feed(text)
    assert tags.wrong == []
    assert tags.tags.count("script") == 3 and "img" not in tags.tags
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    assert len(text) < 3_000_000


def test_a_script_element_cannot_be_ended_by_its_data():
    text = as_script({name: name for name in HOSTILE})
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == {name: name for name in HOSTILE}


def test_sentences(tmp_path):
    report([*pair(tmp_path, CLASSES), *curve(tmp_path, CLASSES)], tmp_path / "p.html")
    text = re.sub(r"<[^>]+>", "", (tmp_path / "p.html").read_text()).replace("&nbsp;", " ")
    assert re.search(
        r"The embedding reaches \d\d\.\d\d % mean per-class accuracy, \d+\.\d\d points above the best single layer, "
        r"conv2 \(\d\d\.\d\d %\)\.",
        text,
    )
    assert re.search(
        r"The embedding beats the best single layer at 5 and 10 training images per class \(by .*\) and falls behind "
        r"it at 1 \(by .* points\)\.",
        text,
    )
    assert "dashed, the embedding; orange" in text


@pytest.mark.parametrize(
    ("right", "said"), [((0.5, 0.5), "exactly as much as"), ((0.3, 0.5), "below"), ((0.5, 0.3), "above")]
)
def test_the_sentence_of_a_split(tmp_path, right, said):
    whole = entry("embedding", CLASSES) | {"mean_per_class_accuracy": right[0]}
    layer = entry("conv1", CLASSES) | {"mean_per_class_accuracy": right[1]}
    paths = [save(tmp_path / "e.json", document([whole])), save(tmp_path / "l.json", layers_document([layer]))]
    report(paths, tmp_path / "p.html")
    assert said in re.search(r'<p class="said">(.*?)</p>', (tmp_path / "p.html").read_text())[1]


@pytest.mark.parametrize(("spread", "interval"), [(None, None), (0.01, None), (0.0, None), (None, 0.01)])
def test_a_difference_that_no_images_were_compared_for_has_no_colour(tmp_path, spread, interval):
    """Of 0.7 and 0.5."""
    parts = []
    for name, value in (("embedding", 0.7), ("other", 0.7), ("conv1", 0.5)):
        part = entry(name, CLASSES) | {"mean_per_class_accuracy": value}
        if spread is not None:
            part |= {"mean_per_class_accuracy_std": spread, "trials": 5}
        if interval:
            part |= {"mean_per_class_accuracy_95": [value - interval, value + interval]}
        parts.append(part)
    other = document([parts[1] | {"name": "embedding"}], settings={"embedding": "raw"})
    paths = [save(tmp_path / "e.json", document(parts[:1])), save(tmp_path / "o.json", other),
             save(tmp_path / "l.json", layers_document(parts[2:]))]  # fmt: skip
    report(paths, tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    assert re.findall(r'<td data-sort="0\.1999+\d*" class="(\w+)">', text) == ["quiet"] * 2
    assert re.findall(r'<span class="(\w+)">20\.00', text) == ["quiet"] * 2
    assert "were not tested, as results do not say which images are right" in text


def columns(text, section):
    """The columns of the first table of a section, as lists of texts."""
    table = re.search(rf'<section id="{section}".*?<table.*?</table>', text, re.S)[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in table.split("<tr")[1:]]
    head, *body = [[re.sub("<.*?>", "", cell).strip() for cell in row] for row in rows]
    return dict(zip(head, zip(*body, strict=True), strict=True))


def test_the_c_that_was_chosen_is_shown_even_if_all_chose_the_same(tmp_path):
    wanted = {"settings": {"C": [0.001, 0.01, 1.0]}}
    whole = save(tmp_path / "e.json", document([entry("embedding", CLASSES, C=0.01)], **wanted))
    layer = save(tmp_path / "l.json", layers_document([entry("conv1", CLASSES, C=0.01)], **wanted))
    report([whole, layer], tmp_path / "p.html")
    assert columns((tmp_path / "p.html").read_text(), "group-1")["C chosen"] == ("0.01", "0.01")
    report(pair(tmp_path, CLASSES), tmp_path / "q.html")
    assert not {"C", "C chosen"} & set(columns((tmp_path / "q.html").read_text(), "group-1"))


def test_a_learning_curve_shows_the_c_that_its_sizes_chose(tmp_path):
    settings = {"protocol": {"per_class": [2, 5], "draws": 2}, "C": [0.1, 1.0, 10.0]}
    parts = [
        entry("embedding", CLASSES, training_images_per_class=size, trials=2, C=costs)
        for size, costs in ((2, [0.1]), (5, [0.1, 10.0]))
    ]
    report([save(tmp_path / "e.json", document(parts, settings=settings))], tmp_path / "p.html")
    assert columns((tmp_path / "p.html").read_text(), "group-1")["C chosen"] == ("0.1, 10",)


def without_layers(folder, name, right, **settings):
    return save(folder / f"{name}.json", document([entry("embedding", CLASSES, right)], settings=settings))


def test_embeddings_without_single_layers_are_in_the_overview_and_in_sentences(tmp_path):
    paths = [without_layers(tmp_path, name, right, embedding=name) for name, right in (("raw", 0.5), ("l2", 0.9))]
    values = [f"{100 * json.loads(path.read_text())['results'][0]['accuracy']:.2f}" for path in paths]
    report(paths, tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    found = columns(text, "overview")
    assert (list(found), found["it reaches, %"]) == (["embedding", "it reaches, %"], tuple(values))
    said = [re.sub("<.*?>", "", one) for one in re.findall('<p class="said">(.*?)</p>', text)]
    assert [value in one for value, one in zip(values, said, strict=True)] == [True, True]
    assert ["No single layer was measured beside them." in one for one in said] == [False, True]


def test_protocols_with_and_without_single_layers_are_all_in_the_overview(tmp_path):
    lone = without_layers(tmp_path, "lone", 0.5, protocol={"cv": 5})
    report([*pair(tmp_path, CLASSES), lone], tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    assert columns(text, "overview")["best layer"] == ("conv2", "–")
    assert columns(text, "overview")["difference, points"][1] == "–"
    assert "Where no layer is named, none was measured beside it." in text


def test_names_that_are_cut_stay_different(tmp_path):
    names = [f"class number {number:04d} of a rather long kind" for number in range(400)]
    names += ["a" * 40 + end + "b" * 40 for end in ("", "c", "cc")] + ["x\n", "x\\n", "short"]
    found = distinct(names, 24)
    assert len(set(found)) == len(names) and max(map(len, found)) <= 24
    assert "0123" in found[123] and found[-1] == "short"
    assert distinct(["short", "z" * 30], 24) == ["short", shown("z" * 30, 24)]
    part = entry("embedding", names[:12])
    report([save(tmp_path / "e.json", document([part]))], tmp_path / "p.html")
    charts = json.loads(re.search(r'id="charts">(.*?)</script>', (tmp_path / "p.html").read_text(), re.S)[1])
    assert len(set(charts["1-confusion"]["spec"]["params"][0]["value"])) == 12


def test_a_phone_shows_the_figures_of_classes_with_long_names(browser, tmp_path):
    report(pair(tmp_path, [*CLASSES, "a-name-of-sixty-letters-" + "x" * 36]), tmp_path / "p.html")
    browser.open(tmp_path / "p.html", width=375)
    script = (
        "const end = (cell) => cell.getBoundingClientRect().right - parseFloat(getComputedStyle(cell).paddingRight);"
        "return [...document.querySelectorAll('table.named')].map((table, place) =>"
        " [...table.tBodies[0].rows].map(row => end(row.cells[place ? 1 : 3])))"
    )
    pairs, classes = browser.run(script)
    assert len(classes) == 13 and max(*pairs, *classes) <= 375


def test_a_dot_where_the_axis_begins_is_beside_its_label(browser, tmp_path):
    rows = [entry(name, CLASSES) | {"mean_per_class_accuracy": value} for name, value in (("conv1", 0.4), ("fc", 0.9))]
    report([save(tmp_path / "l.json", layers_document(rows))], tmp_path / "p.html")
    browser.open(tmp_path / "p.html")
    script = (
        "const box = (e) => e.getBoundingClientRect(), svg = document.querySelector('[data-chart$=layers] svg');"
        "const all = (name) => [...svg.querySelectorAll(name)];"
        "return [Math.max(...all('text').filter(e => /^(conv1|fc)$/.test(e.textContent)).map(e => box(e).right)),"
        " Math.min(...all('.mark-symbol path').map(e => box(e).left))]"
    )
    label, dot = browser.run(script)
    assert label < dot


def test_a_message_keeps_its_lines_and_nothing_else_that_cannot_be_seen(browser, tmp_path, monkeypatch):
    out = experiment(tmp_path)
    content = json.loads((out / "results.json").read_text())
    content["cells"][2]["error"] = "The disk is full.\nMake\u202e room\x1b.\r\n<b>Again.</b>"
    (out / "results.json").write_text(json.dumps(with_digest(content)))
    monkeypatch.chdir(tmp_path)
    report([out], tmp_path / "p.html")
    browser.open(tmp_path / "p.html")
    said = browser.driver.find_element(By.CSS_SELECTOR, "#failed dd").text
    assert said == "The disk is full.\nMake\\u202e room\\x1b.\\r\n<b>Again.</b>"


def test_an_experiment_on_a_page(browser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report([experiment(tmp_path)], tmp_path / "p.html")
    browser.open(tmp_path / "p.html")
    assert (browser.log(), browser.requests()) == ([], [])
    loaded = "return [...document.querySelectorAll('.shots img')].map(i => i.naturalWidth)"
    assert browser.run(loaded) == [128, 128]
    browser.unfold()
    text = browser.run("return document.body.innerText")
    assert "beside the files.\n" in text and "took is not here" not in text
    assert "the disk <b>is</b> full" in text and "fne evaluate 'a b'" in text and "test/a/3.png" in text
