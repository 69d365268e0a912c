"""The page: what stands where, and which event does what."""

from functools import partial
from html import escape
from typing import Any

import gradio as gr

from pix2pix_ilm.web.actions import VARIATIONS, Actions, paintable
from pix2pix_ilm.web.answers import Blocks
from pix2pix_ilm.web.canvas import label_canvas, to_data_url
from pix2pix_ilm.web.shelf import Shelf
from pix2pix_ilm.web.studio import draw_facade
from pix2pix_ilm.web.uploads import files_input, image_input

FIRST_FACADE = 11  # seed of the facade that every visitor finds painted
NO_MODEL = """### There is no trained model yet
You can paint, but not translate. Train one in a few minutes with

    uv run pix2pix-ilm train quick

and reload this page, or start it with `--checkpoint FOLDER`."""
MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
BATCH: dict[str, Any] = {"concurrency_id": "batch", "concurrency_limit": 1}
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
UNSEEN: dict[str, Any] = PRIVATE | {"show_progress": "hidden"}
Updates = dict[Any, Any]


class Page:
    """The whole page; ``blocks`` is what Gradio launches.

    Args:
        shelf: the models to choose from.
        live: whether a stroke is translated at once, unless the visitor decides otherwise.
    """

    def __init__(self, shelf: Shelf, *, live: bool) -> None:
        self.shelf = shelf
        self.actions = Actions(shelf)
        with Blocks(
            title="Facade painter: pix2pix with ILM Norm",
            analytics_enabled=False,
        ) as self.blocks:
            gr.HTML(
                "<h1>Facade painter</h1><p>Paint where walls, windows and doors are; "
                "pix2pix makes a photo of it.</p>",
                elem_id="headline",
            )
            self.notice = gr.Markdown(NO_MODEL, visible=not shelf.models(), elem_id="notice")
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
        """The left half: label maps, by hand or from files."""
        self.source = gr.State("paint")
        with gr.Tabs(elem_id="sources") as self.tabs:
            with gr.Tab("Paint", id="paint"):
                painted = to_data_url(draw_facade(FIRST_FACADE))
                self.canvas = label_canvas(painted, elem_id="canvas")
                with gr.Row(elem_classes="actions"):
                    self.paint = gr.Button("Translate", variant="primary", elem_id="translate")
                    self.live = gr.Checkbox(
                        live, label="Translate after every stroke", container=False, elem_id="live"
                    )
            with gr.Tab("Upload", id="upload"):
                self.upload = image_input("Label map", elem_id="upload", height=420)
                self.snap = gr.Checkbox(
                    False,
                    label="Move colours to the nearest of the twelve",
                    container=False,
                    elem_id="snap",
                )
                with gr.Row(elem_classes="actions"):
                    self.translate_upload = gr.Button(
                        "Translate", variant="primary", elem_id="translate-upload"
                    )
                    self.edit = gr.Button("Edit in the painter", elem_id="edit")
            with gr.Tab("Batch", id="batch"):
                self.files = files_input("Label maps", elem_id="files", height=180)
                self.translate_batch = gr.Button(
                    "Translate all", variant="primary", elem_id="translate-batch"
                )
                self.batch_photos = gr.Gallery(
                    label="Photos", format="png", columns=4, interactive=False, elem_id="batch"
                )
                self.batch_zip = gr.DownloadButton(
                    "Download all as zip", interactive=False, elem_id="batch-zip"
                )

    def lay_out_results(self) -> None:
        """The right half: photos, and what can be said of them and done with them."""
        with gr.Tabs(elem_id="views"):
            with gr.Tab("Photo", id="photo"), gr.Row(elem_id="photos"):
                self.photo = photo_view("Photo", elem_id="photo")
                self.second_photo = photo_view("Second", elem_id="second-photo", visible=False)
            with gr.Tab("Compare", id="compare"):
                self.slider = gr.ImageSlider(
                    label="Label map | photo",
                    format="png",
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="slider",
                )
            with gr.Tab("Variations", id="variations"):
                self.vary = gr.Button(f"Draw {VARIATIONS} variations", elem_id="vary")
                self.variations = gr.Gallery(
                    label="With dropout, as the original pix2pix",
                    format="png",
                    columns=3,
                    interactive=False,
                    elem_id="variations",
                )
        self.note = gr.HTML(elem_id="note")
        self.metrics = gr.HTML(elem_id="metrics")
        with gr.Row(elem_id="downloads"):
            self.save_photo, self.save_label, self.save_pair = (
                gr.DownloadButton(label, interactive=False, size="sm", elem_id=elem_id)
                for label, elem_id in (
                    ("Save photo", "save-photo"),
                    ("Save label map", "save-label"),
                    ("Save as pair", "save-pair"),
                )
            )

    def lay_out_settings(self) -> None:
        """Beneath: which models translate, and what their photos are compared with."""
        with gr.Column(scale=6, min_width=320), gr.Row(elem_id="models"):
            self.model = gr.Dropdown(self.choices(), label="Model", elem_id="model")
            self.second = gr.Dropdown(
                self.choices(), label="Second model, to compare", elem_id="second"
            )
        with (
            gr.Column(scale=5, min_width=320),
            gr.Accordion("Measure against a real photo", open=False, elem_id="reference-panel"),
        ):
            self.reference = image_input("Real photo", elem_id="reference", height=240)

    def connect(self) -> None:
        """Which event does what."""
        inputs = [self.canvas, self.upload, self.snap, self.model, self.second, self.reference]
        outputs = [
            self.photo, self.second_photo, self.slider, self.note, self.metrics, self.save_photo,
            self.save_label, self.save_pair, self.source,
        ]  # fmt: skip
        paint, upload = (partial(self.translate, source) for source in ("paint", "upload"))
        button: dict[str, Any] = {
            "inputs": inputs,
            "outputs": outputs,
            "show_progress_on": [self.photo, self.second_photo, self.slider],
            **MODEL,
            **PRIVATE,
        }
        again: dict[str, Any] = button | {"inputs": [self.source, *inputs]}

        arrival = [self.model, self.second, self.notice]
        self.blocks.load(self.arrive, None, arrival, **UNSEEN).then(self.show_first, **button)
        self.paint.click(paint, **button)
        self.canvas.input(
            self.translate_stroke,
            [self.live, *inputs],
            outputs,
            trigger_mode="always_last",
            **MODEL,
            **UNSEEN,
        )
        self.canvas.random(random_painting, None, self.canvas, **UNSEEN).then(
            self.show_first, **button
        )
        self.translate_upload.click(upload, **button)
        self.upload.upload(upload, **button)
        self.edit.click(edit, self.upload, [self.canvas, self.tabs], **UNSEEN).success(
            self.show_first, **button
        )
        for choice in (self.model, self.second):
            choice.input(self.translate, **again)
        self.reference.change(self.translate, **again)
        self.vary.click(
            self.actions.vary,
            [self.source, *inputs],
            self.variations,
            **MODEL,
            **PRIVATE,
        )
        self.translate_batch.click(
            self.show_batch,
            [self.files, self.model],
            [self.batch_photos, self.batch_zip],
            **BATCH,
            **PRIVATE,
        )

    def choices(self) -> list[tuple[str, str]]:
        """What the lists of models show, and the names behind it; broken ones come last."""
        models, broken = self.shelf.look()
        usable = [(model.label, name) for name, model in models.items()]
        return usable + [(f"{name}: broken, cannot be used", name) for name in broken]

    def arrive(self) -> Updates:
        """Show the models that are there now."""
        choices, usable = self.choices(), list(self.shelf.models())
        return {
            self.model: gr.Dropdown(choices, value=usable[0] if usable else None),
            self.second: gr.Dropdown([("none", ""), *choices], value=""),
            self.notice: gr.Markdown(visible=not usable),
        }

    def show_first(self, *inputs: Any) -> Updates:
        """Translate what is painted, if there is a model."""
        return self.translate("paint", *inputs) if self.shelf.models() else gr.skip()

    def translate_stroke(self, live: bool, *inputs: Any) -> Updates:
        """Translate what is painted, if the visitor wants that after every stroke."""
        return self.show_first(*inputs) if live else gr.skip()

    def translate(self, source: str, *inputs: Any) -> Updates:
        """Translate what is painted or uploaded, and show it."""
        shown = self.actions.translate(source, *inputs)
        photos, files = shown.photos, shown.files
        first, path = photos[0].model.name, str(files.photos[0])
        updates = {
            self.source: source,
            self.photo: gr.Image(path, label=first),
            self.second_photo: gr.Image(visible=False),
            self.slider: gr.ImageSlider((str(files.label), path), label="Label map | photo"),
            self.note: shown.note,
            self.metrics: shown.metrics,
            self.save_photo: saving(path),
            self.save_label: saving(str(files.label)),
            self.save_pair: saving(str(files.pair)),
        }
        if len(photos) > 1:
            second, other = photos[1].model.name, str(files.photos[1])
            updates[self.second_photo] = gr.Image(other, label=second, visible=True)
            updates[self.slider] = gr.ImageSlider((path, other), label=f"{first} | {second}")
        return updates

    def show_batch(
        self,
        paths: list[str],
        name: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds it by its default
    ) -> tuple[list[str], Any]:
        """Translate files, say which are bad, and show the rest."""
        done = self.actions.batch(paths, name, partial(progress.tqdm, desc="Translating"))
        for problem in done.problems:
            gr.Warning(escape(problem))
        return [str(photo) for photo in done.photos], saving(str(done.zipped))

    def offer_api(self) -> None:
        """Two functions for programs, with no part of the page in their signatures."""
        with gr.Row(visible=False):
            model = gr.Textbox(label="Name of a model; empty: the first of the list")
            one, several = image_input("Label map"), files_input("Label maps")
            photo, zipped = gr.Image(label="Photo", format="png"), gr.File(label="Photos, zipped")
            skipped = gr.JSON(label="Why files were skipped")
            button = gr.Button()
        button.click(
            self.actions.translate_file, [one, model], photo, api_name="translate", **MODEL
        )
        button.click(
            self.actions.translate_files,
            [several, model],
            [zipped, skipped],
            api_name="batch",
            **BATCH,
        )


def saving(path: str) -> gr.DownloadButton:
    """A button that gives this file."""
    return gr.DownloadButton(value=path, interactive=True)


def photo_view(label: str, **settings: Any) -> gr.Image:
    """A photo that can be enlarged and saved."""
    return gr.Image(
        label=label,
        format="png",
        interactive=False,
        buttons=["download", "fullscreen"],
        **settings,
    )


def random_painting() -> str:
    """A new facade for the painter."""
    return to_data_url(draw_facade())


def edit(path: str | None) -> tuple[str, Any]:
    """Bring an upload into the painter."""
    return to_data_url(paintable(path)), gr.Tabs(selected="paint")
