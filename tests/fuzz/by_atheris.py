"""The same targets under atheris (libFuzzer), where it is installed: `python -m tests.fuzz.by_atheris TARGET -runs=N`.

Further words are libFuzzer's own. A finding ends the process with its case written to the current folder.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def main(name: str, words: list[str]) -> None:
    """Fuzz one target until libFuzzer ends the process."""
    import atheris  # not among the requirements: it has builds for few versions of Python

    with atheris.instrument_imports(include=["node"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds()):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *words, folder], lambda case: target.refuses(case) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
