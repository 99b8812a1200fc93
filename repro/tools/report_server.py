"""The report over HTTP for this machine alone, made anew at every request.

It listens on 127.0.0.1 and answers only to that name: a page of another site cannot read it, not
even one that lets its own name point here (DNS rebinding), as the browser would send that name.
"""

import errno
import http.server
import threading
from pathlib import Path

from repro.tools import report

TYPES = {
    "html": "text/html",
    "json": "application/json",
    "csv": "text/csv",
    "md": "text/plain",
    "tex": "text/plain",
}


class Server(http.server.ThreadingHTTPServer):
    """Serves the report of a folder at http://127.0.0.1:<port>/."""

    daemon_threads = True

    def __init__(self, output_dir: Path, port: int):
        super().__init__(("127.0.0.1", port), Handler)
        self.output_dir = output_dir
        self.making = threading.Lock()  # one report at a time: reading runs is what takes time

    def make(self, name: str) -> str | None:
        """Return the text of a file of the report as of now; None where there is none."""
        if name not in report.files():
            return None
        with self.making:
            return report.contents(name, report.gather(self.output_dir, judge=True), live=True)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD for the report's files."""

    server: Server

    def do_GET(self) -> None:
        """Answer with a file of the report."""
        if not self._is_for_us():
            self._answer(403, "This server answers to 127.0.0.1 and localhost alone.\n")
            return
        name = self.path.split("?")[0].removeprefix("/") or "index.html"
        try:
            text = self.server.make(name)
        except FileNotFoundError as error:
            self._answer(404, f"{error}\n")
            return
        except ValueError as error:
            self._answer(500, f"error: {error}\n")
            return
        if text is None:
            self._answer(404, "There is no such page; the first one is /index.html.\n")
            return
        self._answer(200, text, TYPES[name.rpartition(".")[2]])

    do_HEAD = do_GET

    def _is_for_us(self) -> bool:
        host, _, port = self.headers.get("Host", "").partition(":")
        return host in ("127.0.0.1", "localhost") and port == str(self.server.server_port)

    def _answer(self, status: int, text: str, kind: str = "text/plain") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments) -> None:
        """Say nothing: a page that looks every few seconds would fill the terminal."""


def serve(output_dir: Path, port: int) -> None:
    """Serve until interrupted.

    Raises:
      ValueError: the port is taken.
    """
    try:
        server = Server(output_dir, port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise ValueError(f"port {port} is taken; say another one, --port=0 finds one") from error
    print(f"the report is at http://127.0.0.1:{server.server_port}/; Ctrl+C ends", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
