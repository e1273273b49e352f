"""The button that mends a problem, by the problem's code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .preferences import preferences


class Mend(NamedTuple):
    """A button: operator, label, and what the operator is told."""

    operator: str
    label: str
    options: Mapping[str, object] = MappingProxyType({})


PREFERENCES = Mend("magicanimate.open_preferences", "Open the Preferences")
GO_ONLINE = Mend("screen.userpref_show", "Open the Preferences", {"section": "SYSTEM"})
INSTALL = Mend("magicanimate.install_server", "Install the Server")
INSTALL_AGAIN = INSTALL._replace(label="Install the Server Again")
LOG = Mend("magicanimate.show_log", "Show the Log")

MENDS: Mapping[str, Mend] = {
    "server-not-installed": INSTALL,
    "wrong-version": INSTALL._replace(label="Upgrade the Server"),
    **dict.fromkeys(
        ("server-broken", "broken-installation", "torch-broken", "wrong-build", "unsupported-gpu"), INSTALL_AGAIN
    ),
    "server-in-use": Mend("magicanimate.stop_server", "Stop the Server"),
    "out-of-memory": Mend("magicanimate.free_memory", "Free Memory"),
    "offline": GO_ONLINE,
    "edit-mode": Mend("magicanimate.leave_edit_mode", "Leave Edit Mode"),
    "rest-position": Mend("magicanimate.use_pose_position", "Use Pose Position"),
    "certificate-changed": Mend("magicanimate.trust_certificate", "Trust the New Certificate"),
    "half-drawn": Mend("magicanimate.animate", "Animate"),
    **dict.fromkeys(
        (
            "server-did-not-start",
            "server-timeout",
            "job-failed",
            "worker-died",
            "engine-failed",
            "file-error",
            "internal-error",
            "no-driver",
        ),
        LOG,
    ),
    **dict.fromkeys(
        (
            "server-not-running",
            "connection-lost",
            "wrong-token",
            "host-refused",
            "bad-address",
            "bad-answer",
            "unknown-host",
            "certificate-refused",
            "disk-full",
            "no-permission",
            "file-problem",
            "weights-missing",
            "weights-invalid",
            "weights-unreadable",
            "weights-mismatch",
        ),
        PREFERENCES,
    ),
}
"""What is not named here needs no button of its own: a failed job has Try Again, and other sentences say what to do."""


def mend_of(code: str) -> Mend | None:
    """A server of somebody else's is neither installed nor read from here: the preferences say which one it is."""
    mend = MENDS.get(code)
    chosen = preferences()
    if mend is not None and (
        (chosen.server == "REMOTE" and mend.operator in (INSTALL.operator, LOG.operator))
        or (chosen.python and mend.operator == INSTALL.operator)
    ):
        return PREFERENCES
    return mend
