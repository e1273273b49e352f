"""Log lines of pip and of the server -> what a person can do about them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """detail: what is wrong; fix: the way out; both one sentence. code is stable (kebab-case)."""

    code: str
    detail: str
    fix: str


@dataclass(frozen=True)
class Rule:
    pattern: re.Pattern[str]
    advice: Advice


def _rule(pattern: str, code: str, detail: str, fix: str) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE), Advice(code, detail, fix))


RULES = (
    _rule(
        r"no space left on device|errno 28|not enough space on the disk|database or disk is full|disk quota exceeded",
        "disk-full",
        "The disk is full",
        "Free some space, then try again: what is already there is used.",
    ),
    _rule(
        r"out of memory|outofmemoryerror|cannot allocate memory|cublas_status_alloc_failed",
        "out-of-memory",
        "The device has not enough free memory",
        "Choose a smaller output size, or close other programs that use the GPU.",
    ),
    _rule(
        r"found no nvidia driver|nvidia driver on your system is too old|cuda driver version is insufficient"
        r"|libcuda\.so|nvml: driver/library version mismatch",
        "no-driver",
        "The GPU's driver is missing or too old",
        "Install the newest driver of your GPU's maker, restart the computer, then try again.",
    ),
    _rule(
        r"no kernel image is available|not compatible with the current pytorch installation|invalid device function",
        "unsupported-gpu",
        "The installed PyTorch has no code for this GPU",
        "Reinstall the server from the preferences so that the build for your GPU is chosen.",
    ),
    _rule(
        r"torch not compiled with cuda enabled",
        "wrong-build",
        "The installed PyTorch is the one for computers without a GPU",
        "Reinstall the server from the preferences so that the build for your GPU is chosen.",
    ),
    _rule(
        r"address already in use|errno 98\b|errno 48\b|winerror 10048|only one usage of each socket address",
        "port-taken",
        "Another program uses the server's port",
        "Close that program or the other server, then start again.",
    ),
    _rule(
        r"already uses the data folder",
        "data-folder-in-use",
        "Another server uses the same data folder",
        "Wait until that one has ended, or end its process, then try again.",
    ),
    _rule(
        r"weights-missing|weights? .*(is|are) (missing|not (installed|there))",
        "weights-missing",
        "The model weights are not on this computer",
        "Download them in the panel, or choose the demo weights.",
    ),
    _rule(
        r"no module named '?(venv|ensurepip)\b|ensurepip is not available",
        "no-venv",
        "This Python can't make environments",
        "Install your system's python3-venv package, then install again.",
    ),
    _rule(
        r"no module named '?(inference_server|torch|fastapi|uvicorn|diffusers|transformers)\b",
        "broken-installation",
        "The server's installation is incomplete",
        "Install it again from the preferences.",
    ),
    _rule(
        r"temporary failure in name resolution|name or service not known|nodename nor servname|getaddrinfo failed"
        r"|network is unreachable|failed to establish a new connection|max retries exceeded|read timed out"
        r"|connection reset by peer|proxyerror|cannot connect to proxy",
        "no-network",
        "The internet can't be reached",
        "Check the connection, then try again: what is already downloaded is kept.",
    ),
    _rule(
        r"certificate_verify_failed|sslerror|certificate verify failed",
        "no-trust",
        "The download is not trusted: a certificate does not fit",
        "Check the computer's clock, and ask your network's administrator about intercepted connections.",
    ),
    _rule(
        r"requires a different python|requires-python|no matching distribution found for torch"
        r"|is not a supported wheel on this platform",
        "wrong-python",
        "This Python does not fit the server",
        "Install Python 3.13 (64 bit), then install the server again.",
    ),
    _rule(
        r"do not match the hashes|hash mismatch|bad magic number|file is not a zip file|invalid wheel",
        "damaged-download",
        "A downloaded file is damaged",
        "Try again: it will be downloaded afresh.",
    ),
    _rule(
        r"permission denied|access is denied|errno 13\b|winerror 5\b",
        "no-permission",
        "A file or folder may not be written",
        "Close programs that hold its files, and see that the folder belongs to you, then try again.",
    ),
)
"""In order: the first rule that any line meets wins, so the causes come before their consequences."""


def advise(lines: Iterable[str]) -> Advice | None:
    """What a log says to do, or None where nothing known is in it."""
    text = "\n".join(lines)
    return next((rule.advice for rule in RULES if rule.pattern.search(text)), None)
