"""A minimal root file system with a Python interpreter, copied from this machine.

The demo's images are made without any image registry: their base is the interpreter this machine already has (the
distribution's when it has one), its standard library, the shared libraries both need as the dynamic linker resolves
them, and a busybox for `/bin/sh`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.errors import LocalnetError

DISTRIBUTION_PYTHON = Path("/usr/bin/python3.11")
# Modules that programs in an image need; a distribution may have split them off or left them out.
NEEDED_MODULES = ("asyncio", "ctypes", "hashlib", "json", "lzma", "sqlite3", "ssl", "zipfile", "zlib")
# Parts of the standard library that no job needs: they are half of its size.
LEFT_OUT = ("config-*", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "dist-packages", "test",
            "tests", "tkinter", "turtledemo", "__pycache__", "*.pyi", "*.a", "_tkinter.*", "_curses*.so",
            "readline.*", "_dbm.*", "_gdbm.*", "nis.*", "_test*.so", "_ctypes_test.*", "xxlimited*")  # fmt: skip
# Folders that every dynamic linker searches by itself. Libraries from elsewhere go to /usr/lib.
SYSTEM_LIBRARIES = ("/lib", "/usr/lib")
FOLDERS = ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "tmp", "var/tmp", "root", "proc", "sys", "dev", "run")
SHELL_TOOLS = ("cat", "cp", "echo", "env", "false", "grep", "head", "id", "kill", "ls", "mkdir", "mv", "ps", "rm",
               "seq", "sh", "sleep", "sort", "tail", "touch", "true", "uname", "wc", "yes")  # fmt: skip
PROBE = f"""
import importlib, json, sys, sysconfig
for name in {NEEDED_MODULES!r}:
    importlib.import_module(name)
print(json.dumps([sys.executable, sysconfig.get_path("stdlib"), sysconfig.get_platform(),
                  "%d.%d.%d" % sys.version_info[:3]]))
"""
LIBRARY_LINE = re.compile(r"^\s*(?:(?P<name>\S+) => )?(?P<path>/\S+) \(0x")


@dataclass(frozen=True)
class Interpreter:
    """A Python interpreter fit to be copied: its real file, its standard library, its platform and version."""

    executable: Path
    library: Path
    platform: str
    version: str

    @property
    def short_version(self) -> str:
        """Major and minor version, as in the name of its library folder."""
        return ".".join(self.version.split(".")[:2])


def find_interpreter() -> Interpreter:
    """The distribution's Python 3.11 when its standard library is complete, else the one this process came from.

    Raises LocalnetError when neither is usable.
    """
    own = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (DISTRIBUTION_PYTHON, own):
        found = _probe(candidate)
        if found is not None:
            return found
    raise LocalnetError(
        f"no complete Python was found to put into an image (looked at {DISTRIBUTION_PYTHON} and {own})",
        hint="install the distribution's full python3.11 package",
    )


def _probe(executable: Path) -> Interpreter | None:
    if not executable.exists():
        return None
    # Isolated and without site: neither this environment's variables nor its packages may speak for the interpreter.
    asked = subprocess.run([executable, "-I", "-S", "-c", PROBE], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        return None
    _, library, platform, version = json.loads(asked.stdout)
    return Interpreter(executable.resolve(), Path(library), platform, version)


def shared_libraries(binaries: Iterable[Path]) -> dict[str, Path]:
    """Shared libraries that the binaries need, by the name they are asked for (the loader by its full path).

    Libraries the linker cannot find are left out: an optional extension module then fails to import, as it would here.
    """
    found: dict[str, Path] = {}
    for binary in binaries:
        listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
        for line in listed.stdout.splitlines():
            match = LIBRARY_LINE.match(line)
            if match:
                found[match["name"] or match["path"]] = Path(match["path"])
    return found


def build_root(root: Path, interpreter: Interpreter) -> None:
    """Fill the empty folder `root` with the interpreter, its library, a shell and the usual folders.

    Raises LocalnetError when this machine has no shell to copy.
    """
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    for folder in ("tmp", "var/tmp"):
        (root / folder).chmod(0o1777)

    name = f"python{interpreter.short_version}"
    shutil.copy2(interpreter.executable, root / "usr/bin" / name)
    for link in ("python3", "python"):
        (root / "usr/bin" / link).symlink_to(name)
    shutil.copytree(
        interpreter.library,
        root / "usr/lib" / name,
        ignore=shutil.ignore_patterns(*LEFT_OUT),
        ignore_dangling_symlinks=True,
    )
    _copy_shell(root)


def _copy_shell(root: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is not None:
        shutil.copy2(Path(busybox).resolve(), root / "usr/bin/busybox")
        for tool in SHELL_TOOLS:
            (root / "usr/bin" / tool).symlink_to("busybox")
        return
    shell = shutil.which("sh")
    if shell is None:
        raise LocalnetError("no shell was found to put into an image", hint="install the package busybox-static")
    shutil.copy2(Path(shell).resolve(), root / "usr/bin/sh")


def add_libraries(root: Path) -> None:
    """Copy into `root` the shared libraries that its programs and extension modules need from outside of it."""
    inside = {path.name for path in _shared_objects(root)}
    for name, path in sorted(shared_libraries(_binaries(root)).items()):
        if Path(name).name in inside:
            continue
        system = path.as_posix().startswith(SYSTEM_LIBRARIES)
        # A library is looked up by the name it is asked for, which may be a link to a file named by its full version.
        target = root / (path.parent.as_posix().lstrip("/") if system else "usr/lib") / Path(name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy2(path.resolve(), target)


def _shared_objects(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if ".so" in path.suffixes and path.is_file())


def _binaries(root: Path) -> Iterator[Path]:
    programs = (path for path in (root / "usr/bin").iterdir() if not path.is_symlink())
    yield from sorted(programs)
    yield from sorted(_shared_objects(root))


def compile_modules(root: Path, interpreter: Interpreter) -> None:
    """Compile all modules under `root` beforehand: images run read-only, and would compile them on every start."""
    subprocess.run(
        [interpreter.executable, "-I", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash",
         "-s", root, "-p", "/", root],
        capture_output=True,
        check=False,  # a file that does not compile (a template, say) is no reason to give up
    )  # fmt: skip


def pack_root(root: Path, archive: Path) -> int:
    """Write `root` as an uncompressed tar with owner 0, times 0 and sorted names; its size in bytes."""
    with tarfile.open(archive, "w") as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, arcname=path.relative_to(root).as_posix(), recursive=False, filter=_anonymous)
    return archive.stat().st_size


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    # What the owner may do, everybody may, except writing: images run as any user.
    entry.mode |= (entry.mode & 0o500) >> 3 | (entry.mode & 0o500) >> 6
    return entry
