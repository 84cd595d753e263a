"""Which extra of wordspot brings a package that is not installed."""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "models": ("torch", "torchaudio", "librosa", "safetensors", "scipy", "sklearn"),
    "video": ("av",),
    "faces": ("dicebear", "resvg_py"),
    "gallery": ("matplotlib",),
    "words": ("gensim", "pyarrow"),
    "titles": ("opencc",),
    "postgres": ("psycopg",),
    "synthesis": ("espeakng_loader",),
    "whisper": ("ctranslate2",),
    "export": ("onnx",),
}
"""Names of modules by the extra that brings them."""


def missing_package(error: Exception) -> str | None:
    """Returns what to install, in one line, where an import failed for want of a package of an extra; else
    None."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    package = (error.name or "").partition(".")[0]
    for extra, packages in PACKAGES.items():
        if package in packages:
            return f"{package} is not installed, which this needs: pip install 'wordspot[{extra}]'"
    return None
