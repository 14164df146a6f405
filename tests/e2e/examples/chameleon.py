"""Stands in for any image: serves every path of the ports in $PORTS, stays for ever where $STAY is set, or says its
arguments and ends."""

import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = f"{os.environ['NAME']} at {self.server.server_address[1]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 (named by the base class)


print("arguments:", *sys.argv[1:], flush=True)
ports = [int(port) for port in os.environ.get("PORTS", "").split()]
for port in ports:
    threading.Thread(target=ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever, daemon=True).start()
if ports or os.environ.get("STAY"):
    time.sleep(3600)
