"""Signals are as a shell's foreground leaves them, in the tests and in all that they start.

What runs in the background, or under nohup, begins with ctrl-C or a closed terminal ignored, and so would every command
that a test starts and then asks to end.

ONNX Runtime's telemetry is off in all tests: it begins when the package is imported, so before hone's own code says so.
"""

from __future__ import annotations

import os
import signal


def pytest_configure() -> None:
    """Take back what was ignored at the start, and keep telemetry out."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
