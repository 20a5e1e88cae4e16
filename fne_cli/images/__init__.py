"""Finding, labelling, decoding, cropping and batching images. The only room that touches tf.data and Pillow."""
