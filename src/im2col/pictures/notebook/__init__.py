"""Pictures in a notebook: figures on its own paper; beside them the explorer, which Python reads and sets."""

from __future__ import annotations

import re

from ..colours import darkened

_COLOUR = re.compile(r'(fill|stroke)="(#[0-9a-f]{6})"')
_PARENTS = (
    '[data-jp-theme-light="false"]',  # JupyterLab, Notebook 7, and what they export
    '[data-theme="dark"]',  # Sphinx's themes, xarray's and marimo's word for it
    '[theme="dark"]',  # Colab
    ".vscode-dark",
    ".vscode-high-contrast:not(.vscode-high-contrast-light)",
)
"""How notebooks say that they are dark."""
_LIGHT = '[data-jp-theme-light="true"],[data-theme="light"],[theme="light"],.vscode-light,.vscode-high-contrast-light'
"""How they say that they are light: then the system's wish does not count."""


def figure_html(svg: str) -> str:
    """Return an SVG document of `svg.draw` or `svg.animate` as HTML that takes the colours of a dark notebook.

    Parameters
    ----------
    svg : str

    Returns
    -------
    str
        The same picture, with rules that replace its colours, one for each of them, where the page is dark.
    """
    names = sorted(set(_COLOUR.findall(svg)))
    rules = "".join(f'& [{name}="{colour}"]{{{name}:{darkened(colour)}}}' for name, colour in names)
    figure = ".im2col-figure"
    style = (
        f"{figure} svg{{max-width:100%;height:auto}}"
        f"{figure}:is({','.join(f'{parent} *' for parent in _PARENTS)}){{{rules}}}"
        f"@media (prefers-color-scheme:dark){{{figure}:not(:is({_LIGHT}) *){{{rules}}}}}"
    )
    return f'<div class="im2col-figure"><style>{style}</style>{svg}</div>'
