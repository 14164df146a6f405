"""Draw the pages while the image is built, with the font inside Pillow: what is written on them is known, so is what
was read wrong."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).resolve().parent
MARGIN = 40
SPACING = 2.1
"""From line to line, in font sizes."""
SPECKS = 200
SPECK_STRENGTH = 0.3
"""Of the ink; a full speck before a word is a full stop to any reader."""
BLUR = 0.5


def draw(page: dict[str, Any], seed: int) -> Image.Image:
    """The page as a scanner would give it: a little askew, specks on it, edges not quite sharp."""
    font = ImageFont.load_default(page["size"])
    paper, ink = tuple(page["paper"]), tuple(page["ink"])
    width = round(max(font.getlength(line) for line in page["lines"])) + 2 * MARGIN
    step = round(page["size"] * SPACING)
    image = Image.new("RGB", (width, step * len(page["lines"]) + 2 * MARGIN), paper)
    pen = ImageDraw.Draw(image)
    for number, line in enumerate(page["lines"]):
        pen.text((MARGIN, MARGIN + number * step), line, font=font, fill=ink)
    speck = tuple(round(p + SPECK_STRENGTH * (i - p)) for p, i in zip(paper, ink, strict=True))
    chance = random.Random(seed)  # noqa: S311 - the same specks for everybody
    for _ in range(SPECKS):
        pen.point((chance.randrange(image.width), chance.randrange(image.height)), fill=speck)
    turned = image.rotate(page["turned"], resample=Image.Resampling.BICUBIC, expand=True, fillcolor=paper)
    return turned.filter(ImageFilter.GaussianBlur(BLUR))


def main() -> None:
    """Write one PNG per page of pages.json beside this file."""
    for seed, (name, page) in enumerate(json.loads((HERE / "pages.json").read_text()).items()):
        image = draw(page, seed)
        image.save(HERE / f"{name}.png")
        sys.stdout.write(f"{name}: {image.width} x {image.height} pixels, {len(page['lines'])} lines\n")


if __name__ == "__main__":
    main()
