"""`python -m inference_server serve`: up in a second, stops gracefully, never imports torch."""

import argparse
import asyncio
import hashlib
import json
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from inference_server import __version__
from inference_server.api import logs, tokens
from inference_server.api.app import create_app
from inference_server.api.audit import Audit
from inference_server.api.connections import BACKLOG, Listener, allow_connections, protocol_for
from inference_server.api.context import Context
from inference_server.api.security import is_loopback, load_token
from inference_server.data_dir import add_data_dir_argument
from inference_server.engines.options import EngineOptions
from inference_server.errors import UserError
from inference_server.jobs.events import EventLog
from inference_server.jobs.folder import RESERVE, DataFolder
from inference_server.jobs.lock import ProcessLock
from inference_server.jobs.notices import Notices
from inference_server.jobs.people import People
from inference_server.jobs.quotas import Quotas
from inference_server.jobs.rebuild import open_store, told_when_full
from inference_server.jobs.retention import Keep
from inference_server.jobs.scheduler import Scheduler, WorkerOptions
from inference_server.jobs.service import JobService
from inference_server.jobs.worker_process import WORKER
from inference_server.media.files import write_bytes
from inference_server.media.limits import SERVER_LIMITS
from inference_server.weights.library import WeightsLibrary

PORT = 8790
CLOSE_WAIT = 3
"""Seconds that open connections get at a graceful stop."""

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = WorkerOptions()
    add_data_dir_argument(parser)
    parser.add_argument("--port", type=_port, default=PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--allow-remote", action="store_true", help="allow a --host that other machines can reach")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM certificate (with its chain): use https")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM key of --tls-cert, without a password")
    parser.add_argument("--insecure", action="store_true",
                        help="with --allow-remote: send tokens and pictures unencrypted")  # fmt: skip
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a name clients call it by")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="read the token from here (default: data folder)"
    )
    EngineOptions.add_arguments(parser)
    parser.add_argument("--idle-unload", type=float, default=default.idle_unload, metavar="S",
                        help="free the device after so many seconds without work (default: %(default)g)")  # fmt: skip
    parser.add_argument("--cancel-wait", type=float, default=default.cancel_wait, metavar="S",
                        help="end a worker that goes on so long after a cancel (default: %(default)g)")  # fmt: skip
    parser.add_argument("--step-limit", type=float, default=default.step_limit, metavar="S",
                        help="a worker silent for so long counts as hung (default: %(default)g)")  # fmt: skip
    parser.add_argument("--disk-reserve", type=int, default=default.disk_reserve // 2**20, metavar="MIB",
                        help="leave so much of the disk free (default: %(default)s)")  # fmt: skip
    parser.add_argument("--keep-days", type=float, default=default.keep.days, help="keep results so long")
    parser.add_argument("--keep-gb", type=float, default=default.keep.bytes / 1e9, help="keep results up to this size")
    parser.add_argument("--signing-cert", type=Path, metavar="PEM",
                        help="certificate chain for content credentials (default: this computer's own)")  # fmt: skip
    parser.add_argument("--signing-key", type=Path, metavar="PEM", help="the key of --signing-cert")
    parser.add_argument("--verbose", action="store_true")
    what = parser.add_subparsers(dest="serve_command", metavar="tokens")
    tokens.add_arguments(what.add_parser("tokens", help="a token for each person who shares the server"))


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 2**16:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")


def run(args: argparse.Namespace) -> int:
    return tokens.run(args) if args.serve_command == "tokens" else serve(args)


def serve(args: argparse.Namespace, worker_command: Sequence[str] = WORKER) -> int:
    """Serve until told to stop. Raises UserError for a data folder in use, a taken port, an open address."""
    check_address(args)
    check_signing(args)
    fingerprint = check_certificate(args.tls_cert, args.tls_key)
    folder = DataFolder(args.data_dir)
    with told_when_full(folder):
        return _serve_folder(args, folder, worker_command, fingerprint)


def _serve_folder(
    args: argparse.Namespace, folder: DataFolder, worker_command: Sequence[str], fingerprint: str | None
) -> int:
    folder.create()
    if folder.free_bytes() < RESERVE:
        folder.give_up_reserve()
    logs.set_up(folder.logs, verbose=args.verbose)
    lock = ProcessLock(folder.server_lock)
    if not lock.acquire():
        raise UserError(
            f"A server (process {lock.holder()}) already uses the data folder {folder.root}",
            fix="Use that one, stop it, or give another --data-dir.",
            code="data-folder-in-use",
        )
    try:
        folder.clear_incoming()
        token = load_token(folder, args.token_file)
        listener = listen(args.host, args.port)
        with listener:
            asyncio.run(_serve(args, folder, token, listener, worker_command, fingerprint))
    finally:
        folder.server_info.unlink(missing_ok=True)
        lock.release()
    log.info("stopped")
    return 0


def check_signing(args: argparse.Namespace) -> None:
    """Raises UserError `bad-signing-key` unless both files are given and can sign a picture, or none is."""
    if args.signing_cert is None and args.signing_key is None:
        return
    if args.signing_cert is None or args.signing_key is None:
        raise UserError("Of --signing-cert and --signing-key one is missing", fix="Give both.", code="bad-signing-key")
    from inference_server.provenance.credentials import check_signer  # c2pa takes time to load

    check_signer(args.signing_cert, args.signing_key)


