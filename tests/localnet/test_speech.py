"""The built-in job `speech`: speech is found where people noted it, and some of the words are understood."""

from __future__ import annotations

import json

import docker
import pytest

from node.localnet import images
from tests.localnet.built_in_jobs import output_of, results_of

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(400)]

SPOKEN = [(6.68, 7.16), (7.634, 8.155), (10.436, 16.184), (18.444, 25.475), (27.935, 29.978), (32.058, 37.987)]
"""When somebody speaks in the recording, in seconds: people's notes, moved by the pauses put in."""
NEAR_SECONDS = 0.35


async def test_speech_is_found_where_people_noted_it(client: docker.DockerClient) -> None:
    image = await images.ensure_image("speech")
    assert image.size < 300e6
    lines = output_of(client, "speech")
    found = results_of("speech", lines)
    ((segments,),) = found["segments"]
    heard = json.loads(segments)
    assert len(heard) == len(SPOKEN)
    for (start, end), (from_, until) in zip(heard, SPOKEN, strict=True):
        assert start == pytest.approx(from_, abs=NEAR_SECONDS)
        assert end == pytest.approx(until, abs=NEAR_SECONDS)
    assert [[float(start), float(end)] for start, end, _ in found["speech"]] == heard
    ((precision, recall, both),) = found["activity"]
    assert float(precision) >= 0.9
    assert float(recall) >= 0.95
    assert float(both) >= 0.94


async def test_some_of_it_is_understood(client: docker.DockerClient) -> None:
    await images.ensure_image("speech")
    found = results_of("speech", output_of(client, "speech"))
    words = " ".join(text for _, _, text in found["speech"])
    assert "new jersey" in words
    # An old, small recogniser on a telephone line: it gets one word in four or five right, and says so.
    ((rate, wrong, said),) = found["words"]
    assert int(said) == 81
    assert float(rate) == pytest.approx(int(wrong) / 81, abs=0.001)
    assert 0.3 < float(rate) < 0.9
    ((listening, transcribing),) = found["speed"]
    assert float(listening) > 1
    assert float(transcribing) > 0
