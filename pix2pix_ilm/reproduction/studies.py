"""The studies by name: which configurations are compared, and what all their trainings share."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from pix2pix_ilm.errors import SettingError
from pix2pix_ilm.training.config import PRESETS, TrainConfig

ILM = "--generator.norm ilm-in --discriminator.norm ilm-in"
NEUTRAL = "--generator.norm-options.neutral-start --discriminator.norm-options.neutral-start"
NEUTRAL_G, NEUTRAL_D = NEUTRAL.split()
PARTS = {
    "ema": "--ema 0.999",
    "classes": "--label-classes facades",
    "augment": "--augment-discriminator translation cutout",
    "feature-matching": "--feature-matching 10",
    "perceptual": "--perceptual 10",
}
"""The parts of the recipe that go with every norm, as flags."""
ALL = " ".join(PARTS.values())
TEXTURE = "--generator.upsample resize --generator.noise 0.2"


@dataclass(frozen=True, kw_only=True)
class Design:
    """Comparison of a study, as flags of ``pix2pix-ilm train``."""

    preset: str
    shared: str
    """Flags of all trainings, after the preset."""
    arms: Mapping[str, tuple[str, str]]
    """Name of a configuration, in its runs' folders -> its title in tables, and its own flags."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A configuration that is trained with several seeds."""

    name: str
    title: str
    flags: str
    """Its own, of ``pix2pix-ilm train``."""
    config: TrainConfig
    """Its settings; name, folder and seed are each training's."""

    def training(self, folder: Path, seed: int) -> TrainConfig:
        """Return the settings of one of its trainings, whose folder lies in the study's."""
        return replace(self.config, name=f"{self.name}-seed{seed}", checkpoints=folder, seed=seed)


def without(part: str) -> str:
    """Return the flags of all parts but one."""
    return " ".join(flags for name, flags in PARTS.items() if name != part)


NO_ZOOM = f"{without('perceptual')} --perceptual 60 {TEXTURE}"
BEST = f"{NO_ZOOM} --zoom 0.5"
"""The preset best's, beside the norms'."""

NORMS = Design(
    preset="paper",
    shared="--val-split val --image-size 128 --generator.ngf 24 --discriminator.ndf 24 "
    "--epochs 40 --diagnose-every 8 --num-samples 16",
    arms={
        "in-in": ("IN / IN", ""),
        "ilm-in": ("ILM+IN / IN", "--generator.norm ilm-in"),
        "in-ilm": ("IN / ILM+IN", "--discriminator.norm ilm-in"),
        "ilm-ilm": ("ILM+IN / ILM+IN", ILM),
        "neutral-both": ("ILM+IN / ILM+IN, neutral start in both", f"{ILM} {NEUTRAL}"),
        "neutral-generator": ("ILM+IN / ILM+IN, neutral start in G", f"{ILM} {NEUTRAL_G}"),
        "neutral-discriminator": ("ILM+IN / ILM+IN, neutral start in D", f"{ILM} {NEUTRAL_D}"),
        "neutral-ilm-in": (
            "ILM+IN / IN, neutral start",
            f"--generator.norm ilm-in {NEUTRAL_G}",
        ),
        "ilm-ilm-l1-150": ("ILM+IN / ILM+IN, L1 weight 150", f"{ILM} --l1-weight 150"),
        "port-ilm-ilm": (
            "ILM+IN / ILM+IN, as in the port",
            f"{ILM} --generator.conv-bias no --discriminator.conv-bias no "
            "--generator.norm-options.autoencoder-std 0.02 "
            "--discriminator.norm-options.autoencoder-std 0.02",
        ),
        "port-in-in": (
            "IN / IN, as in the port",
            "--generator.norm-options.no-affine --discriminator.norm-options.no-affine",
        ),
    },
)
"""Places and starts of ILM Norm: one seed of each tells those that are worth more."""
WINNER = "neutral-ilm-in"
"""Best SSIM of the screening, with an RMSE and LPIPS near the best of those with ILM Norm."""

