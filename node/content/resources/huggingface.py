"""Hugging Face: lists a repository's files at one commit.

By the Hub's own routes: `/api/models/REPO/revision/REV` names the commit, `/api/models/REPO/tree/COMMIT` its files with
the SHA-256 of those in large storage and the git object of the others, `/REPO/resolve/COMMIT/FILE` leads to the bytes.
Where a mirror has no trees, the first names the files too, and the last is asked for their sizes and checksums. Files
keep their paths in the repository.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import quote

import httpx

from node.content.resources.checksums import is_sum, strong
from node.content.resources.listing import RemoteFile, shown_name
from node.content.resources.web import Call, Interrupted, Refused, Web, document, first_of, shown, span_of
from node.content.resources.wire import Request
from node.errors import ResourceFailed
from node.retry import Retry

PAGE_BYTES = 16 << 20
PAGE_SECONDS = 120.0
MOST_PAGES = 2000
PROBES_AT_ONCE = 8
LISTING = Retry(attempts=5, total=120, first=0.5, longest=15.0)
_REPO = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,95})?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubSource:
    """The files of one repository."""

    def __init__(self, web: Web, request: Request) -> None:
        self._web = web
        self._request = request
        self._hub = request.server

    def prepare(self, url: str, headers: Mapping[str, str]) -> Call:
        """A request to the Hub, with the token where there is one."""
        token = self._request.login.token
        return Call(url, {**headers, "authorization": f"Bearer {token}"} if token else headers)

    async def files(self) -> list[RemoteFile]:
        """The files asked for, all of them by default. Raises ResourceFailed or Interrupted."""
        repo = self._request.repo
        if not _REPO.fullmatch(repo) or ".." in repo:
            raise ResourceFailed("this is no name of a repository", hint="Write it like owner/name.")
        revision = self._request.revision or "main"
        commit, named = await self._commit(repo, revision)
        try:
            rows = await self._tree(repo, commit)
        except Refused as refused:
            if refused.status != 404 or not named:
                raise
            return await self._asked_one_by_one(repo, commit, _wanted(named, self._request.files))
        return [self._file(repo, commit, row) for row in _wanted(rows, self._request.files)]

    async def _commit(self, repo: str, revision: str) -> tuple[str, dict[str, dict[str, object]]]:
        """The commit of a revision, and the names of its files as rows."""
        url = f"{self._hub}/api/models/{repo}/revision/{quote(revision, safe='')}"
        found, _ = await self._document(url)
        known = found if isinstance(found, dict) else {}
        commit, siblings = known.get("sha"), known.get("siblings")
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise ResourceFailed(f"{shown(url)} names no commit")
        names = (
            [row.get("rfilename") for row in siblings if isinstance(row, dict)] if isinstance(siblings, list) else []
        )
        if len(names) > self._request.bounds.files:
            raise self._too_many()
        return commit, {name: {"path": name} for name in names if isinstance(name, str)}

    async def _tree(self, repo: str, commit: str) -> dict[str, dict[str, object]]:
        rows: dict[str, dict[str, object]] = {}
        url = f"{self._hub}/api/models/{repo}/tree/{commit}?recursive=true&expand=false"
        for _ in range(MOST_PAGES):
            page, headers = await self._document(url)
            if not isinstance(page, list):
                raise ResourceFailed(f"{shown(url)} is no list of files")
            for row in page:
                if isinstance(row, dict) and row.get("type") == "file" and isinstance(row.get("path"), str):
                    rows[row["path"]] = row
            if len(rows) > self._request.bounds.files:
                raise self._too_many()
            following = _following(url, headers)
            if not following:
                return rows
            if httpx.URL(following).netloc != httpx.URL(self._hub).netloc:
                raise ResourceFailed(f"{shown(url)} continues on another server")
            url = following
        raise ResourceFailed(f"{shown(url)} never ends its list")

    async def _asked_one_by_one(self, repo: str, commit: str, rows: list[dict[str, object]]) -> list[RemoteFile]:
        slots = asyncio.Semaphore(PROBES_AT_ONCE)

        async def asked(path: str) -> RemoteFile:
            async with slots:
                return await LISTING.call(lambda: self._asked(repo, commit, path), on=(Interrupted,))

        try:
            async with asyncio.TaskGroup() as group:
                asking = [group.create_task(asked(str(row["path"]))) for row in rows]
        except BaseExceptionGroup as failed:
            raise first_of(failed) from None
        return [each.result() for each in asking]

    async def _asked(self, repo: str, commit: str, path: str) -> RemoteFile:
        """What the Hub says of a file when it is asked for its first byte: its tag is a checksum."""
        url = self._url(repo, commit, path)
        try:
            async with (
                asyncio.timeout(PAGE_SECONDS),
                self._web.stream(url, {"range": "bytes=0-0"}, prepare=self.prepare) as response,
            ):
                first: httpx.Headers = response.extensions["hops"][0]
                tag = strong(first.get("x-linked-etag") or first.get("etag", ""))
                span = span_of(response)
                stated = first.get("x-linked-size", "") or response.headers.get("content-length", "")
        except TimeoutError:
            raise Interrupted(f"{shown(url)} did not answer within {PAGE_SECONDS:g} s") from None
        size = span.total if span is not None else None
        if size is None and stated.isdecimal() and len(stated) < 19:
            size = int(stated)
        sums = {name: tag for name in ("sha256", "git") if is_sum(name, tag)}
        return RemoteFile(path, url, size, sums=sums, known_by=tag or commit)

    def _url(self, repo: str, commit: str, path: str) -> str:
        return f"{self._hub}/{repo}/resolve/{commit}/{quote(path, safe='/-_.~')}"

    @staticmethod
    def _too_many() -> ResourceFailed:
        return ResourceFailed(
            "the repository has more files than may be", hint="Name the files wanted, or raise resources.files."
        )

    async def _document(self, url: str) -> tuple[object, httpx.Headers]:
        body, headers = await LISTING.call(
            lambda: self._web.read(
                url,
                {"accept": "application/json"},
                limit=PAGE_BYTES,
                seconds=PAGE_SECONDS,
                prepare=self.prepare,
            ),
            on=(Interrupted,),
        )
        return document(body, PAGE_BYTES, url), headers

    def _file(self, repo: str, commit: str, row: Mapping[str, object]) -> RemoteFile:
        path, size, blob, large = str(row["path"]), row.get("size"), row.get("oid"), row.get("lfs")
        if isinstance(large, dict):
            # In large storage: the git object is only a pointer, whose size is of no interest.
            size, sums = large.get("size", size), {"sha256": large.get("oid")}
        else:
            sums = {"git": blob}
        if not isinstance(size, int) or not 0 <= size < 1 << 60:
            raise ResourceFailed(f"the Hub states no size for {shown_name(path)}")
        return RemoteFile(
            path,
            self._url(repo, commit, path),
            size,
            sums={name: value for name, value in sums.items() if isinstance(value, str) and is_sum(name, value)},
            # Another commit may have the same file.
            known_by=str(blob) if blob else commit,
        )


def _following(url: str, headers: httpx.Headers) -> str:
    link = httpx.Response(200, headers={"link": headers.get("link", "")}).links.get("next", {}).get("url", "")
    try:
        return str(httpx.URL(url).join(link)) if link else ""
    except (httpx.InvalidURL, UnicodeError):
        raise ResourceFailed(f"{shown(url)} continues at no address") from None


def _wanted(rows: Mapping[str, dict[str, object]], files: tuple[str, ...]) -> list[dict[str, object]]:
    if not files:
        return list(rows.values())
    found: dict[str, dict[str, object]] = {}
    for name in files:
        below = name.rstrip("/") + "/"
        matching = {path: row for path, row in rows.items() if path == name or path.startswith(below)}
        if not matching:
            raise ResourceFailed(f"the repository has no file {shown_name(name)}", hint="Check its name and revision.")
        found.update(matching)
    return list(found.values())
