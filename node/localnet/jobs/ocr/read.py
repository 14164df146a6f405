"""The OCR job: read the pages, line by line, and count the characters read wrong."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapidocr_onnxruntime import RapidOCR

HERE = Path(__file__).resolve().parent


def say(line: str) -> None:
    """Print at once: whoever follows the log sees each line when it is read."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def cpu_name() -> str:
    """The processor's name as the kernel tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unnamed")


@dataclass
class Line:
    """What stands at one height of a page, from left to right."""

    middle: float
    height: float
    parts: list[tuple[float, str]]
    confidence: float

    @property
    def text(self) -> str:
        """The line's text; a gap wide enough to be two boxes is a space."""
        return " ".join(text for _, text in sorted(self.parts))


def read_lines(reader: RapidOCR, path: Path) -> list[Line]:
    """Lines of the page from top to bottom, with the model's lowest confidence in each (0..1)."""
    boxes, _ = reader(str(path))
    lines: list[Line] = []
    for corners, text, confidence in sorted(boxes or [], key=lambda box: box[0][0][1]):
        left, top, bottom = corners[0][0], corners[0][1], corners[3][1]
        middle, height = (top + bottom) / 2, bottom - top
        same = next((line for line in lines if abs(line.middle - middle) < line.height / 2), None)
        if same is None:
            lines.append(Line(middle, height, [(left, text)], float(confidence)))
        else:
            same.parts.append((left, text))
            same.confidence = min(same.confidence, float(confidence))
    return lines


def visible(text: str) -> str:
    """The text without spaces: how wide a gap is, is the printer's affair, and models report it as they like."""
    return "".join(text.split())


def wrong_characters(written: str, read: str) -> int:
    """Fewest characters to replace, leave out or put in to make one of the other (Levenshtein distance)."""
    row = list(range(len(read) + 1))
    for number, character in enumerate(written, start=1):
        diagonal, row[0] = row[0], number
        for place, other in enumerate(read, start=1):
            best = min(row[place] + 1, row[place - 1] + 1, diagonal + (character != other))
            diagonal, row[place] = row[place], best
    return row[-1]


def main() -> None:
    """Run the job."""
    pages: dict[str, Any] = json.loads((HERE / "pages.json").read_text())
    began = time.perf_counter()
    reader = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)
    version = importlib.metadata.version("rapidocr-onnxruntime")
    say(f"model: PP-OCRv4 by rapidocr-onnxruntime {version}, loaded in {time.perf_counter() - began:.2f} s")
    say(f"device: CPU ({cpu_name()}, one thread); this image holds no GPU code")
    wrong = total = 0
    spent = 0.0
    for name, page in pages.items():
        began = time.perf_counter()
        lines = read_lines(reader, HERE / f"{name}.png")
        spent += time.perf_counter() - began
        for line in lines:
            say(f"text {line.confidence:.3f} {name} {line.text}")
        written = visible("".join(page["lines"]))
        wrong += wrong_characters(written, visible("".join(line.text for line in lines)))
        total += len(written)
    say(f"accuracy: {1 - wrong / total:.4f} ({wrong} of {total} characters wrong)")
    say(f"speed: {spent / len(pages):.2f} s a page")


if __name__ == "__main__":
    main()
