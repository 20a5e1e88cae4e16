"""Train the embedded network `mini` on CIFAR-10 and write its weights.

    python scripts/train_mini.py TRAIN.tar TEST.tar fne_cli/networks/mini.npz

The tar files hold `<split>/<class>/*.jpg`. First every weight layer is followed by batch normalisation, which is then
folded into the layer's kernel and bias: that leaves exactly the plain VGG of `fne_cli/networks/mini.py`. The last
epochs train that plain network, at a low rate; `--begin WEIGHTS.npz --epochs 0` does only those. The test images are
looked at once, after the last epoch: no epoch is chosen by them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on AMD; halves the time of a step

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image

from fne_cli.networks import mini

BATCH = 128
PAD = 4
EPSILON = 1e-3


def read_tar(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) uint8 and class indices (n,) of a tar of class folders."""
    images, labels = [], []
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            if member.isreg():
                content = archive.extractfile(member)
                assert content is not None
                images.append(np.asarray(Image.open(io.BytesIO(content.read())).convert("RGB")))
                labels.append(mini.CLASSES.index(Path(member.name).parent.name))
    return np.stack(images), np.array(labels)


def normalised_twin(plain: keras.Model, dropout: float) -> keras.Model:
    """The network to train: `plain`'s layers without activation, each followed by batch normalisation and ReLU."""
    x = images = keras.Input(plain.input_shape[1:])
    for layer in plain.layers[1:]:
        config = layer.get_config()
        if layer.name == plain.layers[-1].name:
            x = layers.Dense(**{**config, "activation": "linear"})(x)
        elif layer.weights:
            config |= {"activation": "linear", "use_bias": False}
            x = type(layer).from_config(config)(x)
            x = layers.BatchNormalization(epsilon=EPSILON, momentum=0.98, name=f"{layer.name}_bn")(x)
            x = layers.ReLU(name=f"{layer.name}_relu")(x)
            if layer.name.startswith("fc"):
                x = layers.Dropout(dropout, name=f"{layer.name}_dropout")(x)
        else:
            x = type(layer).from_config(config)(x)
    return keras.Model(images, x)


def fold(trained: keras.Model, plain: keras.Model) -> None:
    """Write `trained`'s weights into `plain`, batch normalisation folded into kernel and bias."""
    for layer in plain.layers:
        if not layer.weights:
            continue
        kernel, *bias = trained.get_layer(layer.name).get_weights()
        if layer.name == plain.layers[-1].name:
            layer.set_weights([kernel, bias[0]])
            continue
        gamma, beta, mean, variance = trained.get_layer(f"{layer.name}_bn").get_weights()
        scale = gamma / np.sqrt(variance + EPSILON)
        layer.set_weights([kernel * scale, beta - mean * scale])


