"""Hooks for mkdocs: the menu, and links out of docs/."""

import re
from pathlib import Path
from typing import Any

INDEX = Path(__file__).parent / "README.md"
_GROUP = re.compile(r"^## (.+)$|^- \[(.+)\]\((.+\.md)\)", re.MULTILINE)
_OUTSIDE = re.compile(r"\]\(\.\./([^)]+)\)")


def menu() -> dict[str, dict[str, str]]:
    """Group → title → page, in the order of the index."""
    groups: dict[str, dict[str, str]] = {}
    for group, title, page in _GROUP.findall(INDEX.read_text(encoding="utf-8")):
        if group:
            groups[group] = {}
        else:
            groups[list(groups)[-1]][title] = page
    return groups


def on_config(config: Any) -> Any:
    """The menu is the index: each page is named once."""
    groups = [{group: [{title: page} for title, page in pages.items()]} for group, pages in menu().items()]
    config.nav = [{"invoke": INDEX.name}, *groups]
    return config


def on_page_markdown(markdown: str, *, config: Any, **_: object) -> str:
    """`[text](../configs/models.yaml)` as a link into the repository."""
    return _OUTSIDE.sub(rf"]({config.repo_url}/blob/main/\1)", markdown)
