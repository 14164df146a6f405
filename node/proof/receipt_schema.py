"""The published JSON schema of a receipt's statement, made from the model. Its text is in node/proof/schemas.

`python -m node.proof.receipt_schema` prints it anew; a test compares.
"""

from __future__ import annotations

import ast
import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from node.proof import receipt_model
from node.proof.envelope import STATEMENT_TYPE
from node.proof.receipt_model import PREDICATE_TYPE, Receipt

FILE = "schemas/receipt-1.json"
"""Below this package. The number is that of the predicate's type."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def receipt_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of the statement in a receipt's envelope."""
    predicate = Receipt.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    parts: dict[str, Any] = predicate.pop("$defs")
    parts["Receipt"] = predicate
    texts = _descriptions()
    for name, part in parts.items():
        _describe(part, texts[name])
    return {
        "$schema": _DIALECT,
        "$id": f"{PREDICATE_TYPE}:schema",
        "title": "gpunode receipt, version 1",
        "description": "The in-toto statement in a receipt's DSSE envelope: canonical JSON (sorted keys, no blanks, "
        "UTF-8, whole numbers only). Later releases may add keys to the predicate; a reader passes over those that it "
        "does not know.",
        "type": "object",
        "properties": {
            "_type": {"const": STATEMENT_TYPE},
            "predicateType": {"const": PREDICATE_TYPE},
            "subject": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"const": "result"},
                        "uri": {"type": "string", "description": "`ipfs://` and the result's CID."},
                        "digest": {
                            "type": "object",
                            "properties": {
                                "dagPbSha256": {
                                    "type": "string",
                                    "pattern": "^[0-9a-f]{64}$",
                                    "description": "SHA-256 (hex) of the CID's root block, as the job account holds "
                                    "it; not that of the file's bytes.",
                                }
                            },
                            "required": ["dagPbSha256"],
                            "additionalProperties": False,
                        },
                    },
                    "required": ["name", "uri", "digest"],
                    "additionalProperties": False,
                },
            },
            "predicate": {"$ref": "#/$defs/Receipt"},
        },
        "required": ["_type", "subject", "predicateType", "predicate"],
        "additionalProperties": False,
        "$defs": dict(sorted(parts.items())),
    }


def published_schema() -> dict[str, Any]:
    """The schema as this release ships it."""
    document: dict[str, Any] = json.loads(resources.files("node.proof").joinpath(FILE).read_text("utf-8"))
    return document


def schema_text() -> str:
    """What the file holds."""
    return json.dumps(receipt_schema(), indent=2, ensure_ascii=False) + "\n"


def _describe(part: dict[str, Any], texts: dict[str, str]) -> None:
    part.pop("title", None)
    part["description"] = texts[""]
    for name, field in part["properties"].items():
        field.pop("title", None)
        field.pop("default", None)
        field["description"] = texts[name]


def _descriptions() -> dict[str, dict[str, str]]:
    """What the model's source says below each field, by class and key; a class' own text is under the empty key."""
    tree = ast.parse(Path(receipt_model.__file__).read_text("utf-8"))
    found: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            fields = getattr(receipt_model, node.name).model_fields
            texts = found[node.name] = {"": _plain(ast.get_docstring(node) or "")}
            for statement, following in zip(node.body, node.body[1:], strict=False):
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    name = statement.target.id
                    assert isinstance(following, ast.Expr), f"{node.name}.{name} is not described"
                    texts[fields[name].alias or name] = _plain(ast.literal_eval(following.value))
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(schema_text())
