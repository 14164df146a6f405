"""gVisor as a runtime of the tests' own engine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_HIDING = """#!/bin/sh
# Older releases take a network namespace in which /proc/sys/net/core/rmem_default exists for the host's own. Newer
# kernels have it in all of them.
exec unshare --mount --propagation slave sh -c 'mount -t tmpfs none /proc/sys/net && exec {runsc} "$@"' runsc "$@"
"""


def runtime_options(folder: Path) -> tuple[str, ...]:
    """Options for dockerd that make `runsc` a runtime of its containers; none where gVisor does not run."""
    runsc = shutil.which("runsc")
    if runsc is None:
        return ()
    probe = ("runsc", "--ignore-cgroups", "--network=none", "do", "true")
    try:
        if subprocess.run(probe, capture_output=True, check=False, timeout=60).returncode != 0:
            return ()
    except subprocess.TimeoutExpired:
        return ()
    wrapper = folder / "runsc"
    wrapper.write_text(_HIDING.format(runsc=runsc))
    wrapper.chmod(0o755)
    return ("--add-runtime", f"runsc={wrapper}")
