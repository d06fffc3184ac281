"""Size of the page with 1,000 pictures, and the time until a browser shows them: `python -m benchmarks.gallery`."""

import random
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from invoke.outputs.gallery import write_gallery

PICTURES = 1000
DECODE = """Promise.all([...document.querySelectorAll("figure img")].map(shown => {
  const image = new Image(); // one that does not wait until it is scrolled to
  image.src = shown.src;
  return image.decode();
}))"""
SOURCES = Path(__file__).parent.parent / "docs" / "pictures"


def fill(folder: Path, count: int) -> None:
    """`count` different pictures with metadata: those of the docs, each slightly rotated."""
    sources = [path for path in SOURCES.glob("*.png") if path.stem == path.name.partition(".")[0]]
    draw = random.Random(1)
    for number in range(count):
        with Image.open(draw.choice(sources)) as image:
            info = PngInfo()
            for key, text in getattr(image, "text", {}).items():
                info.add_text(key, text)
            turned = image.convert("RGB").rotate(draw.uniform(-3, 3), Image.Resampling.BICUBIC)
        turned.save(folder / f"{number:06}.{number}.png", pnginfo=info, compress_level=1)


def browse(page: Path) -> tuple[float, float]:
    """Seconds until the page is loaded, and until every thumbnail in it is decoded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        started = perf_counter()
        tab.goto(page.as_uri())
        loaded = perf_counter() - started
        tab.evaluate(DECODE)
        decoded = perf_counter() - started
        browser.close()
    return loaded, decoded


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, PICTURES)
        started = perf_counter()
        list(write_gallery(folder))
        written = perf_counter() - started
        started = perf_counter()
        list(write_gallery(folder))
        again = perf_counter() - started
        page = folder / "gallery.html"
        loaded, decoded = browse(page)
        print(
            f"{PICTURES} pictures: {page.stat().st_size / 1e6:.1f} MB, written in {written:.1f} s, again {again:.1f} s"
        )
        print(f"Chromium: loaded in {loaded:.2f} s, all thumbnails decoded after {decoded:.2f} s")


if __name__ == "__main__":
    main()
