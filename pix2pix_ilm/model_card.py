"""The model card of a trained generator, and its picture."""

from pathlib import Path

import numpy as np
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from pix2pix_ilm.checkpoints import ModelConfig
from pix2pix_ilm.data.datasets import FACADES_DATA
from pix2pix_ilm.data.palette import FACADES_PALETTE
from pix2pix_ilm.data.synthetic.dataset import draw_pair
from pix2pix_ilm.evaluation.record import RecordedMetrics
from pix2pix_ilm.evaluation.scores import configuration_title
from pix2pix_ilm.models.generator import UNetGenerator
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.templates import render

CARD_FILE = "README.md"
PICTURE = "facades.png"
METRICS = {"rmse_rgb": "RMSE (RGB)", "lpips": "LPIPS", "ssim": "SSIM"}
LIBRARY = "pix2pix-ilm"
"""As the hub knows it."""
CARD_MARK = f"library_name: {LIBRARY}".encode()
"""A line of every card."""
TEXT = Path(__file__).parent / "assets" / "model_card.md"


def model_card(model_config: ModelConfig, record: RecordedMetrics | None) -> ModelCard:
    """Return the card: what the generator is, how good it is, and whom to cite."""
    card = card_data(model_config, record).to_yaml()
    return ModelCard(f"---\n{card}\n---\n{card_text(model_config, record)}")


def card_data(model_config: ModelConfig, record: RecordedMetrics | None) -> ModelCardData:
    """Return what the hub's search knows of the model."""
    title = f"pix2pix {configuration_title(model_config)}"
    results = [
        EvalResult(
            task_type="image-to-image",
            dataset_type="image-pairs",
            dataset_name=str(record.protocol.get("data", model_config.data_name)),
            dataset_split=str(record.protocol.get("split", "")),
            metric_type=name,
            metric_name=title,
            metric_value=round(record.metrics[name].mean, 4),
        )
        for name, title in METRICS.items()
        if record and name in record.metrics
    ]
    return ModelCardData(
        license="mit",
        library_name=LIBRARY,
        pipeline_tag="image-to-image",
        tags=["pix2pix", "ilm-norm"],
        datasets=[model_config.data_name],
        model_name=title,
        eval_results=results or None,
    )


def card_text(model_config: ModelConfig, record: RecordedMetrics | None) -> str:
    """Return the card in Markdown, beneath what the hub's search reads."""
    name = model_config.data_name
    found = record.metrics if record else {}
    return render(
        TEXT,
        title=f"pix2pix {configuration_title(model_config)}",
        norms=configuration_title(model_config),
        size=model_config.image_size,
        facades=name == "facades",
        data="CMP Facades" if name == "facades" else f"`{name}`",
        makes_labels=name in FACADES_DATA and not model_config.reads_facades,
        steps=model_config.step,
        picture=PICTURE if can_draw_label_maps(model_config) else None,
        metrics={title: found[name] for name, title in METRICS.items() if name in found},
        protocol=record.protocol if record else {},
    )


def can_draw_label_maps(model_config: ModelConfig) -> bool:
    """Return True if the project can draw label maps as the generator was trained on."""
    generator, palette = model_config.generator, model_config.palette
    known = palette == FACADES_PALETTE or (palette is None and generator.in_channels == 3)
    return known and generator.out_channels == 3 and model_config.reads_facades


def picture(generator: UNetGenerator, model_config: ModelConfig) -> np.ndarray:
    """Draw label maps above the generator's photos of them: (2 size, 4 size, 3) uint8."""
    label_maps = [draw_pair(seed, model_config.image_size)[0] for seed in range(4)]
    device = next(generator.parameters()).device
    photos = Translator(generator, model_config, device)(label_maps)
    return np.vstack([np.hstack(label_maps), np.hstack(photos)])
