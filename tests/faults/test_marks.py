"""No write and no effect without a mark, and no mark without a scenario that passes it.

The first is read from the source; the second is what the reference scenarios pass, on a real chain with a real engine.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import marks
from node.container.docker import DockerEngine
from node.marks import Mark

NODE = Path(marks.__file__).parent

UNMARKED_ENGINE_CALLS = {
    "ping", "info", "image", "local_images", "images_in_use", "networks", "volumes", "inspect", "find", "wait", "logs",
    "events", "stats", "aclose", "disk_usage", "check_exposure", "written",
}  # fmt: skip
"""Methods of the engine that change nothing in it."""
MUTATING = ("create_", "remove_", "start", "stop", "kill", "pull", "import_image", "tag", "prune", "connect_", "exec_")
"""How docker-py's names of calls begin that change something."""


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for each in ast.walk(ast.parse(path.read_text())):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(NODE)}:{each.name}", each


def has_mark(function: ast.AST) -> bool:
    return any(isinstance(each, ast.Call) and _name(each.func) == "marked" for each in ast.walk(function))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def marks_named(path: Path) -> set[str]:
    return {
        each.attr
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "Mark"
    }


def test_every_write_to_the_journal_names_a_mark() -> None:
    for path in sorted((NODE / "journal").glob("*.py")):
        for where, function in functions(path):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "write":
                    if "_database" not in ast.unparse(call.func.value):
                        continue
                    first = ast.unparse(call.args[0])
                    assert first.startswith("Mark.") or first == "mark", f"{where} writes without a mark"


def test_nobody_opens_the_journal_for_writing_but_its_database() -> None:
    for path in sorted(NODE.rglob("*.py")):
        if "localnet" in path.parts or path == NODE / "journal" / "database.py":
            continue
        text = path.read_text()
        assert "sqlite3.connect" not in text, f"{path} opens a database of its own"
        if path.parent.name != "journal":
            assert "BEGIN IMMEDIATE" not in text, f"{path} writes past the journal"


def test_the_database_writes_under_a_mark_only() -> None:
    path = NODE / "journal" / "database.py"
    committing = [where for where, each in functions(path) if '"COMMIT"' in ast.unparse(each).replace("'", '"')]
    assert [where.rpartition(":")[2] for where in committing] in (["write", "committed"], ["committed", "write"])
    (write,) = [each for where, each in functions(path) if where.endswith(":write")]
    assert has_mark(write)


def test_every_engine_call_that_changes_something_has_a_mark() -> None:
    path = NODE / "container" / "docker.py"
    public = {name for name in vars(DockerEngine) if not name.startswith("_")}
    marked = {where.rpartition(":")[2] for where, each in functions(path) if has_mark(each)}
    silent = {name for name in public - marked if callable(vars(DockerEngine)[name])}
    assert silent <= UNMARKED_ENGINE_CALLS, f"engine calls of unknown effect: {silent - UNMARKED_ENGINE_CALLS}"
    for where, function in functions(path):
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            changes = ast.unparse(call.func.value) == "client" and call.func.attr.startswith(MUTATING)
            posts = ast.unparse(call.func) == "self._transport.post" and where.rpartition(":")[2] != "wait"
            assert not (changes or posts) or has_mark(function), f"{where} changes the engine without a mark"


def test_only_the_engine_speaks_to_the_engine() -> None:
    for path in sorted((NODE / "container").glob("*.py")):
        if path.name in ("docker.py", "transport.py"):
            continue
        for where, function in functions(path):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                    target = ast.unparse(call.func)
                    assert not target.startswith("client.") or not call.func.attr.startswith(MUTATING), where
    # A pull is a stream: it is marked where it begins.
    callers = [path.name for path in (NODE / "container").glob("*.py") if "pull_image(" in path.read_text()]
    assert sorted(callers) == ["docker.py", "pull.py"]


def test_transactions_leave_under_a_mark_only() -> None:
    senders = {
        where
        for path in NODE.rglob("*.py")
        if "localnet" not in path.parts
        for where, each in functions(path)
        if "'sendTransaction'" in ast.unparse(each)
    }
    assert senders == {"chain/rpc.py:send_raw"}
    (send,) = [each for where, each in functions(NODE / "chain" / "rpc.py") if where.endswith(":send_raw")]
    assert has_mark(send)


def test_uploads_and_kept_files_have_marks() -> None:
    """Every store is reached through one marked function; the folder's own writing is marked where it is."""
    for path in sorted((*(NODE / "content").glob("*.py"), *(NODE / "agent").rglob("*.py"))):
        for where, function in functions(path):
            calls = {ast.unparse(each.func) for each in ast.walk(function) if isinstance(each, ast.Call)}
            if any(call.endswith("store.add_file") for call in calls):
                assert has_mark(function), f"{where} uploads without a mark"
    (keep,) = [each for where, each in functions(NODE / "content" / "folder.py") if where.endswith(":add_file")]
    assert has_mark(keep)


def test_every_mark_stands_somewhere() -> None:
    used = set().union(*(marks_named(path) for path in NODE.rglob("*.py") if path.name != "marks.py"))
    assert {each.name for each in Mark} == used


def test_a_writing_without_a_mark_would_be_noticed(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("async def f(self):\n    await self._transport.post('/x')\n")
    (function,) = [each for each in ast.walk(ast.parse(file.read_text())) if isinstance(each, ast.AsyncFunctionDef)]
    assert not has_mark(function)
    logging.getLogger(__name__).debug("no mark in %s", function.name)


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_reference_scenarios_list_only_what_exists(when: str) -> None:
    from tests.faults.coverage import ELSEWHERE

    assert set(ELSEWHERE) <= set(Mark), when
