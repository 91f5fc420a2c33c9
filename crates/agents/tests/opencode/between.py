"""Stands between us and an OpenCode server, writes down what is asked, and loses what it is told to lose.

The folder in BETWEEN holds `faults`, a line for each call that is to go wrong, once: method, pattern of the path, and
`cut` (not carried out, no answer), `lose` (carried out, no answer), `hold` (carried out, the answer never comes),
`double` (carried out twice), or not carried out and answered by somebody else: `html` (a page), `empty` (nothing),
`move` (it is somewhere else: at `/elsewhere`) and `newer` (by a server of another version). Of the stream of events
`triple` passes each on three times, `half` every second one, `rest` the others, and `shuffle` two and two of them in the
other order. `log` is told each call, and `times` with the moment at which it came.
"""
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

real, folder = os.environ["BETWEEN_REAL"], os.environ["BETWEEN"]
words = sys.argv[1:]
if words[0] != "serve":
    os.execv(real, [real, *words])

at = words.index("--port") + 1
port = int(words[at])
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    behind = free.getsockname()[1]
words[at] = str(behind)
server = subprocess.Popen([real, *words], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
lock = threading.Lock()


def stop(*_):
    server.kill()
    os._exit(0)


signal.signal(signal.SIGTERM, stop)


def fault(method, path):
    with lock:
        with open(f"{folder}/log", "a") as log:
            log.write(f"{method} {path}\n")
        with open(f"{folder}/times", "a") as times:
            times.write(f"{time.monotonic_ns()} {method} {path}\n")
        with open(f"{folder}/faults") as told:
            lines = told.read().splitlines()
        for n, line in enumerate(lines):
            verb, pattern, kind = line.split(" ")
            if verb == method and re.search(pattern, path):
                with open(f"{folder}/faults", "w") as left:
                    left.write("\n".join(lines[:n] + lines[n + 1:]))
                return kind
    return None


class Between(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pass_on(self, body):
        link = http.client.HTTPConnection("127.0.0.1", behind)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        link.request(self.command, self.path, body, headers)
        return link.getresponse()

    def instead(self, kind):
        self.send_response(302 if kind == "move" else 200)
        if kind == "move":
            self.send_header("location", f"http://127.0.0.1:{port}/elsewhere")
        texts = {"html": b"<!doctype html><title>Sign in</title>", "newer": b'{"healthy":true,"version":"2.0.0"}'}
        text = texts.get(kind, b"")
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def events(self, answer, kind):
        """Passes events on, each of which ends with an empty line."""
        held, waiting, n = b"", None, 0
        while chunk := answer.read1(65536):
            *events, held = (held + chunk).split(b"\n\n")
            for event in events:
                n += 1
                passed = [event]
                if kind == "triple":
                    passed = [event] * 3
                elif kind == "half":
                    passed = [event][n % 2:]
                elif kind == "rest":
                    passed = [event][:n % 2]
                elif kind == "shuffle":
                    passed, waiting = ([], event) if waiting is None else ([event, waiting], None)
                for one in passed:
                    self.wfile.write(one + b"\n\n")
                self.wfile.flush()

    def any(self):
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        kind = fault(self.command, self.path.split("?")[0])
        if kind == "cut":
            return
        if kind in ("html", "empty", "move", "newer"):
            return self.instead(kind)
        answer = self.pass_on(body)
        if kind == "double":
            answer.read()
            answer = self.pass_on(body)
        if kind in ("lose", "hold"):
            answer.read()
            if kind == "hold":
                self.connection.recv(1)
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        if kind in ("triple", "half", "rest", "shuffle"):
            return self.events(answer, kind)
        while chunk := answer.read1(65536):
            self.wfile.write(chunk)
            self.wfile.flush()

    do_GET = do_POST = do_PATCH = do_DELETE = any

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass


class Threads(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


for line in server.stdout:
    if "listening on" in line:
        break
else:
    sys.exit(server.wait())
front = Threads(("127.0.0.1", port), Between)
threading.Thread(target=front.serve_forever, daemon=True).start()
threading.Thread(target=server.stdout.read, daemon=True).start()
print(f"opencode server listening on http://127.0.0.1:{port}", flush=True)
sys.exit(server.wait())
