# SPDX-License-Identifier: Apache-2.0
"""The host's kernel log, and which of its lines mean that the module or KVM did something wrong."""

from __future__ import annotations

import os
import re

_TROUBLE = re.compile(
    # Oopses, assertions, and what the kernel's own checkers print: KASAN, UBSAN, KFENCE, lockdep, RCU, lists, slab.
    r"\bBUG\b|WARNING: |Oops|general protection fault|Kernel panic|KASAN|UBSAN|KFENCE|KCSAN|refcount_t|"
    r"unable to handle|kernel stack overflow|stack segment|double fault|invalid opcode: |divide error: |"
    r"INFO: (?:task|rcu|trying to register|lockdep)|rcu: INFO|ODEBUG|soft lockup|hard LOCKUP|blocked for more than|"
    r"[Bb]ad page|list_(?:add|del) corruption|(?:suspicious|Illegal).* RCU|possible (?:circular|recursive|irq)|"
    r"inconsistent lock state|bad unlock balance|held lock freed|Object (?:already free|corrupt)|"
    r"unexpected page state|vmwrite failed|vmread failed|kvm_spurious_fault|non-zero mapcount|leaked|"
    r"Call Trace:|lab: lines of the kernel's log were lost"
)
# A report's lines: how many of them a scenario's verdict shows.
_EXCERPT = 24


class KernelLog:
    """Reads /dev/kmsg from now on."""

    def __init__(self) -> None:
        self._next: int | None = None  # the number that the next record must have
        self._kmsg = -1
        try:
            self._kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self._kmsg, 0, os.SEEK_END)
        except OSError:
            pass

    def lines(self) -> list[str]:
        """What was logged since the last call. Records that were overwritten before they could be read are named:
        a complaint may have been among them."""
        found: list[str] = []
        while self._kmsg >= 0:
            try:
                record = os.read(self._kmsg, 8192).decode(errors="replace")
            except BlockingIOError:
                break
            except OSError:
                continue  # EPIPE: overwritten; reading goes on with the oldest record that is left
            found += self._record(record)
        return found

    def _record(self, record: str) -> list[str]:
        head, _, text = record.partition(";")
        number = int(head.split(",")[1])
        lost = self._next is not None and number > self._next
        self._next = number + 1
        return (["lab: lines of the kernel's log were lost"] if lost else []) + text.splitlines()[:1]


def trouble(lines: list[str], allowed: list[str]) -> list[str]:
    """Those lines that must fail a scenario."""
    return [line for line in lines
            if _TROUBLE.search(line) and not any(re.search(pattern, line) for pattern in allowed)]


def excerpt(lines: list[str], first: str) -> str:
    """The report that begins with the line `first`, as far as a person needs it."""
    at = lines.index(first)
    return "\n".join(f"    kernel| {line}" for line in lines[at:at + _EXCERPT])
