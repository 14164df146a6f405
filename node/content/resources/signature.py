"""Amazon's signature (version 4) on requests to S3, by Amazon's own library."""

from __future__ import annotations

from collections.abc import Mapping

from node.content.resources.web import Call
from node.content.resources.wire import Login

_SIGNED = ("range", "if-range", "x-amz-checksum-mode")
"""What is signed beside the host and the date. The rest may be rewritten on the way."""


def signed(url: str, headers: Mapping[str, str], login: Login, region: str) -> Call:
    """A GET of the URL that the login's owner has signed."""
    # Loaded when needed: most data are public, and the library is large.
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("GET", url, headers={name: value for name, value in headers.items() if name in _SIGNED})
    S3SigV4Auth(Credentials(login.access_key, login.secret_key), "s3", region).add_auth(request)
    return Call(url, {**headers, **dict(request.headers.items())})
