"""Tiny wheels: a server that only says what it is, and a PyTorch of nothing, so that real pip installs real files."""

import zipfile
from pathlib import Path

SERVER = """
import argparse, json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from inference_server import __version__

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.headers["Authorization"] != "Bearer token-of-the-test":
            self.answer(401, {"detail": "The token is wrong", "code": "wrong-token", "fix": "Use the right one."})
        elif self.path == "/v1/server":
            self.answer(200, {
                "name": "fake", "version": __version__, "api": 1, "pid": os.getpid(), "uptime_s": 0.0, "device": None,
                "worker": {"state": "idle", "pid": None},
                "queue": {"paused": False, "queued": int(os.environ.get("FAKE_QUEUED", 0)), "running": 0},
                "limits": {"upload_bytes": 1, "pixels": 1, "frames": 1}})
        else:
            self.answer(200, [])
    def do_POST(self):
        self.answer(202, {})
        if self.path == "/v1/server/shutdown":
            threading.Thread(target=self.server.shutdown).start()

parser = argparse.ArgumentParser()
parser.add_argument("--version", action="version", version=__version__)
commands = parser.add_subparsers(dest="command")
serve = commands.add_parser("serve")
serve.add_argument("--port", type=int)
serve.add_argument("--data-dir", type=Path)
args = parser.parse_args()
fault = os.environ.get("FAKE_FAULT", "")
print("UTF-8 mode", sys.flags.utf8_mode)
print("starting", os.environ.get("PYTHONPATH", ""))
if fault == "hang":
    time.sleep(60)
elif fault:
    print(fault, file=sys.stderr)
    sys.exit(1)
server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
(args.data_dir / "token").write_text("token-of-the-test")
port = server.server_address[1]
state = {"url": f"http://127.0.0.1:{port}", "port": port, "pid": os.getpid(), "version": __version__}
(args.data_dir / "server.json").write_text(json.dumps(state))
server.serve_forever()
(args.data_dir / "server.json").unlink()
print("stopped", flush=True)
"""


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str], requires: str = "") -> Path:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    everything = {
        **files,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*everything, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in {**everything, f"{info}/RECORD": record}.items():
            wheel.writestr(file, content)
    return path


def make_server_wheel(folder: Path, version: str) -> Path:
    files = {"inference_server/__init__.py": f'__version__ = "{version}"\n', "inference_server/__main__.py": SERVER}
    return make_wheel(folder, "magicanimate_inference_server", version, files, requires="torch")


def make_torch_wheel(folder: Path, version: str) -> Path:
    return make_wheel(folder, "torch", version, {"torch/__init__.py": f'__version__ = "{version}"\n'})
