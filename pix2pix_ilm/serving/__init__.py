"""Trained weights at work: translating images."""