def augmented_batches(
    images: np.ndarray, labels: np.ndarray, random: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled batches, each image shifted by up to PAD pixels and mirrored at random."""
    padded = np.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (32, 32), axis=(1, 2))
    order = random.permutation(len(images))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        rows = order[start : start + BATCH]
        down, right = random.integers(0, 2 * PAD + 1, (2, BATCH))
        batch = windows[rows, down, right].transpose(0, 2, 3, 1)
        mirrored = random.random(BATCH) < 0.5
        batch[mirrored] = batch[mirrored, :, ::-1]
        yield batch.astype(np.float32) / 127.5 - 1, labels[rows]


def with_dropout(plain: keras.Model, dropout: float) -> keras.Model:
    """`plain` with dropout behind its hidden dense layers and logits at its end; the weights are shared."""
    x = plain.get_layer("flatten").output
    for name in ("fc1", "fc2"):
        x = layers.Dropout(dropout)(plain.get_layer(name)(x))
    kernel, bias = plain.layers[-1].weights
    return keras.Model(plain.input, layers.Lambda(lambda rows: keras.ops.matmul(rows, kernel) + bias)(x))


def train(
    network: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    random: np.random.Generator,
    epochs: int,
    peak: float,
    decay: float,
    limit: int | None,
) -> None:
    """Stochastic gradient descent with momentum, a linear start and a cosine to zero; prints a line for each epoch."""
    steps = epochs * (len(images) // BATCH)
    warm = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps - warm, warmup_target=peak, warmup_steps=warm)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = network.trainable_weights
    kernels = [weight for weight in weights if weight.name == "kernel"]

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def step(batch: tf.Tensor, truth: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            scores = network(batch, training=True)
            penalty = tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
            value = loss(truth, scores)
            total = value + decay * penalty
        optimizer.apply(tape.gradient(total, weights), weights)
        right = tf.cast(tf.argmax(scores, 1) == truth, tf.float32)
        return value, tf.reduce_mean(right)

    began = time.perf_counter()
    for epoch in range(epochs):
        figures = []
        for batch, truth in augmented_batches(images, labels, random):
            figures.append(step(tf.constant(batch), tf.constant(truth)))
            if len(figures) == limit:
                break
        value, right = np.mean(figures, axis=0)
        seconds = time.perf_counter() - began
        print(f"epoch {epoch + 1}: loss {value:.4f}, training accuracy {right:.4f}, {seconds:.0f} s", flush=True)


def accuracy(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    scores = model.predict(images.astype(np.float32) / 127.5 - 1, batch_size=500, verbose=0)
    return float((scores.argmax(1) == labels).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rate", type=float, default=0.1, help="peak learning rate")
    parser.add_argument("--decay", type=float, default=5e-4, help="weight decay")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--begin", type=Path, help="weights to begin with, instead of random ones")
    parser.add_argument("--last-epochs", type=int, default=8, help="epochs of the plain network at the end")
    parser.add_argument("--last-rate", type=float, default=0.002)
    parser.add_argument("--last-dropout", type=float, default=0.3)
    parser.add_argument("--limit", type=int, help="batches in an epoch (to try the script out)")
    options = parser.parse_args()

    keras.utils.set_random_seed(options.seed)
    random = np.random.default_rng(options.seed)
    images, labels = read_tar(options.train)
    test_images, test_labels = read_tar(options.test)
    plain = mini.build()
    began = time.perf_counter()
    if options.begin:
        with np.load(options.begin, allow_pickle=False) as arrays:
            for layer in plain.layers:
                if layer.weights:
                    parts = [arrays[f"{layer.name}/{part}"] for part in ("kernel", "bias")]
                    layer.set_weights([part.astype(np.float32) for part in parts])
    if options.epochs:
        network = normalised_twin(plain, options.dropout)
        train(network, images, labels, random, options.epochs, options.rate, options.decay, options.limit)
        fold(network, plain)
    if options.last_epochs:
        logits = with_dropout(plain, options.last_dropout)
        train(logits, images, labels, random, options.last_epochs, options.last_rate, options.decay, options.limit)

    arrays = {}
    for layer in plain.layers:
        for part, weight in zip(("kernel", "bias"), layer.get_weights(), strict=False):
            arrays[f"{layer.name}/{part}"] = weight.astype(np.float16)
    np.savez_compressed(options.output, allow_pickle=False, **arrays)
    folded = accuracy(plain, test_images, test_labels)
    for layer in plain.layers:
        layer.set_weights([weight.astype(np.float16).astype(np.float32) for weight in layer.get_weights()])
    result = {
        "epochs": [options.epochs, options.last_epochs],
        "seconds": round(time.perf_counter() - began),
        "test_accuracy": accuracy(plain, test_images, test_labels),
        "test_accuracy_before_rounding_to_float16": folded,
        "training_accuracy_without_augmentation": accuracy(plain, images, labels),
        "parameters": plain.count_params(),
        "sha256": hashlib.sha256(options.output.read_bytes()).hexdigest(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
