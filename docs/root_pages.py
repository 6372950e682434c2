"""Pages of the site that stand at the root of the repository, where people and tools look for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
NAMES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the root to the site."""
    from mkdocs.structure.files import File

    for name in NAMES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Returns the text of a page with links as they are on the site, where the pages of the root are beside the others.

    Args:
        markdown: the text of the page, with links as they are in the repository.
        page: where the page is.
    """
    path = page.file.src_uri
    if path in NAMES:
        return markdown.replace("](docs/", "](")
    up = "../" * path.count("/")
    for name in NAMES:
        markdown = markdown.replace(f"](../{up}{name}", f"]({up}{name}")
    return markdown
