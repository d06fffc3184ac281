"""`gallery.html` in a browser: filters, facets, the lightbox, the slider over the init picture, and accessibility."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from invoke.events import Pixels
from invoke.outputs import png
from invoke.outputs.gallery import write_gallery
from tests.patience import PATIENCE
from tests.studio import Studio

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
AXE = "axe.run(document, {resultTypes: ['violations']})"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def folder(studio: Studio) -> Path:
    """Four pictures of two sizes, one made from another, a sheet and a strip."""
    studio.make("a castle -S 1 -n 2 -g -W64 -H64")
    studio.make("a tree at night -S 1 -W128 -H64 -I -1 -f 0.5 --strip")
    studio.make("a boat -S 7 -W64 -H64 -A k_euler")
    list(write_gallery(studio.outdir))
    return studio.outdir


@pytest.fixture
def page(browser: Any, folder: Path) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto((folder / "gallery.html").as_uri())
    yield page
    assert page.complaints == []
    context.close()


def shown(page: Any) -> list[str]:
    """The names of the visible pictures, in order."""
    return [figure.get_attribute("data-name") for figure in page.locator("figure:visible").all()]


def test_typed_words_filter_and_escape_clears_them(page: Any) -> None:
    everything = shown(page)
    assert len(everything) == 5
    page.keyboard.press("/")
    page.keyboard.type("night TREE")
    assert shown(page) == ["000002.1.png"]
    assert page.locator("header output").evaluate("it => it.value") == "1 of 5"
    page.keyboard.press("Escape")
    assert shown(page) == everything


def test_facets_filter_and_an_empty_result_is_reported(page: Any) -> None:
    page.get_by_label("size", exact=True).select_option("64×64")
    page.get_by_label("sampler", exact=True).select_option("k_euler")
    assert shown(page) == ["000003.7.png"]
    page.get_by_label("seed", exact=True).select_option("1")
    assert shown(page) == []
    page.get_by_role("button", name="clear the filters").click()
    assert len(shown(page)) == 5


def test_pictures_are_sorted(page: Any) -> None:
    page.get_by_label("order", exact=True).select_option("oldest")
    assert shown(page)[0] == "000001.1.png"
    page.get_by_label("order", exact=True).select_option("largest")
    assert shown(page)[0] == "000002.1.png"


def test_the_lightbox_works_by_keyboard(page: Any) -> None:
    names = shown(page)
    page.locator(".picture").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    heading = page.locator("dialog h2")
    assert heading.text_content() == names[1]
    page.keyboard.press("ArrowRight")
    assert heading.text_content() == names[2]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert heading.text_content() == names[0]
    page.wait_for_function("document.querySelector('.result').naturalWidth > 0")
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    assert page.evaluate("document.activeElement.closest('figure').dataset.name") == names[0]


def test_a_slider_compares_init_picture_and_result(page: Any) -> None:
    page.locator("figure[data-name='000002.1.png'] .picture").click()
    slider = page.get_by_label("init picture", exact=False).locator("visible=true").first
    slider.wait_for()
    page.locator("dialog input[type=range]").focus()
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    init = page.locator("dialog .init")
    assert init.is_visible()
    assert init.evaluate("it => it.style.clipPath") == "inset(0px 75% 0px 0px)"
    assert page.locator("dialog h2").text_content() == "000002.1.png", "arrows move the slider, not the pictures"
    page.get_by_role("button", name="made from 000001.2.png").click()
    assert page.locator("dialog h2").text_content() == "000001.2.png"
    assert page.evaluate("location.hash") == "#" + page.locator("figure[data-name='000001.2.png']").get_attribute("id")


def test_a_link_to_one_picture_opens_it(browser: Any, folder: Path, page: Any) -> None:
    anchor = page.locator("figure").nth(2).get_attribute("id")
    page.goto("about:blank")
    page.goto((folder / "gallery.html").as_uri() + f"#{anchor}")
    assert page.locator("dialog").is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_has_no_accessibility_violations(browser: Any, folder: Path, page: Any, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page.emulate_media(color_scheme=theme)
    page.evaluate(f"{script};0")
    found = page.evaluate(AXE)["violations"]
    page.locator("figure[data-name='000002.1.png'] .picture").click()
    page.get_by_label("init picture", exact=False).locator("visible=true").first.wait_for()
    found += page.evaluate(AXE)["violations"]
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("nothing of the kind")
    found += page.evaluate(AXE)["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_a_browser_runs_the_pages_script_and_no_other(browser: Any, tmp_path: Path) -> None:
    nasty = 'a cat <img src=x onerror="document.title=1"></code><script>document.title=2</script>'
    (tmp_path / "1.png").write_bytes(png.encode(Pixels(16, 16, bytes(3 * 16 * 16)), 6, [("Dream", nasty)]))
    list(write_gallery(tmp_path))
    page = browser.new_page()
    page.goto((tmp_path / "gallery.html").as_uri())
    assert page.title() == tmp_path.name
    assert page.locator("input[type=search]").is_visible(), "the script of the page has run"
    assert page.locator("figure code").text_content() == nasty
    page.close()


def test_without_javascript_pictures_and_links_are_shown(browser: Any, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "gallery.html").as_uri())
    assert page.locator("figure").count() == 5
    assert page.locator("input[type=search]").is_hidden()
    page.locator(".picture").first.click()
    assert page.url.endswith(".png")
    context.close()
