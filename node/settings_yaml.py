"""YAML of settings: plain values only, bounded in size, depth and aliases, and no key twice."""

from __future__ import annotations

from typing import Any

import yaml

LIMIT = 1 << 20
"""Bytes of a settings file."""
DEPTH = 16
ALIASES = 64
"""References to an earlier value (`*name`). Nested ones multiply: what they stand for is counted by NODES."""
NODES = 20_000
"""Values in all, each counted as often as it is referred to."""


class YamlRefused(yaml.YAMLError):
    """The text is not read: too large, too deep, a key twice, or values without end."""


def read_yaml(text: str) -> Any:
    """The document in a text. Raises yaml.YAMLError (YamlRefused for what is YAML, and not wanted here)."""
    if len(text) > LIMIT:
        raise YamlRefused(f"more than {LIMIT:,} characters")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _Size().of(node)
        return loader.construct_document(node)
    except RecursionError:
        raise YamlRefused(f"nested deeper than {DEPTH} levels") from None
    except (ValueError, OverflowError) as error:
        # A number or a date that Python will not take.
        raise YamlRefused(f"a value that cannot be read: {str(error)[:100]}") from None
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """As the safe loader, and counting."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._aliases = 0
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self._aliases += 1
            if self._aliases > ALIASES:
                raise YamlRefused(f"more than {ALIASES} aliases")
        self._depth += 1
        if self._depth > DEPTH:
            raise YamlRefused(f"nested deeper than {DEPTH} levels")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1 and key != "<<":
                raise YamlRefused(f"the key {key[:60]!r} is there twice")
        return super().construct_mapping(node, deep)


class _Size:
    """How many values a tree has when every alias is written out."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def of(self, node: Any) -> int:
        """The number of values. Raises YamlRefused beyond NODES, and for a value that holds itself."""
        if id(node) in self._known:
            found = self._known[id(node)]
            if found == 0:
                raise YamlRefused("a value that holds itself")
            return found
        self._known[id(node)] = 0
        size = 1
        if isinstance(node, yaml.SequenceNode):
            size += sum(self.of(each) for each in node.value)
        elif isinstance(node, yaml.MappingNode):
            size += sum(self.of(key) + self.of(value) for key, value in node.value)
        if size > NODES:
            raise YamlRefused(f"more than {NODES:,} values")
        self._known[id(node)] = size
        return size
