"""The `resources` part of a definition: remote data that is mounted."""

from __future__ import annotations

from collections.abc import Callable
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


Rule = Callable[[object, ValidatorFunctionWrapHandler], object]


def resource_rule(model_of: Callable[[dict[str, object]], type[Closed]]) -> Rule:
    """A rule: one resource, or a marker; the function tells which of them an object is to be."""

    def check(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        del handler
        if value == REMOVE_IF_EMPTY:
            return value
        if not is_object(value):
            raise wrong(_RESOURCE)
        entry = cast(dict[str, object], as_object(value))
        return model_of(entry).model_validate(entry)

    return check


def by_bucket(entry: dict[str, object]) -> type[Closed] | None:
    """The kind of S3 resource that names buckets; None: it names none."""
    if "bucket" in entry:
        return S3WithBucket
    return S3WithBuckets if "buckets" in entry else None


def by_type(entry: dict[str, object]) -> type[Closed] | None:
    """The kind of resource that has its own type; None: it is S3, or nothing."""
    if entry.get("type") == "HF":
        return HuggingFace
    return Ollama if entry.get("type") == "Ollama" else None


def _model_of(entry: dict[str, object]) -> type[Closed]:
    return Spread if "__spread__" in entry else by_bucket(entry) or by_type(entry) or S3Base


ResourcesOrNone = Annotated[
    tuple[Annotated[RemoteResource | Spread | str, WrapValidator(resource_rule(_model_of))], ...] | None,
    expects("(Resources | undefined)", is_list),
]
