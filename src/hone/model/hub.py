"""Models of a hub: fetched once into the hub's own cache, found there without a network."""

from __future__ import annotations

from pathlib import Path

from hone.errors import InputError
from hone.model.weights import CONFIG

HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.jinja", "README.md")
"""What is fetched; weights in pickles are left there."""


def from_hub(reference: str) -> Path:
    """The local copy of a hub id, fetched where it is not in the cache.

    Raises:
        InputError: when it is no hub id, the hub does not have or give it, or its weights are pickles only.
    """
    parts = reference.split("/")
    if len(parts) > 2 or reference.startswith((".", "~", "/")) or not all(parts):
        raise InputError(f'base "{reference}" is not a folder here, and not a hub id (NAME or OWNER/NAME) either')
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(reference, allow_patterns=list(HUB_FILES)))
    except Exception as error:  # requests, offline mode, cache and permission errors have no common base
        raise InputError(
            f'base "{reference}" is not a folder here, and the hub did not give it: {_reason(error)}. '
            "Without a network, fetch it once elsewhere and set base: to the folder; base: scratch needs no network"
        ) from error
    if (folder / CONFIG).is_file() and not list(folder.glob("*.safetensors")):
        raise InputError(
            f'base "{reference}" has no *.safetensors on the hub, so its weights there are pickles, which hone '
            "does not open. Download it, if you trust it, and convert it: hone convert FOLDER --out FOLDER-safetensors"
        )
    return folder


def _reason(error: Exception) -> str:
    """Why, in a few words: the hub's errors are pages."""
    from huggingface_hub import constants, errors

    unreachable = "it cannot be reached, and the cache does not have the whole model"
    if constants.HF_HUB_OFFLINE:
        unreachable = "hub access is switched off (HF_HUB_OFFLINE), and the cache does not have the whole model"
    words = {
        errors.GatedRepoError: "it is gated: accept its terms on the hub and log in (hf auth login)",
        errors.RepositoryNotFoundError: "it has no such model, or it is private: check it, or log in (hf auth login)",
        errors.RevisionNotFoundError: "it has no such revision",
        errors.OfflineModeIsEnabled: unreachable,
        errors.LocalEntryNotFoundError: unreachable,
    }
    said = next((text for kind, text in words.items() if isinstance(error, kind)), None)
    return f"{said} ({type(error).__name__})" if said else type(error).__name__
