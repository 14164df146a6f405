"""Putting a file together from blocks, whatever its layout: chunk size, raw leaves, trickle, inlined leaves.

Needed where a file was added with another layout than ours: its plain bytes then hash to another CID, and only the
blocks themselves can be compared with it. Every block is checked when it comes, so it does not matter from where.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from node.content.dag import DAG_PB, FileNode, Link, Malformed, NotFile, block_name, decode_node
from node.errors import ContentTooLarge


class Assembly:
    """The blocks of one file, and the file they make.

    `limit` is the file's most bytes. Blocks may have twice as many and some for links; nodes are counted, for links
    may repeat, so that a small archive could describe an endless file. Every block is decoded once.
    """

    def __init__(self, root: bytes, limit: int) -> None:
        # The root of a CIDv0 is a dag-pb node by definition, whatever an archive calls it.
        self.root = Link(DAG_PB, root)
        self._limit = limit
        self.room = 2 * limit + 65_536
        """Bytes of blocks that may still come."""
        self._most_nodes = 4096 + limit // 256
        self._blocks: dict[bytes, bytes] = {}
        self._nodes: dict[tuple[int, bytes], FileNode] = {}

    def keep(self, link: Link, block: bytes) -> None:
        """Take a block. Raises Malformed if it is not what its CID says, ContentTooLarge if there are too many."""
        if hashlib.sha256(block).digest() != link.digest:
            raise Malformed(f"block {block_name(link.codec, link.digest)} has other bytes than its CID says")
        if link.digest in self._blocks:
            return
        self.room -= len(block)
        if self.room < 0:
            raise ContentTooLarge(f"the blocks have more bytes than a file of {self._limit:,} bytes needs")
        self._blocks[link.digest] = block

    def has(self, link: Link) -> bool:
        """Whether a block is here."""
        return link.inline or link.digest in self._blocks

    def root_size(self) -> int | None:
        """Bytes of the file as its root says it, if the root is here and does."""
        return self._node(self.root).size if self.has(self.root) else None

    def links(self, of: Sequence[Link]) -> list[Link]:
        """What these nodes link to, each once. Raises as `file` does."""
        found = {link: None for parent in of for link in self._node(parent).links}
        if len(self._nodes) + len(found) > self._most_nodes:
            raise NotFile("it has too many nodes")
        return list(found)

    def file(self) -> bytes:
        """The file's bytes.

        Raises Malformed if a block is missing, NotFile if the blocks make no file (another source has the same ones),
        ContentTooLarge if the file has more than the limit.
        """
        parts: list[memoryview] = []
        length = 0
        for node in self._walk():
            length += len(node.data)
            if length > self._limit:
                raise ContentTooLarge(f"the file has more than {self._limit:,} bytes")
            parts.append(node.data)
        said = self.root_size()
        if said is not None and said != length:
            raise NotFile(f"it says that it has {said:,} bytes, and has {length:,}")
        return b"".join(parts)

    def _walk(self) -> Iterator[FileNode]:
        stack = [self.root]
        visits = 0
        while stack:
            visits += 1
            node = self._node(stack.pop())
            yield node
            stack.extend(reversed(node.links))
            if visits + len(stack) > self._most_nodes:
                raise NotFile("it has too many nodes")

    def _node(self, link: Link) -> FileNode:
        key = (link.codec, link.digest)
        node = self._nodes.get(key)
        if node is None:
            block = link.digest if link.inline else self._blocks.get(link.digest)
            if block is None:
                raise Malformed(f"block {block_name(link.codec, link.digest)} is missing")
            node = self._nodes[key] = self._decoded(link, block)
        return node

    def _decoded(self, link: Link, block: bytes) -> FileNode:
        try:
            return decode_node(link.codec, block, self._most_nodes)
        except NotFile:
            raise
        except Malformed as error:
            raise NotFile(f"block {block_name(link.codec, link.digest)} is no node of a file: {error}") from None
