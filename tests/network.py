"""With the network cut off, a test that asks it fails, as does one whose processes ask it.

`python3 tools/dev.py test --no-network` cuts it off. The kernel then counts each attempt to reach another machine, name
servers among them, whether or not the program minds the failure.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

ROUTES = Path("/proc/net/route")
IPV4, IPV6 = Path("/proc/net/snmp"), Path("/proc/net/snmp6")


def is_cut_off() -> bool:
    """Whether this process knows no way to any other machine. Only Linux can tell."""
    return ROUTES.exists() and len(ROUTES.read_text().splitlines()) == 1  # its header


def attempts() -> int:
    """How often a process without the network has tried to reach another machine so far."""
    names, values = (line.split() for line in IPV4.read_text().splitlines() if line.startswith("Ip:"))
    ipv6 = [line.split()[1] for line in IPV6.read_text().splitlines() if line.startswith("Ip6OutNoRoutes")]
    return int(values[names.index("OutNoRoutes")]) + sum(map(int, ipv6))


@pytest.fixture(autouse=True)
def nothing_asked_of_the_network() -> Iterator[None]:
    if not is_cut_off():
        yield
        return
    before = attempts()
    yield
    assert attempts() == before, "this test, or a process that it started, tried to reach another machine"
