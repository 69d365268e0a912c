"""pix2pix with Instance-Level Meta Normalization: label maps to photos."""
