"""SVG inside a page: short, and its names and rules its own. That it looks as drawn a browser tells (test_reports_browser)."""

from io import StringIO
from xml.etree import ElementTree

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from reports.drawing import MUTED, STYLE, THEMED
from reports.inline_svg import inline_svg


def wrapped(inside: str) -> str:
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {spaces} width="9pt" height="8pt">{inside}</svg>'


def parts(inside: str, prefix: str = "x") -> ElementTree.Element:
    return ElementTree.fromstring(inline_svg(wrapped(inside), prefix, "a", THEMED))


def first(root: ElementTree.Element, path: str) -> ElementTree.Element:
    found = root.find(path)
    assert found is not None, path
    return found


def test_unseen_characters_of_an_alternative_text_are_shown() -> None:
    svg = inline_svg(wrapped(""), "x", "a\u202e<b>\"'", THEMED)
    assert svg.startswith("<svg ") and 'aria-label="a\N{REPLACEMENT CHARACTER}&lt;b&gt;&quot;' in svg
    assert ElementTree.fromstring(svg).attrib["viewBox"] == "0 0 9 8"


def test_paths_take_little_room_and_go_where_they_went() -> None:
    """Level and upright lines by one coordinate, from the beginning of a part again when it is closed."""
    path = "M 1 2 \nL 1.001 7 \nL 5 7 \nC 1 2 3 4 5 6 \nL 4 8 \nz\nL 1 3 \nM 9 9 \nL 9 9 \n"
    (drawn,) = parts(f'<path id="a" d="{path}" style="fill: none"/>').findall("path")
    assert drawn.attrib == {"d": "M1 2V7H5C1 2 3 4 5 6L4 8zV3M9 9V9", "style": "fill:none"}


def test_coordinates_have_a_tenth_of_a_pixel_and_marks_a_hundredth() -> None:
    path = 'd="M 1.2345 2.96"'
    root = parts(f'<path {path}/><path id="mark" {path}/><rect x="-0.04" y="7.28" style="stroke-width: 0.666"/>')
    assert [one.attrib["d"] for one in root.findall("path")] == ["M1.2 3", "M1.23 2.96"]
    assert first(root, "rect").attrib == {"x": "0", "y": "7.3", "style": "stroke-width:0.67"}


def test_ids_are_kept_where_something_refers_to_them() -> None:
    """By a link, by a clip and by a hatch in a style; a colour that looks like a link is none."""
    root = parts(
        '<g id="line"><defs><path id="mark" d="M 0 0"/></defs><use xlink:href="#mark" x="1" style="fill: #0000ff"/></g>'
        '<g id="clipped" clip-path="url(#clip)"><rect id="r" fill="#mark"/></g><clipPath id="clip"/>'
        '<pattern id="hatch"/><path id="p" d="M 0 0" style="fill: url(#hatch)"/>',
        "quality-wide",
    )
    assert [one.attrib["id"] for one in root.iter() if "id" in one.attrib] == [
        "quality-wide",
        "quality-wide-1",
        "quality-wide-2",
        "quality-wide-3",
    ]
    assert first(root, "use").attrib["href"] == "#quality-wide-1"
    assert first(root, "g").attrib == {"clip-path": "url(#quality-wide-2)"}
    assert first(root, "g/rect").attrib == {"fill": "#mark"}
    assert root.findall("path")[-1].attrib["style"] == "fill:url(#quality-wide-3)"


def test_groups_that_say_nothing_make_room_for_what_is_in_them_in_its_order() -> None:
    nothing = "<defs><style>*{fill: red}</style></defs><metadata/>"
    groups = '<g id="a"><g><rect x="1"/><g id="b"><rect x="2"/></g></g><rect x="3"/></g><g opacity="0.5"><rect x="4"/></g>'
    root = parts(nothing + groups)
    assert [one.tag for one in root] == ["style", "rect", "rect", "rect", "g"]
    assert [one.get("x") for one in root.iter("rect")] == ["1", "2", "3", "4"]


def test_styles_of_several_marks_are_classes_of_this_drawing_alone() -> None:
    red, blue = f"stroke: {MUTED}; stroke-width: 0.123456", "fill: none"
    own = "<style>*{stroke-linejoin: round}</style>"
    root = parts(f'<defs>{own}</defs><rect style="{red}"/><rect style="{blue}"/><rect style="{red};"/>')
    assert [one.get("class") for one in root.iter("rect")] == ["s1", None, "s1"]
    assert [one.get("style") for one in root.iter("rect")] == [None, "fill:none", None]
    sheet = first(root, "style").text
    assert sheet == "#x *{stroke-linejoin: round}#x .s1{stroke:var(--muted);stroke-width:0.12}", "none for the whole page"


def test_texts_and_images_are_as_they_were() -> None:
    image = 'xlink:href="data:image/png;base64,\nab/=" width="3.00001" transform="scale(1 0.015625)"'
    style = "font: 11.5px 'DejaVu Sans', sans-serif; fill: red"
    root = parts(
        f'<g id="t"><text style="{style}" transform="rotate(-0 1 2)">a 1.23456 /> b</text></g>'
        f'<text transform="rotate(-90 1.00001 2)"><tspan x="1">c</tspan> <tspan x="2">d</tspan></text>'
        f"<image {image}/>"
    )
    level, upright = root.findall("text")
    assert level.text == "a 1.23456 /> b" and level.attrib == {"style": "font:11.5px var(--font);fill:red"}
    assert upright.attrib == {"transform": "rotate(-90 1 2)"} and "".join(upright.itertext()) == "c d"
    pixels = "data:image/png;base64,ab/="
    assert first(root, "image").attrib == {"href": pixels, "width": "3", "transform": "scale(1 0.0156)"}


def test_characters_that_no_xml_holds_are_shown_as_such() -> None:
    assert first(parts("<text>a\x01\uffff</text>"), "text").text == "a" + 2 * "\N{REPLACEMENT CHARACTER}"


def test_a_drawing_of_many_marks_takes_less_than_half_of_what_matplotlib_writes() -> None:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4, 3), dpi=72)
        figure.subplots().scatter(range(100), range(100))
        written = StringIO()
        FigureCanvasSVG(figure).print_svg(written)
    short = inline_svg(written.getvalue(), "x-wide", "a", THEMED)
    assert len(short) < len(written.getvalue()) / 2
    assert short.count("<use ") == written.getvalue().count("<use ") > 100
