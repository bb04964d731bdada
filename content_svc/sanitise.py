"""HTML that people write, made safe to show: a few tags, no scripts, no styles, links that tell nothing of us."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import nh3

if TYPE_CHECKING:
    from content_svc.domain.part import PartContent

_TAGS = {
    *("a", "b", "blockquote", "br", "caption", "code", "dd", "div", "dl", "dt", "em", "h2", "h3", "h4", "hr", "i"),
    *("img", "kbd", "li", "ol", "p", "pre", "s", "small", "span", "strong", "sub", "sup", "table", "tbody", "td"),
    *("tfoot", "th", "thead", "tr", "u", "ul"),
}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    url_schemes={"https", "http", "mailto"},
    link_rel="noopener noreferrer nofollow",
    strip_comments=True,
)


def sanitise(content: PartContent) -> PartContent:
    """The content with a safe description; a description that is safe already stays as it is."""
    return replace(content, description=_CLEANER.clean(content.description)) if content.description else content
