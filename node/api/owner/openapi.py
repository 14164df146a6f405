"""The owner's API described for machines (OpenAPI 3.1), as it answers."""

from __future__ import annotations

from typing import Any

from node import __version__
from node.api.owner.port import Progress, ServiceStatus
from node.api.owner.stats import LONGEST, SHORTEST

_Json = dict[str, Any]

_ADDRESS = "^[1-9A-HJ-NP-Za-km-z]{32,44}$"
_LATEST_MS = 9_999_999_999_999_999


def _text(description: str) -> _Json:
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _json(description: str, schema: _Json) -> _Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _events(description: str) -> _Json:
    return {"description": description, "content": {"text/event-stream": {"schema": {"type": "string"}}}}


def _ref(name: str) -> _Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _openings() -> _Json:
    opening = _object({"salt": {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "value": {}})
    openings = {"type": "object", "additionalProperties": opening}
    return _object({"openings": {**openings, "description": "What the commitments in the receipt were made of."}})


def _or_null(schema: _Json) -> _Json:
    return {"oneOf": [schema, {"type": "null"}]}


def _object(required: _Json, optional: _Json | None = None, *, closed: bool = True) -> _Json:
    properties = {**required, **(optional or {})}
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": not closed,
    }


_BUSY = {
    "408": _text("The request took too long."),
    "429": _text("Too many requests, or streams of this job."),
    "503": _text("Too many requests are under way."),
}
_OWNER = {"401": _text("The authorization header is missing, wrong, or not the job's owner's."), **_BUSY}
_NO_JOB = {"400": _text("This host does not run the job, or it has not come so far.")}
_NOT_FOUND = {"404": _text("This host does not have the job.")}
_FAILED = {"500": _json("It could not be done.", _ref("Error"))}

