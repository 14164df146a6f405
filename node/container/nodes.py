"""Device nodes that an image brings along, looked for before gVisor runs it.

The engine's own runtime denies every device but the harmless by control group, whatever file stands for it. `runsc`
sets no such rule, and some of its releases open a node of the image as the host's device: the disk, the kernel's log.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Iterator, Sequence

from node.container.engine import ContainerView
from node.container.gvisor import RUNTIME
from node.errors import EngineRejected

LOOK_SECONDS = 120.0
"""An image that takes longer to look through is not run."""
REST_AFTER = 2000
"""Entries after which other threads of the agent run."""


async def refuse_nodes(container: ContainerView, runtime: str) -> None:
    """Raises EngineRejected if the container is to run on `runsc` and its image, or a volume that another operation's
    image has filled, has device nodes or cannot be looked through. Where the engine's folders are hidden from this user
    nothing can be said; the doctor says that."""
    if runtime != RUNTIME:
        return
    trouble = await asyncio.to_thread(node_trouble, (*container.layers, *container.mounted))
    if trouble:
        raise EngineRejected(
            f"The image is not run on {RUNTIME}: {trouble}.",
            status=400,
            hint="run it on runc, which denies devices whatever file stands for them",
        )


def node_trouble(layers: Sequence[str], seconds: float = LOOK_SECONDS) -> str:
    """What speaks against an image with these layers; empty: nothing. Blocks."""
    until = time.monotonic() + seconds
    for layer in layers:
        try:
            os.scandir(layer).close()
        except PermissionError:
            return ""
        except FileNotFoundError:
            continue
        try:
            for number, entry in enumerate(_special(layer)):
                if entry is not None:
                    return f"it has the device node {entry[:200]!r}"
                if number % REST_AFTER == 0:
                    time.sleep(0.0005)
                    if time.monotonic() > until:
                        return "it has too many files to be looked through"
        except OSError as error:
            return f"it cannot be looked through ({error.strerror})"
    return ""


def _special(layer: str) -> Iterator[str | None]:
    """The path within the layer of each device node; None for anything else. The image is nobody's to change now."""
    folders = [layer]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                is_node = False
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_symlink() and not entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    # The node of no device marks a file that an upper layer has removed.
                    is_node = stat.S_IFMT(found.st_mode) in (stat.S_IFCHR, stat.S_IFBLK) and found.st_rdev != 0
                yield entry.path.removeprefix(layer) if is_node else None
