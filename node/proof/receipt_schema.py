"""The published JSON schema of a receipt's statement, made from the model. Its text is in node/proof/schemas.

`python -m node.proof.receipt_schema` prints it anew; a test compares.
"""

from __future__ import annotations

import json
import sys
from importlib import resources
from typing import Any

from node.proof.envelope import STATEMENT_TYPE
from node.proof.model_schema import DIALECT, described_parts
from node.proof.receipt_model import PREDICATE_TYPE, Receipt

FILE = "schemas/receipt-1.json"
"""Below this package. The number is that of the predicate's type."""


def receipt_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of the statement in a receipt's envelope."""
    return {
        "$schema": DIALECT,
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
        "$defs": described_parts(Receipt),
    }


def published_schema() -> dict[str, Any]:
    """The schema as this release ships it."""
    document: dict[str, Any] = json.loads(resources.files("node.proof").joinpath(FILE).read_text("utf-8"))
    return document


def schema_text() -> str:
    """What the file holds."""
    return json.dumps(receipt_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
