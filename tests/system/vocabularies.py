"""llama.cpp's vocabulary files, one for each family of tokenizers, and its templates."""
import os
import pathlib

DIRECTORY = pathlib.Path(os.environ["LLAMA_SOURCE"]) / "models"
TEMPLATES = DIRECTORY / "templates"
NAMES = sorted(p.stem.removeprefix("ggml-vocab-") for p in DIRECTORY.glob("ggml-vocab-*.gguf"))
