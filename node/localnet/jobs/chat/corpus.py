"""What the language model reads: the documentation inside Python's own standard library, as it is in this image."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHORTEST = 40
LONGEST = 600
"""Characters of one entry; whole paragraphs up to there."""
NOT_READ = ("test", "tests", "site-packages", "dist-packages", "__pycache__", "encodings")


@dataclass(frozen=True)
class Entry:
    """The documentation of one module, class or function: its full name and the text."""

    name: str
    text: str

    @property
    def subject(self) -> str:
        """What it is about, for finding it: the name in words and the first paragraph."""
        words = self.name.replace(".", " ").replace("_", " ")
        return f"{words}: {self.text.split(chr(10) * 2)[0]}"


def entries() -> list[Entry]:
    """All entries, sorted by name, each text once."""
    library = Path(sysconfig.get_path("stdlib"))
    found: dict[str, str] = {}
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        if any(part in NOT_READ for part in parts):
            continue
        module = ".".join(part for part in parts if part != "__init__")
        for name, text in _documented(path, module):
            found.setdefault(text, name)
    return sorted((Entry(name, text) for text, name in found.items()), key=lambda entry: entry.name)


def _documented(path: Path, module: str) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    yield from _below(tree, module)


def _below(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str
) -> Iterator[tuple[str, str]]:
    if not name.rsplit(".", 1)[-1].startswith("_"):
        text = _shortened(ast.get_docstring(node) or "")
        if len(text) >= SHORTEST:
            yield name, text
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _below(child, f"{name}.{child.name}")


def _shortened(text: str) -> str:
    """The first whole paragraphs within LONGEST; nothing when even the first is longer."""
    kept = ""
    for paragraph in text.split("\n\n"):
        longer = f"{kept}\n\n{paragraph}" if kept else paragraph
        if len(longer) > LONGEST:
            break
        kept = longer
    return kept.strip()
