"""The published JSON schema of a bundle's statement, made from the model. Its text is in node/proof/schemas.

`python -m node.proof.bundle_schema` prints it anew; a test compares.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from node.proof.bundle import DIGESTS, MAX_BYTES, PARTS
from node.proof.bundle_document import PART_NAME, PREDICATE_TYPE, Account, Digests
from node.proof.envelope import STATEMENT_TYPE
from node.proof.model_schema import DIALECT, described_parts

FILE = "schemas/bundle-1.json"
"""Below this package. The number is that of the predicate's type."""


def bundle_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of the statement in a bundle's envelope."""
    parts = described_parts(Account)
    predicate = parts["Account"]
    predicate["properties"] |= {
        PARTS: _parts(),
        DIGESTS: described_parts(Digests)["Digests"]["properties"][DIGESTS],
    }
    predicate["required"] = [*predicate["required"], PARTS, DIGESTS]
    return {
        "$schema": DIALECT,
        "$id": f"{PREDICATE_TYPE}:schema",
        "title": "gpunode bundle, version 1",
        "description": "The in-toto statement in a bundle's DSSE envelope: canonical JSON (sorted keys, no blanks, "
        f"UTF-8, whole numbers only). The envelope has at most {MAX_BYTES} bytes. Later releases may add keys to the "
        "predicate; a reader passes over those that it does not know.",
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
                        "name": {"type": "string", "description": "Address of the job."},
                        "digest": {
                            "type": "object",
                            "properties": {
                                "solanaAddress": {
                                    "type": "string",
                                    "pattern": "^[0-9a-f]{64}$",
                                    "description": "The same address; hex.",
                                }
                            },
                            "required": ["solanaAddress"],
                            "additionalProperties": False,
                        },
                    },
                    "required": ["name", "digest"],
                    "additionalProperties": False,
                },
            },
            "predicate": {"$ref": "#/$defs/Account"},
        },
        "required": ["_type", "subject", "predicateType", "predicate"],
        "additionalProperties": False,
        "$defs": parts,
    }


def _parts() -> dict[str, Any]:
    held = {"type": "string", "description": "The part's bytes."}
    one = {
        "oneOf": [
            {"type": "object", "properties": {form: held}, "required": [form], "additionalProperties": False}
            for form in ("text", "base64")
        ]
    }
    return {
        "type": "object",
        "patternProperties": {PART_NAME: one},
        "additionalProperties": False,
        "description": "Documents and bytes just as they are elsewhere: `text` where they are UTF-8, else `base64`. "
        "receipt, result, card, work: documents, with their CIDs under `cids`. settle: the signed transaction that "
        "settled the job. earlier/1, earlier/2, …: receipts before this one, newest first. samples: the GPU meters' "
        "sample lines. definition, log/0, log/1, …: full bundles only. openings: what opens the commitments of a "
        "confidential job's receipt; full bundles only.",
    }


def schema_text() -> str:
    """What the file holds."""
    return json.dumps(bundle_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