def check_address(args: argparse.Namespace) -> None:
    """For an address beyond this machine, raises UserError `not-loopback` without the flag that says so, and
    `not-encrypted` without TLS."""
    if is_loopback(args.host):
        return
    if not args.allow_remote:
        raise UserError(
            f"{args.host} can be reached from other machines",
            fix="Leave --host away, or add --allow-remote if that is what you want.",
            code="not-loopback",
        )
    if args.tls_cert is None and not args.insecure:
        raise UserError(
            f"Tokens and pictures would travel to {args.host} without encryption",
            fix="Give --tls-cert and --tls-key, or add --insecure if nobody else is on that network.",
            code="not-encrypted",
        )


def check_certificate(certificate: Path | None, key: Path | None) -> str | None:
    """SHA-256 of the certificate, which clients compare; None without TLS. Raises UserError `bad-certificate`."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UserError("Only one of --tls-cert and --tls-key is given", fix="Give both.", code="bad-certificate")
    try:
        # Without a password, OpenSSL would ask on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
        first = certificate.read_text("ascii").partition("-----BEGIN CERTIFICATE-----")
        der = ssl.PEM_cert_to_DER_cert(first[1] + first[2].partition("-----END")[0] + "-----END CERTIFICATE-----\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{certificate} and {key} cannot be used for TLS: {reason}",
            fix="Give a certificate and its key as PEM files, the key without a password.",
            code="bad-certificate",
        ) from error
    return hashlib.sha256(der).hexdigest()


def listen(host: str, port: int) -> Listener:
    """Raises UserError `port-in-use`, `bad-address`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = Listener(family, kind, protocol)
        if os.name == "posix":  # on Windows this would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except socket.gaierror as error:
        raise UserError(
            f"{host} is no address of this machine ({error})", fix="Use 127.0.0.1.", code="bad-address"
        ) from None
    except OSError as error:
        raise UserError(
            f"{host}:{port} cannot be used: {(error.strerror or str(error)).lower()}",
            fix="Give another --port; 0 takes a free one.",
            code="port-in-use",
        ) from None
    return listener


async def _serve(
    args: argparse.Namespace,
    folder: DataFolder,
    token: str,
    listener: Listener,
    worker_command: Sequence[str],
    fingerprint: str | None,
) -> None:
    listener.limit = allow_connections()
    notices = Notices()
    store = open_store(folder, notices)
    starts = int(store.setting("starts", 0)) + 1
    store.set_setting("starts", starts)
    weights = WeightsLibrary(folder.weights)
    people, audit = People(folder.people), Audit(folder.logs)
    service = JobService(
        folder,
        store,
        EventLog(starts),
        limits=SERVER_LIMITS,
        weights_state=weights.state,
        people=people,
        notices=notices,
    )
    scheduler = Scheduler(service, worker_options(args, worker_command), weights.folder_of)
    context = Context(
        folder,
        service,
        scheduler,
        weights,
        SERVER_LIMITS,
        args.disk_reserve * 2**20,
        people,
        audit,
        Quotas(service, people),
    )
    hosts = (*args.allow_host, f"[{args.host}]" if ":" in args.host else args.host)
    app = create_app(context, token=token, hosts=hosts, any_address=not is_loopback(args.host))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=CLOSE_WAIT,
        timeout_keep_alive=60,
        http=protocol_for(listener),
        backlog=BACKLOG,
        ssl_certfile=args.tls_cert,
        ssl_keyfile=args.tls_key,
        ws="none",
        lifespan="off",
    )
    server = Server(config, service.events, listener, lambda: announce(args, folder, listener, fingerprint))
    context.shut_down = server.stop
    scheduler.start()
    try:
        await server.serve(sockets=[listener])
    finally:
        scheduler.stop()
        weights.close()
        store.close()
        people.close()
        audit.close()


class Server(uvicorn.Server):
    """Tells when it answers, and ends the event streams before it waits for open connections to close."""

    def __init__(
        self, config: uvicorn.Config, events: EventLog, listener: Listener, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._events = events
        self._listener = listener
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        self._listener.drop_silent()
        return await super().on_tick(counter)

    def stop(self) -> None:
        self._events.close()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: object) -> None:
        log.info("%s: stopping", signal.Signals(sig).name)
        self.stop()


def worker_options(args: argparse.Namespace, command: Sequence[str]) -> WorkerOptions:
    return WorkerOptions(
        command=command,
        engine=EngineOptions.of(args),
        idle_unload=args.idle_unload,
        cancel_wait=args.cancel_wait,
        step_limit=args.step_limit,
        disk_reserve=args.disk_reserve * 2**20,
        signing=(args.signing_cert.resolve(), args.signing_key.resolve()) if args.signing_cert else None,
        keep=Keep(days=args.keep_days, bytes=int(args.keep_gb * 1e9)),
    )


def announce(args: argparse.Namespace, folder: DataFolder, listener: socket.socket, fingerprint: str | None) -> None:
    """Leave server.json for clients, and say where it listens and what that opens."""
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    url = f"{'http' if fingerprint is None else 'https'}://{name}:{port}"
    info = {"url": url, "port": port, "pid": os.getpid(), "version": __version__}
    write_bytes(folder.server_info, json.dumps(info).encode())
    print(f"Serving on {url}, data in {folder.root}", flush=True)
    if fingerprint is not None:
        shown = ":".join(fingerprint[n : n + 4].upper() for n in range(0, 64, 4))
        print(f"The certificate's SHA-256 fingerprint is {shown}", flush=True)
    if not is_loopback(args.host):
        print(
            f"WARNING: every machine that reaches {url} and has a token can run jobs here.\n"
            f"The admin's token is in {args.token_file or folder.token}; give others their own by `serve tokens add`.",
            flush=True,
        )
        if fingerprint is None:
            print("The connection is not encrypted: whoever listens in reads tokens and pictures.", flush=True)
