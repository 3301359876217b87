"""Runs examples one after the other in one process of a torchrun, so that torch is imported once and not three times.

Each is run as a script of its own would be. Lightning comes first: it makes a process group and leaves it there;
Accelerate's loop comes last, because it takes the group down behind itself.
"""

from __future__ import annotations

import os
import runpy
import sys

if __name__ == "__main__":
    names, arguments = sys.argv[1].split(","), sys.argv[2:]
    for path in names:
        if os.environ["RANK"] == "0":
            print(f"example {path}", flush=True)
        sys.argv = [path, *arguments]
        runpy.run_path(path, run_name="__main__")
