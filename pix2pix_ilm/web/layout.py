"""The page's layout: label maps on the left, photos on the right, words about models beneath."""

from functools import partial
from typing import Any

import gradio as gr

from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.web.comparison import comparison
from pix2pix_ilm.web.model_store import Catalog
from pix2pix_ilm.web.painter import EXAMPLES, draw_facade, encode_drawing, painter, read_asset
from pix2pix_ilm.web.service import VARIATIONS
from pix2pix_ilm.web.uploads import files_input, image_input

FIRST_FACADE = EXAMPLES[0]  # seed of the facade that every visitor finds painted
UPLOAD_ONLY = "Nobody knows the classes of this model's label maps: upload one instead of painting."
NONE = ("none", "")
READ_ONLY: dict[str, Any] = {"format": "png", "interactive": False}
PHOTO: dict[str, Any] = READ_ONLY | {"buttons": ["fullscreen"]}
THUMBNAIL = '<button type="button" aria-label="Show the photo"><img alt=""></button>'
checkbox = partial(gr.Checkbox, container=False)


class Layout:
    """Put all parts of the page in their places, inside of ``gr.Blocks``.

    Args:
        catalog: the models to choose from.
        live: translate after every stroke, unless the visitor decides otherwise.
    """

    def __init__(self, catalog: Catalog, *, live: bool) -> None:
        gr.HTML(read_asset("headline.html"), elem_id="headline")
        with gr.Row(elem_id="workplace"):
            with (
                gr.Column(scale=6, min_width=320, elem_id="inputs"),
                gr.Tabs(elem_id="sources") as self.tabs,
            ):
                with gr.Tab("Paint", id="paint", elem_id="paint-tab") as self.paint_tab:
                    self.lay_out_painter(catalog, live)
                with gr.Tab("Upload", id="upload", elem_id="upload-tab") as self.upload_tab:
                    self.lay_out_upload()
                with gr.Tab("Batch", id="batch", elem_id="batch-tab"):
                    self.lay_out_batch()
            with gr.Column(scale=5, min_width=320, elem_id="results"):
                self.lay_out_models(catalog)
                self.lay_out_photos()
                self.lay_out_batch_photos()
        self.examples = gr.Gallery(
            label="Examples: choose one to go on from",
            columns=len(EXAMPLES) // 2,
            allow_preview=False,
            format="webp",
            interactive=False,
            buttons=[],
            elem_id="examples",
        )
        with gr.Accordion("About the models", open=False, elem_id="about-panel"):
            self.about = gr.HTML(elem_id="about")

    def lay_out_painter(self, catalog: Catalog, live: bool) -> None:
        """Lay out the painter, with the classes of the first model."""
        self.unpaintable = gr.Markdown(UPLOAD_ONLY, visible=False, elem_id="upload-only")
        first = next(iter(catalog.models.values()), None)
        classes = (first and first.painted_classes) or FACADES_PALETTE
        drawing = encode_drawing(draw_facade(FIRST_FACADE)) if classes == FACADES_PALETTE else None
        self.canvas = painter(drawing, classes, elem_id="canvas")
        with gr.Row(elem_id="paint-actions", elem_classes="actions"):
            self.paint_button = gr.Button("Translate", variant="primary", elem_id="translate")
            self.live = checkbox(live, label="Translate after every stroke", elem_id="live")
            gr.HTML(THUMBNAIL, elem_id="thumbnail")  # on phones, where the photo is out of sight

    def lay_out_upload(self) -> None:
        """Lay out the place for a label map from a file."""
        self.upload = image_input("Label map", elem_id="upload", height=420)
        self.snap = checkbox(False, label="Move colors to the nearest class", elem_id="snap")
        with gr.Row(elem_classes="actions"):
            self.upload_button = gr.Button(
                "Translate", variant="primary", elem_id="translate-upload"
            )
            self.edit_button = gr.Button("Edit in the painter", elem_id="edit")
            self.clean = checkbox(True, label="Clean blurred edges", elem_id="clean")

    def lay_out_batch(self) -> None:
        """Lay out the place for many label maps."""
        self.files = files_input("Label maps", elem_id="files", height=320)
        self.batch_button = gr.Button("Translate all", variant="primary", elem_id="translate-batch")

    def lay_out_models(self, catalog: Catalog) -> None:
        """Lay out the choice of models."""
        with gr.Row(elem_id="models"):
            self.model = gr.Dropdown(catalog.choices, label="Model", elem_id="model")
            self.second_model = gr.Dropdown(
                [NONE, *catalog.choices], value="", label="Compare with", elem_id="second"
            )

    def lay_out_photos(self) -> None:
        """Lay out photos, their caption, metrics and files."""
        with gr.Column(elem_id="single"):
            with gr.Tabs(elem_id="views"):
                with gr.Tab("Photo", id="photo"), gr.Column(elem_id="photos"):
                    self.photo = gr.Image(label="Photo", elem_id="photo", **PHOTO)
                    self.second_photo = gr.Image(
                        label="Second", elem_id="second-photo", visible=False, **PHOTO
                    )
                with gr.Tab("Compare", id="compare"):
                    self.slider = comparison(elem_id="slider")
                with gr.Tab("Variations", id="variations"):
                    gr.Markdown(
                        "One label map fits many facades. With dropout, as the original pix2pix "
                        "has it, the model makes others of the same map. How much they differ "
                        "depends on the model: those that come with the program hardly vary.",
                        elem_id="variations-hint",
                    )
                    self.vary_button = gr.Button(f"Draw {VARIATIONS} variations", elem_id="vary")
                    self.variations = gr.Gallery(
                        label="Variations", columns=3, elem_id="variations", **READ_ONLY
                    )
            self.stale = gr.HTML(elem_id="stale")
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
            with gr.Accordion(
                "Measure against a real photo", open=False, elem_id="reference-panel"
            ):
                gr.Markdown(
                    "With the photo that the label map was made from, this tells how far the "
                    "model's is from it.",
                    elem_id="reference-hint",
                )
                self.reference = image_input("Real photo", elem_id="reference", height=240)

    def lay_out_batch_photos(self) -> None:
        """Lay out the photos of many label maps, which stand here while their tab is open."""
        with gr.Column(elem_id="several"):
            self.batch_photos = gr.Gallery(label="Photos", columns=3, elem_id="batch", **READ_ONLY)
            self.batch_zip = gr.DownloadButton(
                "Download all as zip", interactive=False, elem_id="batch-zip"
            )
