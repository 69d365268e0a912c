"""The page without a server: painter, networks and what runs them, as a folder for any web host."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pix2pix_ilm.data.cache import default_cache
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.files import (
    check_fillable,
    filling_folder,
    make_folder,
    read_bytes,
    temporary_folder,
    write_atomically,
)
from pix2pix_ilm.serving.onnx_export import Differences, export_onnx
from pix2pix_ilm.web.model_cards import describe
from pix2pix_ilm.web.model_store import Model, ModelStore
from pix2pix_ilm.web.painter import (
    ASSETS,
    CANVAS_SIZE,
    EXAMPLES,
    SCRIPTS,
    draw_facade,
    encode_drawing,
    hexadecimal,
    painter_props,
    read_asset,
)
from pix2pix_ilm.web.service import TranslationService
from pix2pix_ilm.web.uploads import RGBImage, ground

STATIC = ASSETS / "static"
COPIED = ("site.js", "worker.js", "tensors.js", "_headers")
DRAWINGS = 64  # facades that "Random" chooses from
PACKAGE, PACKAGE_DIGEST = (
    "onnxruntime-web@1.22.0",
    "e293551f9d36d003e293d0f2937fee7b3dfdcef76d71d1449b55e2d4157c7aea",
)
"""npm's package of ONNX Runtime Web, and the SHA-256 of its archive."""
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
SECONDS = 600  # at most, for a download


@dataclass(frozen=True, kw_only=True)
class StaticPage:
    """Size and exactness of an exported page."""

    bytes: int
    """Of all files."""
    differences: dict[str, Differences]
    """Name of a model -> how far its photos in ONNX Runtime are from PyTorch's."""


def export_page(
    checkpoints: Sequence[str], out: Path, *, runtime: Path | None = None
) -> StaticPage:
    """Write a folder that any web host serves as a page: every network runs in the browser.

    Args:
        checkpoints: the models to choose from, as of ``resolve_checkpoint``, the first one chosen.
        out: the folder, new or empty.
        runtime: folder with ONNX Runtime Web's files; unset: npm fetches its package, once.

    Raises:
        UserError: no checkpoint, one of them twice, packages or files that are missing, photos that
            differ from PyTorch's as in ``export_onnx``, or a folder that is not empty.
    """
    check_fillable(out)
    if not checkpoints:
        raise UserError("export page: expected at least one checkpoint, such as facades-ilm")
    store = ModelStore(None, checkpoints, "cpu")
    models = list(store.catalog.models.values())
    if len(models) < len(checkpoints):
        raise UserError(f"export page: two of {', '.join(checkpoints)} are the same model")
    runtime = find_runtime() if runtime is None else check_runtime(runtime)
    with filling_folder(out) as folder:
        for name in ("models", "runtime", "examples"):
            make_folder(folder / name)
        for name in RUNTIME:
            shutil.copyfile(runtime / name, folder / "runtime" / name)
        entries, differences = list[dict[str, Any]](), dict[str, Differences]()
        for number, model in enumerate(models):
            file = f"models/{number}.onnx"
            differences[model.name] = export_onnx(
                model.folder, folder / file, dynamic_size=True, float16=True
            )
            size = (folder / file).stat().st_size
            entries.append(describe_model(model) | {"file": file, "bytes": size})
        drawings = [encode_drawing(draw_facade(seed)) for seed in range(DRAWINGS)]
        page = {
            "models": entries,
            "painter": painter_props(models[0].painted_classes or FACADES_PALETTE),
            "first": encode_drawing(draw_facade(EXAMPLES[0])),
            "drawings": drawings,
            "examples": write_examples(TranslationService(store).draw_examples(), folder),
        }
        write_text(folder / "page.json", json.dumps(page))
        write_assets(folder, models)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        write_offline(folder, files)
        written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return StaticPage(bytes=written, differences=differences)


def describe_model(model: Model) -> dict[str, Any]:
    """List what the page has to know of a model."""
    config, classes = model.config, model.painted_classes
    painted = painter_props(classes) if classes else {"classes": None, "drawable": False}
    return {
        "name": model.name,
        "title": model.title,
        "size": config.image_size,
        "multiple": config.generator.size_multiple,
        "channels": 3 if config.palette else config.generator.in_channels,
        "colors": config.palette.colors.tolist() if config.palette else None,
        "direction": config.direction,
        "classes": painted["classes"],
        "ground": hexadecimal(ground(classes or FACADES_PALETTE)),
        "drawable": painted["drawable"],
    }


