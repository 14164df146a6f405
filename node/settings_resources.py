"""Remote data that definitions name, and how much of them is kept: the settings `resources`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from node.settings_section import Section, Size, parse_size


class ResourceSettings(Section):
    """S3, Hugging Face and Ollama."""

    folder: Path | None = None
    """Where they are kept; None: `resources` in the data folder."""
    cache: Size = "200 GiB"
    """Bytes kept, downloads under way and writable copies included; what was unused the longest goes first."""
    job: Size = "150 GiB"
    """Bytes one job may bring along."""
    files: int = Field(default=100_000, ge=1)
    """Files of one resource."""
    parallel: int = Field(default=4, ge=1, le=32)
    """Files of one resource that are fetched at a time."""
    patience: float = Field(default=60.0, gt=0)
    """Seconds without a sign of life after which a server is asked anew."""
    longest: float = Field(default=86_400.0, gt=0)
    """Seconds for one resource."""
    hub: str = "https://huggingface.co"
    """The Hugging Face Hub, or a server with its routes."""
    ollama: str = "https://registry.ollama.ai"
    """Registry of models that are named without one."""
    s3: str = "https://s3.amazonaws.com"
    """Where s3:// addresses lead; another one than Amazon's takes the bucket as the first part of the path."""
    mirrors: dict[str, str] = Field(default={"s3://nos-ai-models-qllsn32u": "https://models.nosana.io"})
    """Beginnings of addresses, and what stands for them."""
    private_hosts: tuple[str, ...] = ()
    """Servers of a private network that jobs may fetch from, as `host` or `host:port`; others there are refused."""

    @field_validator("cache", "job")
    @classmethod
    def _size(cls, value: Size) -> int:
        return parse_size(value)

    @field_validator("hub", "ollama", "s3")
    @classmethod
    def _http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must be an http:// or https:// address")
        return url.rstrip("/")

    @property
    def cache_bytes(self) -> int:
        """Bytes kept."""
        return parse_size(self.cache)

    @property
    def job_bytes(self) -> int:
        """Bytes one job may bring along."""
        return parse_size(self.job)
