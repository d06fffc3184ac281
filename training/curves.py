"""Draw the training curves from the logs of the trainings.

python -m training.curves --runs FOLDER --out training/curves.png
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from PIL import Image, ImageDraw

WIDTH, HEIGHT, MARGIN = 420, 240, 44


def curve(title: str, points: list[tuple[float, float]], low: float, high: float) -> Image.Image:
    """One chart: (steps, value) points between two values of the vertical axis."""
    chart = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(chart)
    last = max(x for x, _ in points)
    inner_width, inner_height = WIDTH - MARGIN - 12, HEIGHT - MARGIN - 24

    def place(x: float, y: float) -> tuple[float, float]:
        share = (min(max(y, low), high) - low) / (high - low)
        return (MARGIN + inner_width * x / last, 24 + inner_height * (1 - share))

    for i in range(5):
        value = low + (high - low) * i / 4
        left, y = place(0, value)
        pen.line([(left, y), (WIDTH - 12, y)], fill=(224, 224, 224))
        pen.text((6, y - 6), f"{value:.3g}", fill="black")
        x, bottom = place(last * i / 4, low)
        pen.text((x - 10, bottom + 6), f"{last * i / 4:.0f}", fill="black")
    pen.line([place(x, y) for x, y in points], fill=(40, 90, 170), width=2)
    pen.text((MARGIN, 6), title, fill="black")
    return chart


def read_log(file: Path, column: int) -> list[tuple[float, float]]:
    rows = [line.split(",") for line in file.read_text().splitlines()]
    return [(float(row[0]), float(row[column])) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    errors = read_log(options.runs / "vae.csv", 3)
    decibels = [(step, 10 * math.log10(4 / error)) for step, error in errors]
    charts = [
        curve("autoencoder: PSNR in training (all styles), dB, by step", decibels, 10, 28),
        curve("diffusion: weighted loss, by step", read_log(options.runs / "diffusion.csv", 2), 0.0, 0.2),
    ]
    sheet = Image.new("RGB", (WIDTH * len(charts), HEIGHT))
    for i, chart in enumerate(charts):
        sheet.paste(chart, (i * WIDTH, 0))
    sheet.save(options.out, optimize=True)


if __name__ == "__main__":
    main()
