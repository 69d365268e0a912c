"""The networks: normalization layers, the U-Net generator, the PatchGAN discriminator."""
