"""The built site, served as any static host does."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .outcomes import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = Path(__file__).parents[2] / "site"


class Quiet(SimpleHTTPRequestHandler):
    """A static host that writes no log, and remembers the files that it has sent."""

    sent: ClassVar[list[str]] = []

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Note a file that was sent; 304 tells a browser to take the one that it has."""
        del size
        if code == HTTPStatus.OK:
            self.sent.append(self.path)


@contextmanager
def served() -> Iterator[str]:
    """Give the address of the site for the block; see `missing` for when it has not been built."""
    if not (SITE / "zh/index.html").exists():
        missing("the site is not built: make docs")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
