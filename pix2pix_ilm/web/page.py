"""The page: its layout, and the actions behind its events."""

from functools import partial
from html import escape
from typing import Any

import gradio as gr

from pix2pix_ilm.web.error_handlers import QuietBlocks
from pix2pix_ilm.web.painter import draw_facade, encode_drawing, painter
from pix2pix_ilm.web.service import (
    VARIATIONS,
    Source,
    TranslationRequest,
    TranslationService,
    read_for_painter,
)
from pix2pix_ilm.web.uploads import RGBImage, files_input, image_input

FIRST_FACADE = 11  # seed of the facade that every visitor finds painted
NO_MODEL = """### There is no trained model yet
You can paint, but not translate. Train one in a few minutes with

    uv run pix2pix-ilm train quick

and reload this page, or start it with `--checkpoint FOLDER`."""
MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
BATCH: dict[str, Any] = {"concurrency_id": "batch", "concurrency_limit": 1}
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
UNSEEN: dict[str, Any] = PRIVATE | {"show_progress": "hidden"}
READ_ONLY: dict[str, Any] = {"format": "png", "interactive": False}
NONE = ("none", "")
PHOTO: dict[str, Any] = READ_ONLY | {"buttons": ["download", "fullscreen"]}
Updates = dict[Any, Any]