STUDIES = {
    "table6": Design(
        preset="paper",
        shared="",
        arms={
            "in-in": ("IN / IN", "--generator.norm in --discriminator.norm in"),
            "ilm-in-in": ("ILM+IN / IN", "--generator.norm ilm-in --discriminator.norm in"),
            "ilm-in-ilm-in": ("ILM+IN / ILM+IN", ILM),
        },
    ),
    "recipe": Design(
        preset="facades",
        shared="--val-split val --image-size 128 --generator.ngf 32 --discriminator.ndf 32 "
        "--epochs 20",
        arms={
            "in": ("IN", ""),
            "ilm": ("ILM+IN", ILM),
            "ilm-neutral": ("ILM+IN, neutral start", f"{ILM} {NEUTRAL}"),
            **{f"in-{name}": (f"IN, {name}", flags) for name, flags in PARTS.items()},
            "in-resize": ("IN, resize", "--generator.upsample resize"),
            "all-in": ("IN, all", ALL),
            "all-ilm": ("ILM+IN, all", f"{ILM} {NEUTRAL} {ALL}"),
            **{
                f"all-ilm-no-{name}": (
                    f"ILM+IN, all but {name}",
                    f"{ILM} {NEUTRAL} {without(name)}",
                )
                for name in PARTS
            },
            "all-ilm-no-neutral": ("ILM+IN, all but neutral start", f"{ILM} {ALL}"),
            "all-ilm-resize": (
                "ILM+IN, all and resize",
                f"{ILM} {NEUTRAL} {ALL} --generator.upsample resize",
            ),
            "all-ilm-noise": ("ILM+IN, all, resize, noise", f"{ILM} {NEUTRAL} {ALL} {TEXTURE}"),
            "best-ilm": ("ILM+IN, best", f"{ILM} {NEUTRAL} {BEST}"),
            "best-ilm-no-zoom": ("ILM+IN, best but zoom", f"{ILM} {NEUTRAL} {NO_ZOOM}"),
            "best-in": ("IN, best", BEST),
            "all-ilm-l1-30": ("ILM+IN, all, L1 weight 30", f"{ILM} {NEUTRAL} {ALL} --l1-weight 30"),
            "all-ilm-color": (
                "ILM+IN, all and color in augment",
                f"{ILM} {NEUTRAL} {without('augment')} "
                "--augment-discriminator color translation cutout",
            ),
        },
    ),
    "norms": NORMS,
    "ilm": replace(
        NORMS, arms={name: NORMS.arms[name] for name in ("in-in", "ilm-in", "ilm-ilm", WINNER)}
    ),
}
"""Name -> design. table6: the ILM Norm paper's; recipe: what each part of our recipe does; norms:
whether and how ILM Norm helps, trained on the paper's 200 pairs and screened on val; ilm: those of
them that are compared over many seeds."""


def make_arms(
    design: Design, data: str, flags: Sequence[str], only: Collection[str] = ()
) -> list[Arm]:
    """Return a study's configurations.

    Args:
        design: the study.
        data: folder of image pairs, or a name as of ``data_folder``.
        flags: of ``pix2pix-ilm train``, for all trainings.
        only: names of the configurations to train; empty: all.

    Raises:
        SettingError: a flag that tells those apart, which their titles would not show.
    """
    for arm, (_, own) in design.arms.items():
        for name in {*flag_names(own.split())} & {*flag_names(flags)}:
            if not only or arm in only:
                raise SettingError("set", f"no {name}, in which {arm} differs", name)
    _, preset = PRESETS[design.preset]
    shared = configure(preset, [*design.shared.split(), *flags, f"--data={data}"])
    return [
        Arm(name=name, title=title, flags=own, config=configure(shared, own.split()))
        for name, (title, own) in design.arms.items()
    ]


def flag_names(flags: Iterable[str]) -> list[str]:
    """Return the settings that flags give: generator.norm for --generator.norm=in."""
    names = [flag[2:].partition("=")[0] for flag in flags if flag.startswith("--")]
    return [re.sub(r"(^|\.)no-", r"\1", name.replace("_", "-")) for name in names]


def configure(default: TrainConfig, flags: Sequence[str]) -> TrainConfig:
    """Return settings that flags of ``pix2pix-ilm train`` change; bad ones end the program."""
    prog = "pix2pix-ilm reproduce --set"
    return tyro.cli(TrainConfig, prog=prog, args=list(flags), default=default)
