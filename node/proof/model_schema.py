"""JSON schemas of documents, made from their models with what the source says of each field."""

from __future__ import annotations

import ast
import inspect
import sys
from typing import Any

from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def described_parts(model: type[BaseModel]) -> dict[str, Any]:
    """The schemas (JSON Schema 2020-12, for `$defs`) of a model and of all in it, which are of one module."""
    schema = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    parts: dict[str, Any] = schema.pop("$defs", {})
    parts[model.__name__] = schema
    texts = _descriptions(model.__module__)
    for name, part in parts.items():
        _describe(part, texts[name])
    return dict(sorted(parts.items()))


def _describe(part: dict[str, Any], texts: dict[str, str]) -> None:
    part.pop("title", None)
    part["description"] = texts[""]
    for name, field in part["properties"].items():
        field.pop("title", None)
        field.pop("default", None)
        field["description"] = texts[name]


def _descriptions(module: str) -> dict[str, dict[str, str]]:
    """What a module's source says below each field, by class and key; a class' own text is under the empty key."""
    source = sys.modules[module]
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(source)).body:
        kind = getattr(source, node.name) if isinstance(node, ast.ClassDef) else None
        if not isinstance(node, ast.ClassDef) or kind is None:
            continue
        texts = found[node.name] = {"": _plain(ast.get_docstring(node) or "")}
        for statement, following in zip(node.body, node.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                name = statement.target.id
                assert isinstance(following, ast.Expr), f"{node.name}.{name} is not described"
                texts[kind.model_fields[name].alias or name] = _plain(ast.literal_eval(following.value))
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())
