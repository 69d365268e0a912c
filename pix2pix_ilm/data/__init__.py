"""Files of image pairs, and the batches drawn from them."""
