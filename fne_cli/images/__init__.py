"""Finding, labelling, decoding, cropping and batching images. The only room that touches Pillow."""
