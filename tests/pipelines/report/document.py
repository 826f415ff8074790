"""What a reader of the page sees, from its HTML: elements by class, texts, and where it leads."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "source", "br", "link", "input"}


@dataclass
class Element:
    """An element with its own and its children's text."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def all(self, tag: str = "", of_class: str = "", **attributes: str) -> list["Element"]:
        """Descendants with this tag, class and attributes, in the page's order."""
        found = []
        for one in self.children:
            if (
                tag in ("", one.tag)
                and (not of_class or of_class in one.classes)
                and all(one.attributes.get(name.replace("_", "-")) == value for name, value in attributes.items())
            ):
                found.append(one)
            found += one.all(tag, of_class, **attributes)
        return found

    def one(self, tag: str = "", of_class: str = "", **attributes: str) -> "Element":
        found = self.all(tag, of_class, **attributes)
        assert len(found) == 1, f"{len(found)} elements {tag} {of_class} {attributes}"
        return found[0]


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def parse(html: str) -> Element:
    """The page as a tree; fails where an element is not closed."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    assert len(builder.open) == 1, f"not closed: {builder.open[-1].tag}"
    return builder.open[0]
