"""The map in a real browser: quiet, offline, by mouse and by keyboard, on a phone, and among enemies."""

from __future__ import annotations

import numpy as np
import pytest
from activations import table, write
from browser import chromium
from report_files import ATTACK, HOSTILE
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from fne_cli.steps.scatter import ScatterOptions, scatter


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Nine images on a grid of three by three, five classes."""
    folder = tmp_path_factory.mktemp("scatter")
    grid = np.array([[10.0 * x, 7.0 * y] for y in (1, 0, -1) for x in (-1, 0, 1)], np.float32)
    images = table(9, paths=[f"{n}.png" for n in range(9)], split=["train"] * 9, label=np.arange(9, dtype=np.int32) % 5,
                   classes="abcde")  # fmt: skip
    source = write(folder / "z.h5", {"one": grid}, images, kind="standardized")
    (folder / "p.csv").write_text("path,prediction\n" + "".join(f"{n}.png,{'abcde'[n % 4]}\n" for n in range(9)))
    scatter(source, folder / "map.html", options=ScatterOptions(predictions=folder / "p.csv"))
    return folder / "map.html"


def at(browser):
    return browser.run("return document.getElementById('map').dataset.at ?? null")


def press(browser, *keys):
    browser.driver.find_element(By.ID, "map").send_keys(*keys)
    browser.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")


def test_it_says_and_loads_nothing_and_fits_a_phone(browser, page):
    for width, dark in ((1280, False), (400, True)):
        browser.open(page, width=width, dark=dark)
        assert browser.log() == [] and browser.requests() == []
        assert browser.run("return document.documentElement.scrollWidth") <= width
        lit = "const c = document.getElementById('points');"
        lit += "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter(v => v > 0).length"
        assert browser.run(lit) > 100


def test_arrow_keys_go_from_image_to_image(browser, page):
    browser.open(page)
    press(browser, Keys.ARROW_UP)
    assert at(browser) == "4"  # the middle of the map
    around = set()
    for key, back in ((Keys.ARROW_UP, Keys.ARROW_DOWN), (Keys.ARROW_LEFT, Keys.ARROW_RIGHT)):
        press(browser, key)
        around.add(at(browser))
        press(browser, back)
        assert at(browser) == "4"
    assert around <= {"1", "3", "5", "7"} and len(around) == 2
    said = browser.run("return document.getElementById('shown').innerText")
    assert all(part in said for part in ("class: e", "split: train", "prediction: a", "right or wrong: wrong", "4.png"))
    press(browser, Keys.ESCAPE)
    assert browser.run("return document.getElementById('shown').hidden")


def test_the_mouse_shows_an_image_and_chosen_values_only(browser, page):
    browser.open(page)
    script = """
        const [map, shown] = ['map', 'shown'].map((id) => document.getElementById(id));
        const box = map.getBoundingClientRect();
        const [clientX, clientY] = [box.left + box.width / 2, box.top + box.height / 2];
        map.dispatchEvent(new PointerEvent('pointermove', {pointerType: 'mouse', clientX, clientY, bubbles: true}));
        return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
            () => done(shown.hidden ? '' : shown.innerText))));"""
    assert "4.png" in browser.run(script)
    press(browser, Keys.ESCAPE)
    buttons = browser.driver.find_elements(By.CSS_SELECTOR, "#key button")
    assert [button.text.split()[1:] for button in buttons] == [[c, n] for c, n in zip("abcde", "22221", strict=True)]
    buttons[0].click()
    assert browser.run(script) == ""  # e is not shown
    assert buttons[0].get_attribute("aria-pressed") == "true"
    way = browser.driver.find_element(By.ID, "way")
    assert way.text.split("\n") == ["class", "split", "prediction", "right or wrong"]
    way.send_keys("right")
    buttons = browser.driver.find_elements(By.CSS_SELECTOR, "#key button")
    assert [button.text.split()[1:] for button in buttons] == [["right", "4"], ["wrong", "5"]]


def test_a_path_is_found(browser, page):
    browser.open(page)
    browser.driver.find_element(By.ID, "find").send_keys("7.P", Keys.ENTER)
    browser.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
    assert at(browser) == "7"


def test_no_name_is_obeyed(browser, tmp_path):
    paths = [f"{number} {name}".replace("\0", "")[:900] for number, name in enumerate(HOSTILE)]
    classes = [name.replace("\0", "")[:900] or "plain" for name in HOSTILE]
    images = table(11, paths=paths, split=classes, label=np.arange(11, dtype=np.int32), classes=classes)
    rows = np.random.default_rng(0).normal(size=(11, 4)).astype(np.float32)
    source = write(tmp_path / "z.h5", {"one": rows}, images, kind="standardized")
    scatter(source, tmp_path / "map.html")
    browser.open(tmp_path / "map.html", width=400)
    press(browser, *[Keys.ARROW_UP, Keys.ARROW_LEFT, Keys.ARROW_DOWN, Keys.ARROW_RIGHT] * 3)
    assert browser.log() == [] and browser.requests() == []
    assert browser.run("return window.attacked ?? null") is None
    assert browser.run("return document.scripts.length") == 2
    assert ATTACK in browser.run("return document.getElementById('key').innerText")
    assert browser.run("return document.documentElement.scrollWidth") <= 400
