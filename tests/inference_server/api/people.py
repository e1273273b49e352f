"""Somebody else at a running server: the same calls with another token."""

import copy
import os
import subprocess
import sys

import httpx


def tokens(server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`serve tokens ...` as a process of its own, while the server runs."""
    command = [sys.executable, "-m", "inference_server", "serve", "tokens", *arguments, "--data-dir", str(server.data)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def guest(server, name: str, *options: str):
    """A RunningServer that speaks with a token made for `name`."""
    made = tokens(server, "add", name, *options)
    assert made.returncode == 0, made.stderr
    person = copy.copy(server)
    person.name = name
    person.token = made.stdout.splitlines()[1]
    person.http = httpx.Client(
        base_url=server.url, headers={"Authorization": f"Bearer {person.token}"}, timeout=20, trust_env=False
    )
    return person
