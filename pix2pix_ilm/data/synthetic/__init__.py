"""Drawn facades: label maps and photos in the form of CMP Facades, without its images."""