_JOB = {"name": "job", "in": "path", "required": True, "schema": _ref("Address")}
_GROUP = {"name": "group", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_OP = {"name": "op", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_INTERVAL = {
    "name": "interval",
    "in": "query",
    "description": "Seconds between samples.",
    "schema": {"type": "integer", "minimum": SHORTEST, "maximum": LONGEST, "default": 5},
}


def _moment(name: str, description: str) -> _Json:
    schema = {"type": "integer", "minimum": 0, "maximum": _LATEST_MS}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _operation(name: str, summary: str, parameters: list[_Json], responses: _Json, body: _Json | None = None) -> _Json:
    operation: _Json = {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": {**responses, **_OWNER},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _public(name: str, summary: str, answer: _Json) -> _Json:
    return {"operationId": name, "summary": summary, "security": [], "responses": {"200": answer, **_BUSY}}


def _action(name: str, summary: str, parameters: list[_Json]) -> _Json:
    done = {"200": _json("Done.", _object({"message": {"type": "string"}}))}
    return _operation(name, summary, parameters, {**done, **_NO_JOB, **_FAILED})


def _statuses(name: str, summary: str, parameters: list[_Json], schema: _Json) -> _Json:
    return _operation(name, summary, parameters, {"200": _json("Status by operation.", schema), **_NO_JOB})


def _paths() -> dict[str, _Json]:
    operation, one = "/job/{job}/group/{group}/operation/{op}", [_JOB, _GROUP, _OP]
    statuses = _ref("Statuses")
    no_shell = {"404": _json("This node offers no shell into jobs.", _ref("Error")), **_NO_JOB}
    definition = {"200": _json("The definition.", _ref("JobDefinition")), **_NO_JOB}
    samples = {"200": _json("Samples, oldest first.", {"type": "array", "items": _ref("Stat")})}
    return {
        "/": {"get": _public("getNode", "The node's address", _json("Its address.", _ref("Address")))},
        "/node/info": {"get": _public("getNodeInfo", "What the node is", _json("Of it.", _ref("NodeInfo")))},
        "/node/validate": {
            "post": {
                "operationId": "validateNode",
                "summary": "For the network's back end only, which signs `x-session-id`; no benchmarks are run for it",
                "security": [],
                "responses": {"401": _text("Not the back end."), "501": _text("Not offered."), **_BUSY},
            }
        },
        "/openapi.json": {"get": _public("getDescription", "This document", _json("OpenAPI 3.1.", {"type": "object"}))},
        "/job/{job}/info": {
            "get": _operation(
                "streamInfo",
                "The job's state, at once and at each change, until it has ended",
                [_JOB],
                {"200": _events("Unnamed events; each is a JobInfo."), **_NOT_FOUND},
            )
        },
        "/job/{job}/job-definition": {
            "get": _operation("getDefinition", "The job's definition", [_JOB], definition),
            "post": _operation(
                "sendDefinition",
                "Send the definition that a confidential job waits for",
                [_JOB],
                {"200": _text("Received."), **_NO_JOB, "413": _text("More than 1 MiB.")},
                _ref("JobDefinition"),
            ),
        },
        "/job/{job}/results": {
            "get": _operation(
                "collectResult",
                "Collect the result that a confidential job keeps for its owner",
                [_JOB],
                {"200": _json("The result.", _ref("FlowState")), **_NO_JOB},
            )
        },
        "/job/{job}/ops": {"get": _statuses("getOperations", "All operations", [_JOB], statuses)},
        "/job/{job}/ops/{op}": {"get": _statuses("getOperation", "One operation", [_JOB, _OP], statuses)},
        "/job/{job}/group/current": {
            "get": _statuses("getCurrentGroup", "The group that runs", [_JOB], _or_null(statuses))
        },
        "/job/{job}/group/{group}": {
            # Where the group is named `current`, this is the route above.
            "get": _statuses("getGroup", "One group", [_JOB, _GROUP], _or_null(statuses))
        },
        "/job/{job}/group/{group}/restart": {
            "post": _action("restartGroup", "Stop and start a group's operations", [_JOB, _GROUP])
        },
        "/job/{job}/group/{group}/stop": {"post": _action("stopGroup", "End a group's operations", [_JOB, _GROUP])},
        "/job/{job}/group/{group}/move": {"post": _action("moveGroup", "Go on with a group", [_JOB, _GROUP])},
        f"{operation}/restart": {"post": _action("restartOperation", "Stop and start an operation", one)},
        f"{operation}/stop": {"post": _action("stopOperation", "End an operation", one)},
        "/job/{job}/endpoints": {
            "get": _operation(
                "getEndpoints",
                "Where the job's services are reached",
                [_JOB],
                {"200": _json("Services by id.", _ref("Endpoints")), **_NO_JOB},
            )
        },
        "/job/{job}/stats": {
            "get": _operation(
                "getStats",
                "What the job's containers used",
                [
                    _JOB,
                    _INTERVAL,
                    _moment("start", "Unix milliseconds, from here on."),
                    _moment("end", "Unix milliseconds, up to here."),
                ],
                {**samples, **_NO_JOB, **_NOT_FOUND},
            )
        },
        "/job/{job}/stats/stream": {
            "get": _operation(
                "streamStats",
                "What the job's containers use, every so many seconds",
                [_JOB, _INTERVAL],
                {"200": _events("Unnamed events; each is a list of Stat."), **_NO_JOB, **_NOT_FOUND},
            )
        },
        "/job/{job}/stop": {
            "post": _operation(
                "stopJob", "End the job as if its time were over", [_JOB], {"200": _text("Stopped."), **_NO_JOB}
            )
        },
        "/job/{job}/ssh/authorize": {"post": _operation("authorizeKey", "Not offered", [_JOB], no_shell)},
        "/job/{job}/ssh/keys": {
            "get": _operation("getKeys", "Not offered", [_JOB], no_shell),
            "delete": _operation("revokeKey", "Not offered", [_JOB], no_shell),
        },
    }


def _schemas() -> dict[str, _Json]:
    moment: _Json = {"type": "integer", "description": "Unix milliseconds."}
    number: _Json = {"type": "number"}
    status = {"type": "string", "enum": [each.value for each in Progress]}
    flow = {"status": {"type": "string"}, "startTime": moment, "endTime": _or_null(moment)}
    operations = _object(
        {"all": _ref("Statuses"), "currentGroupStatus": _or_null(_ref("Statuses"))},
        {"currentGroup": {"type": "string"}},
    )
    states = {"type": "array", "items": {"type": "object"}}
    service = {
        "opID": {"type": "string"},
        "port": {"type": ["integer", "string"]},
        "url": {"type": "string"},
        "status": {"type": "string", "enum": [each.value for each in ServiceStatus]},
    }
    memory = {"memory_usage": number, "memory_limit": number, "memory_percent": number}
    names = {"type": "array", "items": {"type": "string"}}
    return {
        "Address": {"type": "string", "pattern": _ADDRESS, "description": "A Solana address (base58)."},
        "Error": _object({"error": {"type": "string"}}),
        "JobDefinition": {
            "type": "object",
            "description": "As the network defines it. Its rules are checked once it has been received.",
        },
        "FlowState": _object(
            {**flow, "opStates": states}, {"errors": {"type": "array"}, "gpunode": _openings()}, closed=False
        ),
        "JobInfo": _object(
            {**flow, "errors": {"type": "array"}, "opStates": states, "operations": _or_null(operations)}, closed=False
        ),
        "Statuses": {"type": "object", "additionalProperties": _or_null(status)},
        "Endpoints": _object(
            {
                "urls": {"type": "object", "additionalProperties": _object(service)},
                "status": {"type": "string", "enum": ["ONLINE", "OFFLINE"]},
            }
        ),
        "Stat": _object(
            {
                "opId": {"type": "string"},
                "timestamp": moment,
                "cpu": _object({"cpu_percent": number}),
                "memory": _object(memory),
                "disk": _object({"read": number, "write": number}),
                "network": _object({"received": number, "sent": number}),
            }
        ),
        "NodeInfo": _object(
            {
                "node": _ref("Address"),
                "uptime": {"type": "string", "format": "date-time", "description": "When the agent started."},
                "state": {"type": "string"},
                "info": {"type": "object"},
                "resources": _object({"images": names, "volumes": names}),
            }
        ),
    }


_DESCRIPTION = """What the owner of a job may ask of the host that runs it. Every route below `/job` takes the header
`authorization` with `MESSAGE:SIGNATURE[:UNIX MS]`: an ed25519 signature (base58) by the job's owner over the message,
which is the job's address, its definition's CID, or a text that this host accepts besides. A time must lie within the
job's timeout; it is not signed. Who signs `JOB:UNIX MS` and sends `JOB:UNIX MS:SIGNATURE` gets a time that is."""

_SOCKET = {
    "description": "A WebSocket at the origin. Each frame from a client is `{path, header, body}`, with the same "
    "authorization text as `header`; a time in it counts for 300 seconds. Frames back are `{path, data}`, where data "
    "is a JSON document as text. Close codes: 1007 no job, 1008 no such running job, 1011 no JSON, 1013 too many "
    "streams, 3000 not the owner, 3003 unknown path, 4008 does not read.",
    "routes": {
        "/log": {"body": {"jobAddress": "Address"}, "frames": "log: {log, method, type, timestamp, job, payload?}"},
        "/flog": {
            "body": {"jobAddress": "Address", "group?": "string", "opId?": "string", "type?": "string"},
            "frames": "flog: {opId, group, type?, timestamp, message}; all that is kept, then as they come",
        },
        "/status": {
            "body": {"jobAddress": "Address"},
            "frames": "state: {status, state, timestamp, index}; the node's own signature counts as well",
        },
    },
}


def openapi_document() -> dict[str, Any]:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "gpunode: the API of a job's owner", "version": __version__, "description": _DESCRIPTION},
        "security": [{"owner": []}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"owner": {"type": "apiKey", "in": "header", "name": "authorization"}},
        },
        "x-websocket": _SOCKET,
    }
