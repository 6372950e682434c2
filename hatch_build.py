"""What a release's metadata has beside pyproject.toml: the addresses of the repository, and a README that links to it.

The environment variable WTOOL_REPOSITORY holds the address of the repository, such as https://example.org/me/wtool; the
workflow that publishes a release sets the variable. A build without the variable has no addresses, and the README as it
is in the repository.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^]]*)\]\((?![a-z]+:|#)([^)]+)\)")
"""A link, or a picture, whose address is a path in the repository."""


class ReleaseMetadata(MetadataHookInterface):
    """Sets the fields `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the fields to the metadata.

        Args:
            metadata: the table `project` of pyproject.toml, with the version.
        """
        repository = os.environ.get("WTOOL_REPOSITORY", "").rstrip("/")
        tag = f"v{metadata['version']}"
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        if repository:
            text = with_addresses(text, repository, tag)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = addresses(repository, tag) if repository else {}


def addresses(repository: str, tag: str) -> dict[str, str]:
    """Returns the name and the address of each link that a package registry shows beside a release."""
    return {
        "Source": repository,
        "Documentation": f"{repository}/blob/{tag}/docs/index.md",
        "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
        "Security": f"{repository}/blob/{tag}/SECURITY.md",
    }


def with_addresses(text: str, repository: str, tag: str) -> str:
    """Returns Markdown whose links to files of the repository are addresses of these files at a tag."""

    def address(link: re.Match[str]) -> str:
        picture, words, path = link.groups()
        return f"{picture}[{words}]({repository}/{'raw' if picture else 'blob'}/{tag}/{path})"

    return LINK.sub(address, text)
