"""The directive ``{explorer}``: a chapter of the explorer in a page, with a picture of it where nothing can move.

All places show one file, ``explorer.html``, which the library writes while the site is built; what follows the ``#``
says what a place shows of it. So a reader's browser asks for it once, and not before a place is near. The pictures are
for paper, and for browsers without scripts.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from im2col import illustrate
from im2col.pictures.text import dictionary, say

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE = np.array(
    [
        [[1, 2, 8, 9], [2, 1, 9, 7], [3, 2, 7, 8], [1, 3, 9, 8]],
        [[0, 1, 0, 2], [1, 3, 1, 0], [0, 1, 4, 1], [2, 0, 1, 0]],
    ]
)
"""What the explorers show: channels, height, width; docs/article.md computes with the same numbers."""
FILTERS = np.array([[[[-1, 1], [-1, 1]], [[1, 0], [0, -1]]], [[[1, 1], [-1, -1]], [[0, 1], [1, 0]]]])
"""Filters, channels, height, width."""

LANGUAGES = {"en": "en", "zh_CN": "zh"}
"""Sphinx's names of the languages, and the library's."""
OPEN = {"en": "Open this step in the whole explorer", "zh": "在完整的交互页面中打开这一步"}


class explorer(nodes.General, nodes.Element):  # type: ignore[misc]  # noqa: N801 (docutils' names of nodes are small)
    """A chapter of the explorer; its children are what stands below it."""

    @staticmethod
    def visit(translator: Any, node: explorer) -> None:
        """Write the explorer and the picture, and what shows them."""
        folder, lang = Path(translator.builder.outdir), LANGUAGES[translator.config.language]
        (folder / "_images").mkdir(exist_ok=True)
        root = "../" * translator.builder.current_docname.count("/")
        image, filters = _arrays(node["size"])
        options = {name: node[name] for name in ("stride", "padding")}
        illustrate(IMAGE, FILTERS, chapter="slide", lang=lang).save(folder / "explorer.html", force=True)
        picture = illustrate(image, filters, chapter=node["chapter"], step=node["at"], lang=lang, **options)
        still = picture.save(folder / "_images" / f"explorer-{node['name']}.svg", force=True)
        words = dictionary(lang)
        title = escape(f"{say(words, picture.scene.title)} ({node['name']})")
        told = escape(say(words, picture.scene.caption))
        whole = f"{root}explorer.html#{_fragment(node, lang)}"
        translator.body.append(
            f'<figure class="explorer" id="{still.stem}">\n'
            f'<iframe src="{escape(whole)}&amp;part=picture" title="{title}" loading="lazy"></iframe>\n'
            f'<img src="{root}_images/{still.name}" alt="{told}" loading="lazy">\n<figcaption>\n'
        )
        node["whole"] = f'<p><a href="{escape(whole)}">{OPEN[lang]}</a></p>\n'

    @staticmethod
    def depart(translator: Any, node: explorer) -> None:
        """Close what `visit` has opened, below a link to the whole explorer."""
        translator.body.append(f"{node['whole']}</figcaption>\n</figure>\n")


class Explorer(SphinxDirective):  # type: ignore[misc]  # Sphinx is left out of the check
    """``{explorer} matmul``, with the number of a position, and the window, if it is another one."""

    required_arguments = 1
    has_content = True
    option_spec = {  # noqa: RUF012 (docutils reads it)
        "name": directives.unchanged,
        "at": directives.nonnegative_int,
        "stride": directives.positive_int,
        "padding": directives.nonnegative_int,
        "size": directives.positive_int,
    }

    def run(self) -> list[nodes.Node]:
        """Return the node; the words in the directive are paragraphs of the page, and are translated as they are."""
        (chapter,) = self.arguments
        given = {"name": chapter, "at": 0, "stride": 1, "padding": 0, "size": None, **self.options}
        node = explorer("", *self.parse_content_to_nodes(), chapter=chapter, **given)
        return [node]


def _arrays(size: int | None) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Return image and filters: the explorer's own, or one channel of another size and a kernel of 3×3."""
    if size is None:
        return IMAGE, FILTERS
    return np.arange(size * size).reshape(1, size, size), np.ones((1, 1, 3, 3), int)


def _fragment(node: explorer, lang: str) -> str:
    """Return what the explorer's address says of a place: chapter and position, and a window that is another."""
    image, filters = _arrays(node["size"])
    parts = {"chapter": node["chapter"]}
    if (node["stride"], node["padding"], node["size"]) != (1, 0, None):
        parts |= {
            "x": ",".join(map(str, (1, *image.shape))),
            "w": ",".join(map(str, filters.shape)),
            "stride": f"{node['stride']},{node['stride']}",
            "padding": ",".join([f"{node['padding']}:{node['padding']}"] * 2),
            "dilation": "1,1",
        }
    if node["size"] is not None:
        parts |= {"image": "ramp", "kernel": "box"}
    parts |= {"at": f"0,{node['at']},0", "lang": lang}
    return "&".join(f"{name}={value}" for name, value in parts.items())
