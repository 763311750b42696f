"""Reading a page as a browser would, strictly."""

from html.parser import HTMLParser
from typing import Any

from app.reports.page import render
from models.documents import Report

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tags, attributes and words of a page; raises if an element is closed that is not open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """What is read, in single spaces."""
        return " ".join(" ".join(self.words).split())


def page_of(report: dict[str, Any]) -> Page:
    """The page of a report."""
    return Page(render(Report.model_validate(report)))
