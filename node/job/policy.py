"""Which jobs this host takes: the operator's rules against one planned job."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from node.errors import JobRefused
from node.job.literals import literals_in
from node.records import Job, Plan
from node.settings import PolicySettings


def admit(plan: Plan, job: Job, policy: PolicySettings) -> None:
    """Pass if the operator's policy lets this job run. Raises JobRefused with the rule that does not.

    Denied lists win over allowed ones. Image patterns are compared with the image as posted and with its full
    name (`docker.io/library/NAME:latest` for `NAME`), so that a short name cannot slip by.
    """
    check_poster(job.project, policy)
    if policy.price_floor != "break-even":
        check_price(job.price, policy.price_floor, "policy.price_floor")
    if policy.longest and job.timeout > policy.longest:
        raise JobRefused(
            f"the job may run {job.timeout} s; this host allows {policy.longest} s",
            hint="policy.longest sets the longest time.",
        )
    for container in plan.containers:
        check_image(container.image, policy)


def check_price(price: int, least: int, why: str) -> None:
    """Pass if a job pays enough, both in micro-NOS per second. `why`: where `least` is from. Raises JobRefused."""
    if price < least:
        raise JobRefused(
            f"the job pays {price} micro-NOS per second; this host asks for {least} ({why})",
            hint="policy.price_floor sets the least price.",
        )


def check_poster(poster: str, policy: PolicySettings) -> None:
    """Pass if jobs of this poster are taken. Raises JobRefused."""
    if poster in policy.deny_posters:
        raise JobRefused(f"the poster {poster} is denied", hint="policy.deny_posters lists it.")
    if policy.allow_posters and poster not in policy.allow_posters:
        raise JobRefused(f"the poster {poster} is not allowed", hint="policy.allow_posters lists who is.")


def check_image(image: str, policy: PolicySettings) -> None:
    """Pass if this image may run. Raises JobRefused, also for one that only outputs of operations tell."""
    if is_open(image) and (policy.allow_images or policy.deny_images):
        raise JobRefused(
            f"the image {image} is known only while the job runs, and this host has rules about images",
            hint="policy.allow_images and policy.deny_images cannot be applied to it.",
        )
    if image_matches(image, policy.deny_images):
        raise JobRefused(f"the image {image} is denied", hint="policy.deny_images matches it.")
    if policy.allow_images and not image_matches(image, policy.allow_images):
        raise JobRefused(f"the image {image} is not allowed", hint="policy.allow_images lists what is.")


def is_open(image: str) -> bool:
    """Whether outputs of operations decide which image this is."""
    return any(True for _ in literals_in(image))


def image_matches(image: str, patterns: Iterable[str]) -> bool:
    """Whether an image, as posted or by its full name, fits one of these shell-style patterns."""
    names, patterns = (image, full_image_name(image)), tuple(patterns)
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def full_image_name(image: str) -> str:
    """An image reference with its registry and tag written out, as Docker completes it."""
    name, at, digest = image.partition("@")
    head, slash, rest = name.partition("/")
    if head in ("docker.io", "index.docker.io") and slash:
        name = f"docker.io/{rest if '/' in rest else f'library/{rest}'}"
    elif not slash:
        name = f"docker.io/library/{name}"
    elif "." not in head and ":" not in head and head != "localhost":
        name = f"docker.io/{name}"
    if at:
        return f"{name}@{digest}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