def write_examples(pictures: Sequence[RGBImage], folder: Path) -> list[dict[str, str]]:
    """Write examples as pictures; list their files, and the drawings that they show."""
    examples = []
    for seed, picture in zip(EXAMPLES, pictures, strict=False):  # all of them, or none
        file = f"examples/{seed}.webp"
        Image.fromarray(picture).save(folder / file)
        examples.append({"drawing": encode_drawing(draw_facade(seed)), "file": file})
    return examples


def write_assets(folder: Path, models: Sequence[Model]) -> None:
    """Write the page, its styles and its scripts, with the parts that it shares with the other."""
    for name in COPIED:
        shutil.copyfile(STATIC / name, folder / name)
    html = {
        "headline": read_asset("headline.html"),
        "painter": read_asset("painter.html").replace("{{size}}", str(CANVAS_SIZE)),
        "compare": read_asset("compare.html"),
        "about": describe(models),
    }
    write_text(folder / "index.html", fill("index.html", html))
    styles = {name: read_asset(f"{name}.css") for name in ("painter", "compare")}
    write_text(folder / "site.css", fill("site.css", styles))
    for name, scripts in {"painter": SCRIPTS, "compare": ("compare.js",)}.items():
        body = "\n".join(map(read_asset, scripts))
        module = f"export function mount(element, trigger, props, watch) {{\n{body}\n}}\n"
        write_text(folder / f"{name}.js", module)
    write_text(folder / ".nojekyll", "")  # GitHub Pages leaves out _headers otherwise


def write_offline(folder: Path, files: Sequence[Path]) -> None:
    """Write the script that keeps the files for later; another version follows from any change."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    names = [path.relative_to(folder).as_posix() for path in files]
    kept = ["./", *(name for name in names if name not in ("_headers", ".nojekyll"))]
    values = {"version": json.dumps(digest.hexdigest()[:16]), "files": json.dumps(kept)}
    write_text(folder / "offline.js", fill("offline.js", values))


def fill(name: str, values: dict[str, str]) -> str:
    """Put texts of our own into a file of the page."""
    text = (STATIC / name).read_text("utf-8")
    for key, value in values.items():
        text = text.replace("{{ " + key + " }}", value)
    return text


def write_text(path: Path, text: str) -> None:
    """Write a text file; errors as in ``write_atomically``."""
    write_atomically(path, lambda file: file.write(text.encode()))


def check_runtime(folder: Path) -> Path:
    """Return the folder; UserError if a file of ONNX Runtime Web is missing there."""
    missing = missing_files(folder)
    if missing:
        raise UserError(
            f"--runtime {folder}: expected the files of onnxruntime-web's folder dist, "
            f"{', '.join(missing)} missing"
        )
    return folder


def missing_files(folder: Path) -> list[str]:
    """Return the files of ONNX Runtime Web that are not in a folder."""
    return [name for name in RUNTIME if not (folder / name).is_file()]


def find_runtime() -> Path:
    """Return a folder with ONNX Runtime Web's files, out of npm's package on the first call."""
    folder = default_cache() / PACKAGE
    if not missing_files(folder):
        return folder
    make_folder(folder)
    with temporary_folder(folder) as place:
        content = pack(Path(place))
    if hashlib.sha256(content).hexdigest() != PACKAGE_DIGEST:
        raise UserError(f"npm pack {PACKAGE}: another package than expected; use --runtime FOLDER")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for name in RUNTIME:
            member = archive.extractfile(f"package/dist/{name}")
            assert member is not None  # the digest fixes the contents
            data = member.read()
            write_atomically(folder / name, lambda file, data=data: file.write(data))
    return folder


def pack(place: Path) -> bytes:
    """Let npm fetch the package into a folder; returns its archive."""
    npm = shutil.which("npm")
    advice = "or name a folder with onnxruntime-web's files: --runtime FOLDER"
    if npm is None:
        raise UserError(f"export page: npm is needed to fetch {PACKAGE}; install it, {advice}")
    command = [npm, "pack", PACKAGE, "--silent", "--pack-destination", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS, cwd=place)
    except (subprocess.SubprocessError, OSError) as error:
        raise UserError(
            f"export page: npm pack {PACKAGE} failed ({error}); try again, {advice}"
        ) from None
    return read_bytes(next(place.glob("*.tgz")))
