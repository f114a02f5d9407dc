"""A webhook that can be killed: ``python hook_process.py PORT SECONDS`` lets everything pass, after so many seconds.

It prints its port once it serves, and an empty line for each look that it begins.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = b'{"verdict": "pass"}'


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        print(flush=True)  # noqa: T201 - what a process says
        time.sleep(float(sys.argv[2]))
        self.send_response(200)
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    print(server.server_port, flush=True)  # noqa: T201
    server.serve_forever()
