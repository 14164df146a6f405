"""The built-in job `ocr`: what was drawn on the pages is what is read from them."""

from __future__ import annotations

import json

import docker
import pytest

from node.localnet import images, recipes
from tests.localnet.built_in_jobs import output_of, results_of

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(400)]


def squeezed(text: str) -> str:
    """Without spaces: the model reports wide gaps as it likes."""
    return "".join(text.split())


async def test_the_pages_are_read_as_they_were_drawn(client: docker.DockerClient) -> None:
    image = await images.ensure_image("ocr")
    assert image.size < 450e6
    found = results_of("ocr", output_of(client, "ocr"))
    pages = json.loads((recipes.JOBS / "ocr" / "pages.json").read_text())
    for name, page in pages.items():
        read = [squeezed(text) for _, of, text in found["text"] if of == name]
        assert read == [squeezed(line) for line in page["lines"]]
    assert all(0.9 < float(confidence) <= 1 for confidence, _, _ in found["text"])
    ((accuracy, wrong, total),) = found["accuracy"]
    assert (float(accuracy), int(wrong)) == (1.0, 0)
    assert int(total) == sum(len(squeezed(line)) for page in pages.values() for line in page["lines"])
    ((seconds,),) = found["speed"]
    assert float(seconds) > 0
