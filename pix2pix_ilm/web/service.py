"""Everything that visitors and programs can ask for; the page only shows it."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pix2pix_ilm import metrics
from pix2pix_ilm.data.images import as_array
from pix2pix_ilm.data.palette import FACADES_PALETTE, Palette
from pix2pix_ilm.errors import UserError
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.templates import render
from pix2pix_ilm.web.downloads import (
    Downloads,
    free_name,
    new_folder,
    write_downloads,
    write_png,
    write_zip,
)
from pix2pix_ilm.web.model_store import Model, ModelStore
from pix2pix_ilm.web.painter import ASSETS, EXAMPLES, decode_drawing, draw_facade
from pix2pix_ilm.web.uploads import (
    RGBImage,
    limit_size,
    read_label_map,
    read_photo,
    resize,
    snap_to_palette,
)

VARIATIONS = 6
MAX_FILES = 100  # in a batch
METRICS = {
    "RMSE (RGB) ↓": (metrics.rmse_rgb, "{:.1f}", metrics.SSIM_WINDOW),
    "SSIM ↑": (metrics.ssim, "{:.3f}", metrics.SSIM_WINDOW),
    "LPIPS ↓": (metrics.lpips, "{:.3f}", metrics.LPIPS_SMALLEST),
}
"""Name -> function, how its value is shown, smallest side of an image."""


@dataclass(frozen=True, kw_only=True)
class TranslationRequest:
    """A label map, and the models that are to translate it."""

    source: str
    """ "paint": translate the drawing; else the upload."""
    drawing: object = None
    """From the painter, any JSON."""
    upload: str | None = None
    """Path of an uploaded label map."""
    snap: bool = False
    """Move the upload's colors to the palette's."""
    model: str | None = None
    """Name of a model; empty for the default."""
    second_model: str | None = None
    """Name of a model to compare with, or empty."""
    reference: str | None = None
    """Path of an uploaded real photo, to measure against."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo that one model made of a label map."""

    model: Model
    label_map: RGBImage
    """As the model saw it."""
    image: RGBImage
    seconds: float
    """Time that the network took."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """The answer to a ``TranslationRequest``."""

    photos: list[Photo]
    downloads: Downloads
    caption: str
    """HTML."""
    metrics: str
    """HTML; empty without a real photo."""


@dataclass(frozen=True, kw_only=True)
class BatchTranslation:
    """The photos of several uploads."""

    photos: list[Path]
    zipped: Path
    problems: list[str]
    """A sentence for every file that was skipped."""


class TranslationService:
    """Translate what visitors paint and upload.

    Every method raises UserError, in words for a visitor, where something cannot be done.

    Args:
        store: the models to choose from.
    """

    def __init__(self, store: ModelStore) -> None:
        self.store = store
        self.examples: tuple[Translator | None, list[RGBImage]] = (None, [])

    def translate(self, request: TranslationRequest) -> Translation:
        """Translate a label map with one or two models, measure the photos, and write files."""
        models = [self.store.get(request.model)]
        if request.second_model:
            second = self.store.get(request.second_model)
            models += [second] if second.name != models[0].name else []
        label_map, notes = read_request(request, models[0].config.palette)
        painted = request.source == "paint"
        photos = [self.make_photo(label_map, model, painted=painted) for model in models]
        real = read_photo(request.reference) if request.reference else None
        return Translation(
            photos=photos,
            downloads=save_photos(photos, label_map if painted else photos[0].label_map),
            caption=caption(photos, notes),
            metrics="" if real is None else metrics_table(photos, real),
        )

    def draw_variations(self, request: TranslationRequest) -> list[RGBImage]:
        """Make several photos of one label map with one model, drawn with dropout."""
        model = self.store.get(request.model)
        if not model.config.generator.dropout:
            raise UserError("This model was trained without dropout: all its photos are the same.")
        label_map, _notes = read_request(request, model.config.palette)
        painted = request.source == "paint"
        return [
            self.make_photo(label_map, model, painted=painted, sample=sample).image
            for sample in range(VARIATIONS)
        ]

    def draw_examples(self) -> list[RGBImage]:
        """Show drawn facades beside photos by the first model of facades; none without one.

        They are made once, until that model or its weights change.
        """
        models = self.store.catalog.models.values()
        model = next((one for one in models if one.painted_classes == FACADES_PALETTE), None)
        if model is None:
            return []
        translator = self.store.load(model)
        if self.examples[0] is not translator:
            photos = (self.make_photo(draw_facade(seed), model, painted=True) for seed in EXAMPLES)
            pictures = [np.hstack([photo.label_map, photo.image]) for photo in photos]
            self.examples = (translator, pictures)
        return self.examples[1]

    def translate_batch(
        self,
        paths: Sequence[str],
        name: str | None,
        track: Callable[[Sequence[str]], Iterable[str]] = iter,
    ) -> BatchTranslation:
        """Translate uploaded files, and zip their photos.

        Args:
            paths: of uploaded label maps.
            name: a model of the store; empty for its default.
            track: may show the progress of going through the paths.

        Raises:
            UserError: no files, too many, or none that can be translated.
        """
        if not paths:
            raise UserError("Choose some label maps first.")
        if len(paths) > MAX_FILES:
            raise UserError(f"These are {len(paths)} files; at most {MAX_FILES} go at once.")
        model, folder = self.store.get(name), new_folder()
        photos, problems = dict[str, Path](), list[str]()
        for path in track(paths):
            try:
                label_map = limit_size(read_label_map(path, model.config.palette))
                photo = self.make_photo(label_map, model)
            except UserError as error:
                problems.append(str(error))
                continue
            stem = free_name(Path(path).stem, photos)
            photos[stem] = folder / f"{stem}.png"
            write_png(photos[stem], photo.image)
        if not photos:
            raise UserError(" ".join(problems))
        files = list(photos.values())
        return BatchTranslation(photos=files, zipped=write_zip(files), problems=problems)

    def translate_file(self, label_map: str | None, model: str | None) -> str:
        """Translate an uploaded label map, for programs; gives the path of its photo."""
        chosen = self.store.get(model)
        image = limit_size(read_label_map(label_map, chosen.config.palette))
        photo = self.make_photo(image, chosen)
        return str(save_photos([photo], photo.label_map).photos[0])

    def translate_files(self, label_maps: list[str], model: str | None) -> tuple[str, list[str]]:
        """Translate uploaded label maps, for programs; gives a zip, and what was skipped."""
        batch = self.translate_batch(label_maps, model)
        return str(batch.zipped), batch.problems

    def make_photo(
        self,
        label_map: RGBImage,
        model: Model,
        *,
        painted: bool = False,
        sample: int | None = None,
    ) -> Photo:
        """Run a model on a label map.

        Args:
            label_map: sides of at most 4096 pixels.
            model: one of the store.
            painted: the label map was painted here, so that it may take the size that the model
                was trained on, at which its photos are best.
            sample: number of a variation, drawn with dropout; None for the photo without dropout.

        Raises:
            UserError: the model cannot be loaded.
        """
        translator = self.store.load(model)
        config = translator.config
        if painted:
            label_map = resize(label_map, config.image_size, config.image_size)
        seen = label_map
        if config.palette is not None:
            seen = config.palette.nearest(label_map)
            label_map = config.palette.paint(seen)
        elif config.generator.in_channels == 1:
            seen = as_array(Image.fromarray(label_map), 1)
        with self.store.inference_lock:
            start = time.perf_counter()
            image = translator([seen], sample=sample)[0]
            seconds = time.perf_counter() - start
        image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
        return Photo(model=model, label_map=label_map, image=image, seconds=seconds)


def save_photos(photos: Sequence[Photo], label_map: RGBImage) -> Downloads:
    """Write the photos of one label map, and the map as its maker has it, into files."""
    first = photos[0]
    images = [(photo.model.name, photo.image) for photo in photos]
    return write_downloads(label_map, first.label_map, images, first.model.config.direction)


def read_request(
    request: TranslationRequest, palette: Palette | None
) -> tuple[RGBImage, list[str]]:
    """Read the label map to translate, and note what was done to it.

    Args:
        request: says where it comes from.
        palette: of the model, by which an uploaded index map has colors; others move to them.
    """
    if request.source == "paint":
        return decode_drawing(request.drawing), []
    given = read_label_map(request.upload, palette)
    label_map, notes = limit_size(given), list[str]()
    if label_map.shape != given.shape:
        notes.append(f"reduced from {size_of(given)}")
    if request.snap:
        label_map, fraction = snap_to_palette(label_map, palette or FACADES_PALETTE)
        notes.append(f"{fraction:.1%} of the pixels moved to the nearest color")
    return label_map, notes


def size_of(image: RGBImage) -> str:
    """Return WIDTHxHEIGHT."""
    return f"{image.shape[1]}x{image.shape[0]}"


def caption(photos: Sequence[Photo], notes: Sequence[str]) -> str:
    """Write models, sizes, times and notes as one line of HTML."""
    return render(ASSETS / "caption.html", photos=photos, notes=notes, size_of=size_of).strip()


def metrics_table(photos: Sequence[Photo], real: RGBImage) -> str:
    """Write how far the photos are from the real one as an HTML table."""
    rows = [(photo, measure(photo.image, real)) for photo in photos]
    return render(ASSETS / "metrics.html", metrics=METRICS, rows=rows)


def measure(photo: RGBImage, real: RGBImage) -> list[str]:
    """Measure against the real photo, which is resized where its size differs."""
    height, width = photo.shape[:2]
    if real.shape != photo.shape:
        resized = Image.fromarray(real).resize((width, height), Image.Resampling.BICUBIC)
        real = np.asarray(resized)
    pair = [torch.from_numpy(np.array(image))[None] for image in (photo, real)]
    return [
        shown.format(function(*pair).item()) if min(height, width) >= smallest else "too small"
        for function, shown, smallest in METRICS.values()
    ]
