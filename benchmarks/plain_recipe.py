"""pix2pix as its usual port writes it: the measure that our training step is compared with.

Eager PyTorch, ``nn.InstanceNorm2d`` or ``nn.BatchNorm2d``, Adam with its defaults, a DataLoader
that decodes a JPEG for every step, all losses read at every step. The package uses nothing of it.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

NORMS = {"in": nn.InstanceNorm2d, "bn": nn.BatchNorm2d}


class UNet(nn.Module):
    """The 8-level U-Net of pix2pix, for 256x256 (or fewer levels)."""

    def __init__(self, ngf: int, depth: int, norm: type[nn.Module]) -> None:
        super().__init__()
        widths = [ngf * min(2**level, 8) for level in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        channels = 3
        for level, width in enumerate(widths):
            normalized = 0 < level < depth - 1
            self.down.append(
                nn.Sequential(
                    *([nn.LeakyReLU(0.2)] if level else []),
                    nn.Conv2d(channels, width, 4, 2, 1),
                    *([norm(width)] if normalized else []),
                )
            )
            channels = width
        for block, width in enumerate(reversed(widths[:-1])):
            self.up.append(
                nn.Sequential(
                    nn.ReLU(),
                    nn.ConvTranspose2d(channels, width, 4, 2, 1),
                    norm(width),
                    *([nn.Dropout(0.5)] if block < 3 else []),
                )
            )
            channels = 2 * width
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(channels, 3, 4, 2, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in self.up:
            x = torch.cat([skips.pop(), up(x)], 1)
        return self.last(x)


def patch_gan(ndf: int, norm: type[nn.Module]) -> nn.Module:
    """Build the 70x70 PatchGAN on label map and photo."""
    layers: list[nn.Module] = [nn.Conv2d(6, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
    for level, stride in ((1, 2), (2, 2), (3, 1)):
        width = ndf * 2**level
        layers += [nn.Conv2d(width // 2, width, 4, stride, 1), norm(width), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(8 * ndf, 1, 4, 1, 1))


class Pairs(Dataset):
    """Side-by-side JPEGs, decoded, resized, cropped and flipped whenever they are asked for."""

    def __init__(self, folder: Path, size: int) -> None:
        self.paths = sorted(folder.iterdir())
        self.size = size
        self.resize = v2.Resize(round(size * 286 / 256), v2.InterpolationMode.BICUBIC)
        self.convert = v2.Compose(
            [
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        both = Image.open(self.paths[index]).convert("RGB")
        middle = both.width // 2
        photo = both.crop((0, 0, middle, both.height))
        label = both.crop((middle, 0, both.width, both.height))
        images = [self.resize(image) for image in (label, photo)]
        window = v2.RandomCrop.get_params(self.convert(images[0]), (self.size, self.size))
        images = [v2.functional.crop(image, *window) for image in images]
        if torch.rand(()) < 0.5:
            images = [v2.functional.horizontal_flip(image) for image in images]
        label, photo = map(self.convert, images)
        return label, photo


class Recipe:
    """One training, a step at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        ngf: int,
        size: int,
        batch_size: int,
        norm: str,
        device: torch.device,
        bf16: bool,
        workers: int,
    ) -> None:
        self.device, self.bf16 = device, bf16
        self.generator = UNet(ngf, size.bit_length() - 1, NORMS[norm]).to(device)
        self.discriminator = patch_gan(ngf, NORMS[norm]).to(device)
        for network in (self.generator, self.discriminator):
            for name, parameter in network.named_parameters():
                if parameter.ndim > 1:
                    nn.init.normal_(parameter, 0.0, 0.02)
                elif name.endswith("bias"):
                    nn.init.zeros_(parameter)
        self.optimizers = [
            torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
            for network in (self.generator, self.discriminator)
        ]
        self.loader = DataLoader(
            Pairs(folder, size),
            batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            drop_last=True,
        )
        self.batches = self.endless()

    def endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def step(self) -> dict[str, float]:
        """Discriminator, then generator; returns the losses as numbers."""
        label, photo = (images.to(self.device) for images in next(self.batches))
        generator_optimizer, discriminator_optimizer = self.optimizers
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            output = self.generator(label)

            self.discriminator.requires_grad_(True)
            discriminator_optimizer.zero_grad()
            loss_fake = judged(self.discriminator(torch.cat([label, output.detach()], 1)), 0.0)
            loss_real = judged(self.discriminator(torch.cat([label, photo], 1)), 1.0)
        ((loss_fake + loss_real) * 0.5).backward()
        discriminator_optimizer.step()

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            self.discriminator.requires_grad_(False)
            generator_optimizer.zero_grad()
            adversarial = judged(self.discriminator(torch.cat([label, output], 1)), 1.0)
            l1 = F.l1_loss(output.float(), photo)
        (adversarial + 100 * l1).backward()
        generator_optimizer.step()
        named = {"fake": loss_fake, "real": loss_real, "adversarial": adversarial, "l1": l1}
        return {name: loss.item() for name, loss in named.items()}


def judged(logits: Tensor, real: float) -> Tensor:
    """Binary cross-entropy of all patches against one answer."""
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))
