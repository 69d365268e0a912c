"""The networks: normalisation layers, the U-Net generator, the PatchGAN discriminator."""
