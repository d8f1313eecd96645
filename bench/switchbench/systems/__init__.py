# SPDX-License-Identifier: Apache-2.0
"""The systems that are compared, each in a file of its own."""

from __future__ import annotations

from .base import Setup, System
from .bridge import Bridge
from .memif import Memif, MemifZeroCopy
from .ovs_dpdk import OvsDpdk
from .rvif import Rvif
from .vhost import Vhost
from .vhost_switch import VhostSwitch

SYSTEMS: dict[str, type[System]] = {
    kind.name: kind for kind in (Rvif, Memif, MemifZeroCopy, Vhost, VhostSwitch, OvsDpdk, Bridge)
}

__all__ = ["SYSTEMS", "Setup", "System"]
