"""``python -m hone.train.guards FOLDER``: run the step again that was not finite."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hone.errors import HoneError
from hone.train.guards.non_finite import reproduce


def main(arguments: Sequence[str]) -> int:
    """Run the step of a folder again; the exit status is 0 when it is not finite again, 1 when it is finite now."""
    if len(arguments) != 1:
        print("usage: python -m hone.train.guards FOLDER", file=sys.stderr)
        return 2
    try:
        found = reproduce(Path(arguments[0]))
    except HoneError as error:
        print(f"hone: {error}", file=sys.stderr)
        return error.exit_code
    print(f"summed loss of each micro-batch: {', '.join(f'{loss:.6g}' for loss in found.losses)}")
    print("not finite: " + (", ".join(found.tensors[:8]) or "no tensor"))
    print("rows whose loss is not finite: " + (", ".join(found.rows[:8]) or "none by itself"))
    return 0 if found.found else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