class Page:
    """The whole page; ``blocks`` is what Gradio launches.

    Args:
        service: answers what visitors ask for.
        live: translate after every stroke, unless the visitor decides otherwise.
    """

    def __init__(self, service: TranslationService, *, live: bool) -> None:
        self.service = service
        self.store = service.store
        with QuietBlocks(
            title="Facade painter: pix2pix with ILM Norm", analytics_enabled=False
        ) as self.blocks:
            gr.HTML(
                "<h1>Facade painter</h1><p>Paint where walls, windows and doors are; "
                "pix2pix makes a photo of it.</p>",
                elem_id="headline",
            )
            self.notice = gr.Markdown(
                NO_MODEL, visible=not self.store.catalog.models, elem_id="notice"
            )
            with gr.Row(elem_id="workplace"):
                with gr.Column(scale=6, min_width=320, elem_id="inputs"):
                    self.lay_out_inputs(live)
                with gr.Column(scale=5, min_width=320, elem_id="results"):
                    self.lay_out_results()
            with gr.Row(elem_id="settings"):
                self.lay_out_settings()
            self.offer_api()  # first, or Gradio gives its names to functions of the page
            self.connect()

    def lay_out_inputs(self, live: bool) -> None:
        """Lay out the left half: label maps, by hand or from files."""
        self.source = gr.State("paint")
        with gr.Tabs(elem_id="sources") as self.tabs:
            with gr.Tab("Paint", id="paint"):
                drawing = encode_drawing(draw_facade(FIRST_FACADE))
                self.canvas = painter(drawing, elem_id="canvas")
                with gr.Row(elem_classes="actions"):
                    self.paint_button = gr.Button(
                        "Translate", variant="primary", elem_id="translate"
                    )
                    self.live = gr.Checkbox(
                        live, label="Translate after every stroke", container=False, elem_id="live"
                    )
            with gr.Tab("Upload", id="upload"):
                self.upload = image_input("Label map", elem_id="upload", height=420)
                self.snap = gr.Checkbox(
                    False,
                    label="Move colors to the nearest of the twelve",
                    container=False,
                    elem_id="snap",
                )
                with gr.Row(elem_classes="actions"):
                    self.upload_button = gr.Button(
                        "Translate", variant="primary", elem_id="translate-upload"
                    )
                    self.edit_button = gr.Button("Edit in the painter", elem_id="edit")
            with gr.Tab("Batch", id="batch"):
                self.files = files_input("Label maps", elem_id="files", height=180)
                self.batch_button = gr.Button(
                    "Translate all", variant="primary", elem_id="translate-batch"
                )
                self.batch_photos = gr.Gallery(
                    label="Photos", columns=4, elem_id="batch", **READ_ONLY
                )
                self.batch_zip = gr.DownloadButton(
                    "Download all as zip", interactive=False, elem_id="batch-zip"
                )

    def lay_out_results(self) -> None:
        """Lay out the right half: photos, their caption, metrics and files."""
        with gr.Tabs(elem_id="views"):
            with gr.Tab("Photo", id="photo"), gr.Row(elem_id="photos"):
                self.photo = gr.Image(label="Photo", elem_id="photo", **PHOTO)
                self.second_photo = gr.Image(
                    label="Second", elem_id="second-photo", visible=False, **PHOTO
                )
            with gr.Tab("Compare", id="compare"):
                self.slider = gr.ImageSlider(
                    label="Label map | photo", buttons=["fullscreen"], elem_id="slider", **READ_ONLY
                )
            with gr.Tab("Variations", id="variations"):
                self.vary_button = gr.Button(f"Draw {VARIATIONS} variations", elem_id="vary")
                self.variations = gr.Gallery(
                    label="With dropout, as the original pix2pix",
                    columns=3,
                    elem_id="variations",
                    **READ_ONLY,
                )
        self.caption = gr.HTML(elem_id="note")
        self.metrics = gr.HTML(elem_id="metrics")
        with gr.Row(elem_id="downloads"):
            self.save_photo, self.save_label_map, self.save_pair = (
                gr.DownloadButton(title, interactive=False, size="sm", elem_id=elem_id)
                for title, elem_id in (
                    ("Save photo", "save-photo"),
                    ("Save label map", "save-label"),
                    ("Save as pair", "save-pair"),
                )
            )

    def lay_out_settings(self) -> None:
        """Lay out the settings beneath: models, and a photo to compare with."""
        choices = self.store.catalog.choices
        with gr.Column(scale=6, min_width=320), gr.Row(elem_id="models"):
            self.model = gr.Dropdown(choices, label="Model", elem_id="model")
            self.second_model = gr.Dropdown(
                [NONE, *choices], value="", label="Second model, to compare", elem_id="second"
            )
        with (
            gr.Column(scale=5, min_width=320),
            gr.Accordion("Measure against a real photo", open=False, elem_id="reference-panel"),
        ):
            self.reference = image_input("Real photo", elem_id="reference", height=240)

    def connect(self) -> None:
        """Connect events to actions."""
        inputs = {  # the fields of a TranslationRequest, but for its source
            "drawing": self.canvas,
            "upload": self.upload,
            "snap": self.snap,
            "model": self.model,
            "second_model": self.second_model,
            "reference": self.reference,
        }
        inputs_again = {"source": self.source, **inputs}
        outputs = [
            self.photo, self.second_photo, self.slider, self.caption, self.metrics,
            self.save_photo, self.save_label_map, self.save_pair, self.source,
        ]  # fmt: skip
        event: dict[str, Any] = {
            "outputs": outputs,
            "show_progress_on": [self.photo, self.second_photo, self.slider],
            **MODEL,
            **PRIVATE,
        }
        drawing, upload = (
            event | {"fn": partial(self.show_translation, source), "inputs_kwargs": inputs}
            for source in ("paint", "upload")
        )
        if_any_model = event | {"fn": partial(self.show_possible, "paint"), "inputs_kwargs": inputs}
        again = event | {"fn": self.show_possible, "inputs_kwargs": inputs_again}

        make_room: dict[str, Any] = {"fn": None, "js": "() => window.makeRoom()"}

        arrival = [self.model, self.second_model, self.notice]
        self.blocks.load(self.show_models, None, arrival, **UNSEEN).then(**if_any_model)
        self.canvas.random(lambda: encode_drawing(draw_facade()), None, self.canvas, **UNSEEN).then(
            **if_any_model
        )
        self.edit_button.click(
            edit_upload, self.upload, [self.canvas, self.tabs], **UNSEEN
        ).success(**if_any_model)
        self.canvas.input(
            self.show_stroke,
            inputs_kwargs={"live": self.live, **inputs},
            outputs=outputs,
            trigger_mode="always_last",
            **MODEL,
            **UNSEEN,
        )
        self.paint_button.click(**drawing)
        self.upload_button.click(**upload)
        self.upload.upload(**upload).failure(**make_room)
        # (A list's "input" comes twice for a choice by mouse, and "select" never by keyboard.)
        for chosen in (self.model, self.second_model, self.reference):
            chosen.change(**again).failure(**make_room)
        self.vary_button.click(
            self.show_variations,
            inputs_kwargs=inputs_again,
            outputs=self.variations,
            **MODEL,
            **PRIVATE,
        )
        self.batch_button.click(
            self.show_batch,
            [self.files, self.model],
            [self.batch_photos, self.batch_zip],
            **BATCH,
            **PRIVATE,
        )

    def offer_api(self) -> None:
        """Offer two functions to programs, with no part of the page in their signatures."""
        with gr.Row(visible=False):
            model = gr.Textbox(label="Name of a model; empty: the first of the list")
            one, several = image_input("Label map"), files_input("Label maps")
            photo, zipped = gr.Image(label="Photo", format="png"), gr.File(label="Photos, zipped")
            skipped = gr.JSON(label="Why files were skipped")
            button = gr.Button()
        service = self.service
        button.click(service.translate_file, [one, model], photo, api_name="translate", **MODEL)
        button.click(
            service.translate_files, [several, model], [zipped, skipped], api_name="batch", **BATCH
        )

    def show_models(self) -> Updates:
        """Show the models that are there now."""
        catalog = self.store.scan()
        first = next(iter(catalog.models), None)
        return {
            self.model: gr.Dropdown(catalog.choices, value=first),
            self.second_model: gr.Dropdown([NONE, *catalog.choices], value=""),
            self.notice: gr.Markdown(visible=not catalog.models),
        }

    def show_possible(self, source: Source, **inputs: Any) -> Updates:
        """Translate what is painted or uploaded, if there is a model."""
        return self.show_translation(source, **inputs) if self.store.catalog.models else gr.skip()

    def show_stroke(self, live: bool, **inputs: Any) -> Updates:
        """Translate what is painted, if the visitor wants that after every stroke."""
        return self.show_possible("paint", **inputs) if live else gr.skip()

    def show_translation(self, source: Source, **inputs: Any) -> Updates:
        """Translate what is painted or uploaded, and show it."""
        translation = self.service.translate(TranslationRequest(source=source, **inputs))
        photos, downloads = translation.photos, translation.downloads
        first, path = photos[0].model.name, str(downloads.photos[0])
        label_map = str(downloads.label_map)
        updates = {
            self.source: source,
            self.photo: gr.Image(path, label=first),
            self.second_photo: gr.Image(visible=False),
            self.slider: gr.ImageSlider((label_map, path), label="Label map | photo"),
            self.caption: translation.caption,
            self.metrics: translation.metrics,
            self.save_photo: download_button(path),
            self.save_label_map: download_button(label_map),
            self.save_pair: download_button(str(downloads.pair)),
        }
        if len(photos) > 1:
            second, other = photos[1].model.name, str(downloads.photos[1])
            updates[self.second_photo] = gr.Image(other, label=second, visible=True)
            updates[self.slider] = gr.ImageSlider((path, other), label=f"{first} | {second}")
        return updates

    def show_variations(self, source: Source, **inputs: Any) -> list[RGBImage]:
        """Draw variations of what is painted or uploaded."""
        return self.service.draw_variations(TranslationRequest(source=source, **inputs))

    def show_batch(
        self,
        paths: list[str],
        model: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds it by its default
    ) -> tuple[list[str], Any]:
        """Translate files, say which are bad, and show the rest."""
        track = partial(progress.tqdm, desc="Translating")
        batch = self.service.translate_batch(paths, model, track)
        for problem in batch.problems:
            gr.Warning(escape(problem))
        return [str(photo) for photo in batch.photos], download_button(str(batch.zipped))


def download_button(path: str) -> gr.DownloadButton:
    """Make a button that gives this file."""
    return gr.DownloadButton(value=path, interactive=True)


def edit_upload(path: str | None) -> tuple[str, Any]:
    """Bring an upload into the painter."""
    return encode_drawing(read_for_painter(path)), gr.Tabs(selected="paint")
