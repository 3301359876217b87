"""The licence that a base's own files state: the head of its model card, as model hubs write it."""

from __future__ import annotations

from pathlib import Path

from hone.model.presets import SCRATCH

CARD = "README.md"


def stated_licence(reference: str) -> str:
    """The licence of a base by its reference, from files that are on this machine already; "" where none is stated."""
    if reference.partition(":")[0] in ("", SCRATCH):
        return ""
    path = Path(reference).expanduser()
    folder = path.parent if path.is_file() else path if path.is_dir() else _cached(reference)
    return "" if folder is None else licence_in(folder / CARD)


def licence_in(card: Path) -> str:
    """The ``license`` of a model card's head (YAML between two lines of three dashes); "" where there is none."""
    import yaml

    if not card.is_file():
        return ""
    lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in [line.strip() for line in lines[1:]]:
        return ""
    end = [line.strip() for line in lines[1:]].index("---") + 1
    try:
        head = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.YAMLError:
        return ""
    found = head.get("license") if isinstance(head, dict) else None
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found or "")


def _cached(reference: str) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(reference, local_files_only=True))
    except Exception:  # the hub's errors have no common base; what is not here states nothing
        return None
