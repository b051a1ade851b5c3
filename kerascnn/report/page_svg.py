"""Adapts matplotlib's SVG to a page: its colors and fonts, titles under the pointer, no redundant bytes."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from markupsafe import Markup

from kerascnn.cli.escaping import as_html
from kerascnn.report.drawing import CSS_COLORS, HOVER, Picture, bare, saved

_SVG, _HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
# Properties that are set in the page's style sheet, or SVG defaults.
_KNOWN = ("stroke-linejoin", "stroke-linecap", "stroke-miterlimit", "font-family")
_KEPT = ("clip-path", "x", "y", "width", "height", "transform", "d")


def page_figure(picture: Picture) -> Markup:
    """Returns a figure of a page: its title as text above an SVG with the page's colors, fonts and width."""
    title = as_html(picture.title)
    alt = as_html(f"{picture.title}: {picture.about}" if picture.about else picture.title)
    return Markup(f'<figure class="{picture.kind}"><figcaption>{title}</figcaption>{_svg(picture, alt)}</figure>')


def _svg(picture: Picture, alt: str) -> str:
    text = saved(bare(picture), "svg", transparent=True, metadata={"Date": None, "Creator": None}).decode()
    root = ElementTree.fromstring(text)
    referred = set(re.findall(r"#(\w+)", text))
    parts = [part for child in root for part in _adapted(child, referred)]
    drawn = "\n".join(ElementTree.tostring(part, encoding="unicode") for part in parts)
    return f'<svg viewBox="{root.get("viewBox")}" role="img" aria-label="{alt}">\n{drawn}\n</svg>'


def _adapted(element: Element, referred: set[str], hovered: bool = False) -> Iterator[Element]:
    """Returns what an element becomes: nothing, itself, or its children if it is a redundant group."""
    tag, name = element.tag.removeprefix(_SVG), element.get("id", "")
    if tag in ("metadata", "style"):
        return
    new = Element(tag)
    if name.startswith(HOVER):
        hovered = True
        ElementTree.SubElement(new, "title").text = name.removeprefix(HOVER)
    elif name in referred:
        new.set("id", name)
    if not _styled(new, element.get("style", ""), hovered):
        return
    for key in _KEPT:
        if (value := element.get(key)) is not None and not value.startswith("rotate(-0 "):
            new.set(key, _rounded(value) if tag != "image" else value)
    if _HREF in element.attrib:
        new.set("href", element.attrib[_HREF])
    new.text = element.text if tag in ("text", "tspan") else None
    for child in element:
        new.extend(list(_adapted(child, referred, hovered)))
    if tag in ("g", "defs") and not len(new):
        return
    if tag == "g" and not new.attrib and new[0].tag != "title":
        yield from new
    else:
        yield new


def _styled(new: Element, style: str, hovered: bool) -> bool:
    """Sets the style of an element; returns False if it is neither visible nor found by the pointer."""
    pairs = {
        key.strip(): value.strip() for key, _, value in (part.partition(":") for part in style.split(";")) if value
    }
    if "font" in pairs:  # the font family of the page
        pairs["font-size"] = pairs.pop("font").split()[0]
    pairs = {key: CSS_COLORS.get(value, value) for key, value in pairs.items() if key not in _KNOWN}
    unseen = pairs.get("fill") == "none" and "stroke" not in pairs
    if (unseen or pairs.get("opacity") == "0") and not hovered:
        return False
    if unseen:
        new.set("class", "hover")
    elif pairs:
        new.set("style", "; ".join(f"{key}: {value}" for key, value in pairs.items()))
    return True


def _rounded(numbers: str) -> str:
    """Rounds numbers to a tenth of a unit, which is less than a fifth of a pixel."""
    short = re.sub(r"-?\d+\.\d{2,}", lambda n: f"{float(n[0]):.1f}".removesuffix(".0"), numbers)
    return " ".join(short.split())
