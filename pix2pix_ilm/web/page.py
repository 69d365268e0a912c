"""The page: the actions behind its events."""

from functools import partial
from html import escape
from typing import Any

import gradio as gr

from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.web.comparison import compared
from pix2pix_ilm.web.downloads import save_label_map
from pix2pix_ilm.web.error_handlers import QuietBlocks
from pix2pix_ilm.web.layout import NONE, Layout
from pix2pix_ilm.web.model_cards import describe
from pix2pix_ilm.web.painter import (
    EXAMPLES,
    decode_drawing,
    draw_facade,
    encode_drawing,
    fit_to_canvas,
    painter_props,
)
from pix2pix_ilm.web.service import TranslationRequest, TranslationService
from pix2pix_ilm.web.uploads import RGBImage, files_input, image_input, read_label_map

STALE = "<b>The painting has changed</b> since this photo was made."
OPEN_SOURCE = "(source, ...inputs) => [window.openSource(), ...inputs]"
OPEN_PAINTING = "(source, ...inputs) => [window.openPainting(), ...inputs]"
CHOSEN_SOURCE = "(source, ...inputs) => [window.chosenSource(), ...inputs]"
OPEN_PAINTER = "() => window.openTab('paint', { from: ['upload', 'batch'] })"
FROM_UPLOAD_TO_PAINTER = "() => window.openTab('paint', { from: ['upload'] })"
FROM_PAINTER_TO_UPLOAD = (
    "(paintable) => window.openTab('upload', { from: paintable ? [] : ['paint'] })"
)
Event = dict[str, Any]
"""Arguments for a component's listener."""
MODEL: Event = {"concurrency_id": "model", "concurrency_limit": 1}
BATCH: Event = {"concurrency_id": "batch", "concurrency_limit": 1}
PRIVATE: Event = {"api_visibility": "private"}
UNSEEN: Event = PRIVATE | {"show_progress": "hidden"}
MAKE_ROOM: Event = {"fn": None, "js": "() => window.makeRoom()"}
Updates = dict[Any, Any]


