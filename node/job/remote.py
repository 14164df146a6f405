"""The `resources` part of a definition: remote data that is mounted."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from pydantic import ValidatorFunctionWrapHandler, WrapValidator

from node.job.rules import (
    Closed,
    FlagOrNone,
    Spread,
    Text,
    TextOrNone,
    TextsOrNone,
    as_object,
    expects,
    expects_object,
    is_list,
    is_object,
    one_of,
    optional,
    required,
    wrong,
)

REMOVE_IF_EMPTY = "__remove-if-empty__"

_IsS3 = Annotated[Literal["S3"], expects('"S3"', one_of("S3"))]


class S3Auth(Closed):
    """Credentials of a bucket."""

    REGION: Text = required()
    ACCESS_KEY_ID: Text = required()
    SECRET_ACCESS_KEY: Text = required()


IamOrNone = Annotated[S3Auth | None, expects_object("(S3Auth | undefined)")]


class S3Base(Closed):
    """Files under one address."""

    type: _IsS3 = required()
    target: Text = required()
    url: TextOrNone = optional()
    allowWrite: FlagOrNone = optional()  # noqa: N815 (the network's spelling)
    files: TextsOrNone = optional()
    IAM: IamOrNone = optional()


class S3WithBucket(Closed):
    """A whole bucket."""

    type: _IsS3 = required()
    target: Text = required()
    bucket: Text = required()
    url: TextOrNone = optional()
    allowWrite: FlagOrNone = optional()  # noqa: N815
    IAM: IamOrNone = optional()


class S3Bucket(Closed):
    """One of several buckets."""

    url: Text = required()
    files: TextsOrNone = optional()


class S3WithBuckets(Closed):
    """Several buckets under one target."""

    type: _IsS3 = required()
    target: Text = required()
    buckets: Annotated[
        tuple[Annotated[S3Bucket, expects_object("__type.o5")], ...], expects("Array<__type>", is_list)
    ] = required()
    url: TextOrNone = optional()
    allowWrite: FlagOrNone = optional()  # noqa: N815
    IAM: IamOrNone = optional()


class HuggingFace(Closed):
    """A model or data set repository."""

    type: Literal["HF"]
    target: Text = required()
    repo: Text = required()
    revision: TextOrNone = optional()
    files: TextsOrNone = optional()
    accessToken: TextOrNone = optional()  # noqa: N815


class Ollama(Closed):
    """A model of the Ollama registry."""

    type: Literal["Ollama"]
    model: Text = required()
    target: TextOrNone = optional()


RemoteResource = S3Base | S3WithBucket | S3WithBuckets | HuggingFace | Ollama
_RESOURCE = (
    '("__remove-if-empty__" | (__type & TagBase<__type>) | HFResource | OllamaResource | S3Base | S3WithBucket'
    " | S3WithBuckets)"
)


def _resource(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if value == REMOVE_IF_EMPTY:
        return value
    if not is_object(value):
        raise wrong(_RESOURCE)
    entry = cast(dict[str, object], as_object(value))
    models: dict[str, type[Closed]] = {"__spread__": Spread, "bucket": S3WithBucket, "buckets": S3WithBuckets}
    for key, model in models.items():
        if key in entry:
            return model.model_validate(entry)
    by_type: dict[object, type[Closed]] = {"HF": HuggingFace, "Ollama": Ollama}
    kind = entry.get("type")
    return (by_type.get(kind, S3Base) if isinstance(kind, str) else S3Base).model_validate(entry)


ResourcesOrNone = Annotated[
    tuple[Annotated[RemoteResource | Spread | str, WrapValidator(_resource)], ...] | None,
    expects("(Resources | undefined)", is_list),
]
