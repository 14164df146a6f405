"""What the service manager is told, over real sockets of both kinds."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.agent.notify import ServiceManager


class Manager:
    """A socket as systemd would hold it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """The lines of the next datagram."""
        return self._socket.recv(65_536).decode().split("\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "n") if request.param == "path" else f"@gpunode-test-{secrets.token_hex(8)}"
    listening = Manager(name)
    yield listening
    listening.close()


def test_each_word_is_one_datagram(manager: Manager) -> None:
    told = ServiceManager.from_environment({"NOTIFY_SOCKET": manager.address})
    told.ready("main queued, place 1 of 2")
    assert manager.heard() == ["READY=1", "STATUS=main queued, place 1 of 2"]
    told.alive("main working")
    assert manager.heard() == ["WATCHDOG=1", "STATUS=main working"]
    told.stopping()
    assert manager.heard()[0] == "STOPPING=1"
    told.status("stuck: main")
    assert manager.heard() == ["STATUS=stuck: main"]


def test_no_text_makes_a_word_of_its_own(manager: Manager) -> None:
    told = ServiceManager.from_environment({"NOTIFY_SOCKET": manager.address})
    told.alive("degraded: nothing\nMAINPID=1\rFDSTORE=1 " + "x" * 9000)
    lines = manager.heard()
    assert len(lines) == 2
    assert lines[1].startswith("STATUS=degraded: nothing MAINPID=1 FDSTORE=1 x")
    assert len(lines[1]) < 600


def test_a_manager_that_does_not_listen_is_no_error(tmp_path: Path) -> None:
    for where in ("", "relative", str(tmp_path / "nobody"), "@gpunode-nobody"):
        ServiceManager.from_environment({"NOTIFY_SOCKET": where}).ready("here")
    full = Manager(f"@gpunode-test-{secrets.token_hex(8)}")
    told = ServiceManager.from_environment({"NOTIFY_SOCKET": full.address})
    for _ in range(5000):
        told.alive("and nobody reads")
    full.close()


@pytest.mark.parametrize(
    ("usec", "pid", "patience"),
    [
        ("30000000", "", 30.0),
        ("30000000", "mine", 30.0),
        ("30000000", "1", None),
        ("0", "", None),
        ("soon", "", None),
        ("", "", None),
    ],
)
def test_how_patient_it_is(usec: str, pid: str, patience: float | None) -> None:
    pid = str(os.getpid()) if pid == "mine" else pid
    environment = {"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid, "NOTIFY_SOCKET": "/run/n", "OTHER": "1"}
    assert ServiceManager.from_environment(environment).patience == patience
    # No helper of the agent's takes itself for the service.
    assert environment == {"OTHER": "1"}
