"""The web page: paint a label map, see the photo."""
