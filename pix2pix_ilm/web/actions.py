"""What visitors and programs can ask for; the page only shows it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.web import studio
from pix2pix_ilm.web.canvas import CANVAS_SIZE, from_data_url
from pix2pix_ilm.web.captions import describe, metrics_table, size_of
from pix2pix_ilm.web.shelf import Shelf
from pix2pix_ilm.web.studio import Files, Photo
from pix2pix_ilm.web.uploads import Picture, read_label_map, read_photo

VARIATIONS = 6


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a translation brings to the page."""

    photos: list[Photo]
    files: Files
    note: str
    """HTML."""
    metrics: str
    """HTML; empty without a real photo."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What became of several uploads."""

    photos: list[Path]
    zipped: Path
    problems: list[str]
    """A sentence for every file that was skipped."""


class Actions:
    """Every action raises UserError, in words for a visitor, where it cannot be done.

    Args:
        shelf: the models to choose from.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def translate(
        self,
        source: str,
        drawing: object,
        upload: str | None,
        snap: bool,
        name: str | None,
        second: str | None,
        reference: str | None,
    ) -> Shown:
        """Translate a label map with one or two models.

        Args:
            source: "paint" for the drawing, anything else for the upload.
            drawing: what the painter sent.
            upload: path of an uploaded label map.
            snap: move the upload's colours to the palette's.
            name: a model of the shelf; empty for its default.
            second: another one, or empty.
            reference: path of an uploaded real photo, to measure against.
        """
        label, notes = label_map(source, drawing, upload, snap)
        names = [name, second] if second and second != name else [name]
        painted = source == "paint"
        photos = [studio.translate(self.shelf, label, one, painted=painted) for one in names]
        return Shown(
            photos=photos,
            files=studio.keep(photos),
            note=describe(photos, notes),
            metrics=metrics_table(photos, read_photo(reference)) if reference else "",
        )

    def vary(
        self,
        source: str,
        drawing: object,
        upload: str | None,
        snap: bool,
        name: str | None,
        *_: object,
    ) -> list[Picture]:
        """Several photos of one label map, drawn with dropout; arguments as in ``translate``."""
        if not self.shelf.get(name).config.generator.dropout:
            raise UserError("This model was trained without dropout: all its photos are the same.")
        label, _notes = label_map(source, drawing, upload, snap)
        painted = source == "paint"
        return [
            studio.translate(self.shelf, label, name, painted=painted, sample=sample).image
            for sample in range(VARIATIONS)
        ]

    def batch(
        self,
        paths: list[str],
        name: str | None,
        tracked: Callable[[list[str]], Iterable[str]] = iter,
    ) -> Batch:
        """Translate uploaded files; ``tracked`` may show the progress."""
        studio.check_batch(paths)
        photos, problems = studio.translate_batch(self.shelf, tracked(paths), name)
        return Batch(photos=photos, zipped=studio.pack(photos), problems=problems)

    def translate_file(self, label_map: str | None, model: str | None) -> str:
        """For programs: an uploaded label map's photo."""
        photo = studio.translate(self.shelf, studio.fit(read_label_map(label_map)), model)
        return str(studio.keep([photo]).photos[0])

    def translate_files(self, label_maps: list[str], model: str | None) -> tuple[str, list[str]]:
        """For programs: the photos of uploaded label maps as a zip, and what was skipped."""
        done = self.batch(label_maps, model)
        return str(done.zipped), done.problems


def label_map(
    source: str, drawing: object, upload: str | None, snap: bool
) -> tuple[Picture, list[str]]:
    """The label map to translate, and what was done to it."""
    if source == "paint":
        return from_data_url(drawing), []
    given = read_label_map(upload)
    label, notes = studio.fit(given), list[str]()
    if label.shape != given.shape:
        notes.append(f"reduced from {size_of(given)}")
    if snap:
        label, share = studio.snap(label)
        notes.append(f"{share:.1%} of the pixels moved to the nearest colour")
    return label, notes


def paintable(upload: str | None) -> Picture:
    """An uploaded label map in the painter's size, all in the colours of the twelve classes."""
    label, _ = studio.snap(studio.to_size(read_label_map(upload), CANVAS_SIZE, CANVAS_SIZE))
    return label