class Page(Layout):
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
            super().__init__(self.store.catalog, live=live)
            self.offer_api()  # first, or Gradio gives its names to functions of the page
            self.connect()

    def connect(self) -> None:
        """Connect events to actions."""
        with gr.Row(visible=False):
            self.source = gr.Textbox()  # filled by the browser, which knows the open tab
            self.paintable = gr.Checkbox(True)
        self.inputs = {  # the fields of a TranslationRequest, but for its source
            "drawing": self.canvas,
            "upload": self.upload,
            "snap": self.snap,
            "model": self.model,
            "second_model": self.second_model,
            "reference": self.reference,
        }
        outputs = [
            self.photo, self.second_photo, self.slider, self.stale, self.caption, self.metrics,
            self.variations, self.save_photo, self.save_label_map, self.save_pair,
        ]  # fmt: skip
        event: Event = {
            "outputs": outputs,
            "show_progress_on": [self.photo, self.second_photo, self.slider],
            **MODEL,
            **PRIVATE,
        }
        again: Event = event | self.of_source(OPEN_SOURCE) | {"fn": self.show_possible}
        painting: Event = again | {"js": OPEN_PAINTING}
        self.connect_arrival(painting)
        self.connect_painter(event, painting)
        self.connect_upload(event, again, painting)
        self.connect_choices(again)
        self.connect_others()

    def of_source(self, js: str) -> Event:
        """Return the inputs of an action for what the browser names: the open tab, or none."""
        return {"inputs_kwargs": {"source": self.source, **self.inputs}, "js": js}

    def in_browser(self, js: str) -> Event:
        """Return the action of opening a tab: only the browser knows where the visitor is then."""
        return {"fn": None, "outputs": self.tabs, "js": js, **UNSEEN}

    @property
    def place(self) -> list[Any]:
        """Return the components that depend on the classes which the chosen model knows."""
        return [
            self.canvas, self.unpaintable, self.paint_button, self.edit_button, self.paintable,
            self.examples,
        ]  # fmt: skip

    @property
    def leave_painter(self) -> Event:
        """Return the action of leaving the painter where nothing can be painted."""
        return self.in_browser(FROM_PAINTER_TO_UPLOAD) | {"inputs": self.paintable}

    def connect_arrival(self, painting: Event) -> None:
        """Show a visitor who arrives the models that are there, a photo, and the examples."""
        arrival = [self.model, self.second_model, self.about, *self.place]
        arrived = self.blocks.load(self.show_models, None, arrival, **UNSEEN)
        arrived.then(**self.leave_painter).then(**painting).then(
            self.service.draw_examples, None, self.examples, **MODEL, **UNSEEN
        )

    def connect_painter(self, event: Event, painting: Event) -> None:
        """Translate what is painted, and whatever comes into the painter."""
        stroke: Event = {
            "fn": self.show_stroke,
            "inputs_kwargs": {"live": self.live, **self.inputs},
            "trigger_mode": "always_last",
        }
        self.canvas.input(**event | stroke)
        self.paint_button.click(**event | self.translation_of("paint"))
        self.canvas.link(**painting)
        self.canvas.random(lambda: encode_drawing(draw_facade()), None, self.canvas, **UNSEEN).then(
            **painting
        )
        self.examples.select(**self.in_browser(OPEN_PAINTER))
        self.examples.select(take_example, None, self.canvas, **UNSEEN).then(**painting)

    def connect_upload(self, event: Event, again: Event, painting: Event) -> None:
        """Translate what is uploaded, or bring it into the painter."""
        translate = event | self.translation_of("upload")
        self.upload_button.click(**translate)
        self.upload.upload(**translate).failure(**MAKE_ROOM)
        self.snap.input(**again)
        edited = self.edit_button.click(
            self.edit_upload, [self.upload, self.clean, self.model], self.canvas, **UNSEEN
        )
        edited.success(**self.in_browser(FROM_UPLOAD_TO_PAINTER)).then(**painting)

    def translation_of(self, tab: str) -> Event:
        """Return the action of translating what a tab holds, whichever is open."""
        return {"fn": partial(self.show_translation, tab), "inputs_kwargs": self.inputs}

    def connect_choices(self, again: Event) -> None:
        """Translate again what the open tab holds, after the choice of a tab or a model."""
        on_choice: Event = again | {"js": CHOSEN_SOURCE}
        for tab in (self.paint_tab, self.upload_tab):
            tab.select(**on_choice)
        # (A list's "input" comes twice for a choice by mouse, and "select" never by keyboard.)
        chosen_model = self.model.change(self.show_painter, self.model, self.place, **UNSEEN)
        chosen_model.then(**self.leave_painter).then(**again)
        for chosen in (self.second_model, self.reference):
            chosen.change(**again).failure(**MAKE_ROOM)

    def connect_others(self) -> None:
        """Draw variations, and translate many files."""
        of_open_tab = self.of_source(OPEN_SOURCE)
        self.vary_button.click(
            self.show_variations, outputs=self.variations, **of_open_tab, **MODEL, **PRIVATE
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
            self.about: describe(catalog.models.values()),
            **self.show_painter(first),
        }

    def show_painter(self, name: str | None) -> Updates:
        """Offer the classes that a model knows; without any, uploads alone."""
        model = self.store.catalog.models.get(name or "")
        palette = model.painted_classes if model else FACADES_PALETTE
        known = palette is not None
        shown = {
            self.unpaintable: gr.Markdown(visible=not known),
            self.paint_button: gr.Button(interactive=known),
            self.edit_button: gr.Button(interactive=known),
            self.paintable: known,
            self.examples: gr.Gallery(visible=palette == FACADES_PALETTE),
        }
        if palette is not None:
            shown[self.canvas] = gr.HTML(**painter_props(palette))
        return shown

    def edit_upload(self, path: str | None, clean: bool, name: str | None) -> str:
        """Bring an upload into the painter, as the chosen model reads it."""
        model = self.store.get(name)
        label_map = read_label_map(path, model.config.palette)
        classes = model.painted_classes or FACADES_PALETTE
        return encode_drawing(fit_to_canvas(label_map, classes, clean=clean))

    def show_possible(self, source: str, **inputs: Any) -> Updates:
        """Translate what is painted or uploaded, if it is there and the model can take it."""
        model = self.store.catalog.models.get(inputs["model"] or "")
        paintable = model is None or model.painted_classes
        given = inputs["upload"] if source == "upload" else source == "paint" and paintable
        if not given:
            return gr.skip()
        return self.show_translation(source, **inputs)

    def show_stroke(self, live: bool, **inputs: Any) -> Updates:
        """Translate what is painted, if the visitor wants that after every stroke; or mark it."""
        if live:
            return self.show_possible("paint", **inputs)
        label_map = save_label_map(decode_drawing(inputs["drawing"]))
        return {
            self.stale: STALE,
            self.variations: None,
            self.save_label_map: download_button(str(label_map)),
            self.save_pair: gr.DownloadButton(interactive=False),
        }

    def show_translation(self, source: str, **inputs: Any) -> Updates:
        """Translate what is painted or uploaded, and show it."""
        translation = self.service.translate(TranslationRequest(source=source, **inputs))
        photos, downloads = translation.photos, translation.downloads
        names = [photo.model.name for photo in photos]
        shown = list(zip(names, downloads.photos, strict=True))
        updates = {
            self.photo: gr.Image(str(downloads.photos[0]), label=names[0]),
            self.second_photo: gr.Image(visible=False),
            self.slider: compared(("Label map", downloads.label_map), shown[0]),
            self.stale: "",
            self.caption: translation.caption,
            self.metrics: translation.metrics,
            self.variations: None,
            self.save_photo: download_button(str(downloads.photos[0])),
            self.save_label_map: download_button(str(downloads.label_map)),
            self.save_pair: download_button(str(downloads.pair)),
        }
        if len(photos) > 1:
            second = gr.Image(str(downloads.photos[1]), label=names[1], visible=True)
            updates |= {self.second_photo: second, self.slider: compared(*shown)}
        return updates

    def show_variations(self, source: str, **inputs: Any) -> list[RGBImage]:
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


def take_example(event: gr.SelectData) -> str:
    """Bring an example into the painter."""
    return encode_drawing(draw_facade(EXAMPLES[event.index]))
