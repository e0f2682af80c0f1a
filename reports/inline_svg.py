"""A figure's SVG as a part of the page: its ids its own, colours and fonts the page's, and without what no browser needs.

What matplotlib writes is more than twice as long: an id for each group, a style for each mark, spaces and hidden decimals in
paths.
"""

import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from reports.words import seen

LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")
NUMBERED = ("d", "x", "y", "width", "height", "transform", "style")
"""Attributes whose numbers are coordinates or sizes; an image's pixels, ids and texts are left as they are."""
NO_TURN = re.compile(r"rotate\(-?0 .*\)")
COMMAND = re.compile(r"([MLCQZz])([^MLCQZz]*)")
REFERENCE = re.compile(r"(url\(#)([^)]+)")
LINK = re.compile(r"^(#)(.+)")
SPACE = re.compile(r"\s*([:;])\s*")
OWN_FONT = re.compile(r"(font(?:-family)?:[^;]*?)'DejaVu Sans'[^;]*")


def inline_svg(svg: str, prefix: str, alt: str, colours: Mapping[str, str]) -> str:
    """The SVG element alone, for use inside a page: its ids start with `prefix`, and custom properties replace `colours`.

    Styles that several marks share are classes, which hold inside this drawing only.
    """
    root = ElementTree.fromstring(seen(svg))  # no XML holds characters that cannot be seen
    for element in root.iter():
        _shorten(element)
    rules = [element.text or "" for element in root.iter("style")]  # of matplotlib, for all lines
    _forget_ids(root, prefix)
    _tidy(root)
    rules += _classes(root)
    sheet = Element("style")
    sheet.text = "".join(f"#{prefix} {one}" for one in rules)
    root.insert(0, sheet)
    width, height = (root.attrib[side].removesuffix("pt") for side in ("width", "height"))
    root.attrib.clear()
    root.attrib.update({"role": "img", "aria-label": seen(alt), "id": prefix, "viewBox": f"0 0 {width} {height}"})
    text = ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")  # a ">" of a text is "&gt;" by now
    for colour, name in colours.items():
        text = text.replace(colour, f"var({name})")
    return text


def _plain(name: str) -> str:
    """A name without its namespace: HTML knows those of SVG by itself, and `href` without one."""
    return name.rpartition("}")[2]


def _shorten(element: Element) -> None:
    """Plain names, short numbers, no indents, no turns by nothing, the page's font."""
    element.tag = _plain(element.tag)
    for name in list(element.attrib):
        value = element.attrib.pop(name)
        if _plain(name) in NUMBERED:
            # A tenth of a pixel, but a hundredth within marks, which are small, and in styles; factors as they are, nearly.
            places = 4 if name == "transform" else 2 if name == "style" or "id" in element.attrib else 1
            value = LONG_NUMBER.sub(partial(_rounded, places=places), value)
        elif value.startswith("data:"):
            value = "".join(value.split())
        element.attrib[_plain(name)] = value
    if NO_TURN.fullmatch(element.get("transform", "")):
        del element.attrib["transform"]
    if "d" in element.attrib:
        element.attrib["d"] = _terse(element.attrib["d"])
    if "style" in element.attrib:
        element.attrib["style"] = SPACE.sub(r"\1", OWN_FONT.sub(r"\1var(--font)", element.attrib["style"])).strip(";")
    if element.tag not in ("text", "tspan") and not (element.text or "").strip():
        element.text = None
    if element.tag != "tspan" and not (element.tail or "").strip():
        element.tail = None


def _rounded(number: re.Match[str], places: int) -> str:
    short = f"{float(number[0]):.{places}f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


def _terse(outline: str) -> str:
    """A path without spaces that it does not need, its level and upright lines by one coordinate: steps take half the room."""
    written: list[str] = []
    start = here = ("", "")
    for command, values in COMMAND.findall(outline):
        numbers = values.split()
        if not numbers:  # closes the part, and is back at its beginning
            written.append(command)
            here = start
            continue
        x, y = numbers[-2:]
        if command == "L" and x == here[0]:
            written.append(f"V{y}")
        elif command == "L" and y == here[1]:
            written.append(f"H{x}")
        else:
            written.append(command + " ".join(numbers))
        here = (x, y)
        start = here if command == "M" else start
    return "".join(written)


def _forget_ids(root: Element, prefix: str) -> None:
    """Ids stay where something refers to them, numbered; matplotlib gives one to each group."""
    names: dict[str, str] = {}

    def renamed(found: re.Match[str]) -> str:
        return found[1] + names.setdefault(found[2], f"{prefix}-{len(names) + 1}")

    for element in root.iter():
        for name, value in element.attrib.items():
            element.attrib[name] = (LINK if name == "href" else REFERENCE).sub(renamed, value)
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in names:
            element.attrib["id"] = names[own]


def _tidy(parent: Element) -> None:
    """Puts the children of groups that say nothing in the groups' place; what says and holds nothing goes."""
    for child in list(parent):
        _tidy(child)
        if child.tag in ("metadata", "style") or (child.tag == "defs" and not len(child)):
            parent.remove(child)
        elif child.tag == "g" and not child.attrib:
            at = list(parent).index(child)
            parent[at : at + 1] = list(child)


def _classes(root: Element) -> list[str]:
    """Rules for the styles that more than one element has; these elements have classes instead of them."""
    counts = Counter(element.attrib["style"] for element in root.iter() if "style" in element.attrib)
    names = {style: f"s{index}" for index, style in enumerate((one for one, count in counts.items() if count > 1), start=1)}
    for element in root.iter():
        if element.get("style") in names:
            element.attrib["class"] = names[element.attrib.pop("style")]
    return [f".{name}{{{style}}}" for style, name in names.items()]
