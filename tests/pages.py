"""What is in a page, for tests of several kinds of pages."""

from html.parser import HTMLParser

LOADING = ("src", "srcset", "data", "action")
LINKING = ("href", "xlink:href")


class Page(HTMLParser):
    """Tags of a page, ids in it, references to these, and everything else that a browser would load or follow."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in LINKING and (value or "").startswith("#"):
                self.references.append((value or "")[1:])
            elif name in LOADING + LINKING:
                self.loaded.append(f"{tag} {name}={value}")
