"""What a person brings to `first_afternoon.sh`: pictures with captions, a network trained on them, and features."""

import csv
import itertools
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from timm.data import create_transform, resolve_model_data_config

from platorep.data.synthetic import COLOURS, PLACES, SHAPES, SIZES, draw


def drawn_pictures(folder, count):
    """Drawings of single shapes, and a caption of each, in `metadata.csv`."""
    kinds = list(itertools.product(SIZES, COLOURS, SHAPES, PLACES))
    chosen = [kinds[number] for number in np.random.default_rng(0).permutation(len(kinds))[:count]]
    folder.mkdir(exist_ok=True)
    pictures = []
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "text"])
        for number, (size, colour, shape, place) in enumerate(chosen):
            picture = draw(size, colour, shape, place, str(number))
            picture.save(folder / f"{number:03d}.png")
            rows.writerow([f"{number:03d}.png", f"a {size} {colour} {shape}, {place}"])
            pictures.append(picture)
    labels = [list(COLOURS).index(colour) for _, colour, _, _ in chosen]
    return pictures, torch.tensor(labels)


def trained_network(pictures, labels, steps):
    """A network that learns to name the colours of half of the pictures, and the share of the others that it names."""
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", num_classes=int(labels.max()) + 1)
    transform = create_transform(**resolve_model_data_config(network), is_training=False)
    batch = torch.stack([transform(picture) for picture in pictures])
    half = len(pictures) // 2
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(network(batch[:half]), labels[:half])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    with torch.no_grad():
        right = (network(batch[half:]).argmax(1) == labels[half:]).double().mean().item()
    return network, right


def histograms(pictures):
    """Colour histograms in 4 and in 8 levels per channel, as two layers."""
    values = [np.asarray(picture.convert("RGB")).reshape(-1, 3) for picture in pictures]
    return {f"levels{n}": np.stack([np.histogramdd(v, n, [(0, 256)] * 3)[0].ravel() for v in values]) for n in (4, 8)}


if __name__ == "__main__":
    pictures, labels = drawn_pictures(Path("pictures"), 120)
    network, right = trained_network(pictures, labels, 40)
    print(f"the network names {right:.0%} of the colours that it has not seen")
    save_file(network.state_dict(), "mine.safetensors")
    np.savez("histograms.npz", ids=np.array([f"{n:03d}.png" for n in range(len(pictures))]), **histograms(pictures))
