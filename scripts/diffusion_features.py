"""Features of a diffusion transformer at many timesteps, imported as the layers block.00/t=0.10, block.01/t=0.10, ...

python scripts/diffusion_features.py small --dataset stamps                  trains a small one on the pictures first
python scripts/diffusion_features.py facebook/DiT-XL-2-256 --dataset folder --id FOLDER     needs diffusers

A picture is noised to level t (0 is the picture, 1 is noise) and run through the model once, without a class. The
outputs of every block are averaged over tokens. Each picture has one draw of noise, the same at all timesteps.
`platorep reproduce timesteps` scores these layers against other vision models.
"""

import argparse
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from timm.models.vision_transformer import Block
from torch import nn

from platorep.commands.pairs import named_dataset
from platorep.core.store import FeatureStore
from platorep.data import open_dataset
from platorep.extract.imports import store_import


log = logging.getLogger("diffusion_features")
TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
SIDE, PATCH, WIDTH, DEPTH, HEADS = 32, 4, 96, 6, 4


class Diffusion(NamedTuple):
    """A diffusion model: from pictures to clean inputs, from inputs and noise to level t, one run, and its blocks."""

    inputs: Callable[[Sequence[Any]], torch.Tensor]
    noised: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
    run: Callable[[torch.Tensor, float], Any]
    blocks: Sequence[nn.Module]


class SmallTransformer(nn.Module):
    """A diffusion transformer on pixels: patches, positions, time, blocks; predicts noise less picture."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (SIDE // PATCH) ** 2, WIDTH))
        self.time = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS) for _ in range(DEPTH))
        self.out = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * PATCH * PATCH))

    def forward(self, pictures: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Predicted velocities of pictures (batch, 3, SIDE, SIDE) at times (batch,)."""
        waves = 1000 * times[:, None] * torch.exp(-math.log(10_000) * torch.arange(WIDTH // 2) / (WIDTH // 2))
        time = self.time(torch.cat([waves.sin(), waves.cos()], dim=1))
        tokens = self.patches(pictures).flatten(2).transpose(1, 2) + self.positions + time[:, None]
        for block in self.blocks:
            tokens = block(tokens)
        return nn.functional.fold(self.out(tokens).transpose(1, 2), (SIDE, SIDE), PATCH, stride=PATCH)


def pixels(pictures: Sequence[Any], side: int) -> torch.Tensor:
    """Pictures in [-1, 1], shape (batch, 3, side, side): resized by the shorter side and cropped centrally."""
    transform = timm.data.create_transform((3, side, side), crop_pct=1.0, mean=(0.5,) * 3, std=(0.5,) * 3)
    return torch.stack([transform(picture.convert("RGB")) for picture in pictures])


def small(pictures: torch.Tensor, steps: int, seed: int = 0, batch: int = 32) -> SmallTransformer:
    """A small transformer after `steps` steps of flow matching on the pictures; 0 steps leave it untrained."""
    torch.manual_seed(seed)
    model = SmallTransformer()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=max(steps, 2))
    for step in range(steps):
        clean = pictures[torch.randint(len(pictures), (batch,))]
        noise, times = torch.randn_like(clean), torch.rand(batch)
        mixed = torch.lerp(clean, noise, times[:, None, None, None])
        loss = nn.functional.mse_loss(model(mixed, times), noise - clean)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            log.info("step %d: loss %.3f", step + 1, loss.item())
    return model.eval()


def of_small(model: SmallTransformer) -> Diffusion:
    """The parts of the small transformer. Level t mixes (1 - t) picture and t noise, as in SiT."""

    def run(mixed: torch.Tensor, t: float) -> Any:
        return model(mixed, torch.full((len(mixed),), t))

    return Diffusion(lambda pictures: pixels(pictures, SIDE), torch.lerp, run, list(model.blocks))


def of_diffusers(folder: str, device: str) -> Diffusion:
    """The parts of a DiT of diffusers; t is a share of its training timesteps, and the class is the null one."""
    from diffusers import AutoencoderKL, DDPMScheduler, DiTTransformer2DModel

    model = DiTTransformer2DModel.from_pretrained(folder, subfolder="transformer").to(device).eval()
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae").to(device).eval()
    scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
    null, shrink = model.config.num_embeds_ada_norm, 2 ** (len(vae.config.block_out_channels) - 1)

    def steps(t: float, count: int) -> torch.Tensor:
        return torch.full((count,), round(t * (scheduler.config.num_train_timesteps - 1)), device=device)

    def inputs(pictures: Sequence[Any]) -> torch.Tensor:
        encoded = vae.encode(pixels(pictures, model.config.sample_size * shrink).to(device)).latent_dist
        return encoded.mean * vae.config.scaling_factor

    def noised(clean: torch.Tensor, noise: torch.Tensor, t: float) -> torch.Tensor:
        return scheduler.add_noise(clean, noise, steps(t, len(clean)))

    def run(mixed: torch.Tensor, t: float) -> Any:
        return model(mixed, timestep=steps(t, len(mixed)), class_labels=torch.full((len(mixed),), null, device=device))

    return Diffusion(inputs, noised, run, list(model.transformer_blocks))


@torch.inference_mode()
def features(
    model: Diffusion, picture: Callable[[int], Any], n: int, times: Sequence[float], seed: int = 0, batch: int = 32
) -> dict[str, np.ndarray]:
    """Mean tokens of every block at every level of noise, shape (n, width) each, by the layer's name."""
    layers: dict[str, list[torch.Tensor]] = {}
    seen: list[torch.Tensor] = []
    hooks = [
        block.register_forward_hook(lambda _m, _i, out: seen.append(out.float().mean(1))) for block in model.blocks
    ]
    noise = torch.Generator().manual_seed(seed)
    try:
        for start in range(0, n, batch):
            clean = model.inputs([picture(i) for i in range(start, min(start + batch, n))])
            draw = torch.stack([torch.randn(clean.shape[1:], generator=noise) for _ in clean]).to(clean.device)
            for t in times:
                seen.clear()
                model.run(model.noised(clean, draw, t), t)
                for number, states in enumerate(seen):
                    layers.setdefault(f"block.{number:02d}/t={t:.2f}", []).append(states.cpu())
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(parts).numpy() for name, parts in sorted(layers.items(), key=_by_time)}


def _by_time(item: tuple[str, Any]) -> list[str]:
    return item[0].split("/")[::-1]


def main() -> None:
    """Reads the arguments, computes the features and imports them."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("model", help="small, or a repository or folder of a DiT of diffusers")
    words.add_argument("--dataset", default="stamps", help="a name in configs/dataset")
    words.add_argument("--id", default=None, help="the dataset's id, such as a folder")
    words.add_argument("--n", type=int, default=None, help="the first pictures only")
    words.add_argument("--times", type=float, nargs="+", default=TIMES)
    words.add_argument("--steps", type=int, default=200, help="training steps of the small one; 0: untrained")
    words.add_argument("--name", default="diffusion", help="of the model in tables, and of the file")
    words.add_argument("--root", type=Path, default=Path("outputs"))
    words.add_argument("--device", default="cpu", help="of a DiT")
    given = words.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    spec = named_dataset(given.dataset).replace(n=given.n)
    pairs = open_dataset(spec if given.id is None else spec.replace(id=given.id))
    if given.model == "small":
        pictures = torch.cat([pixels([pairs.picture(i)], SIDE) for i in range(len(pairs))])
        model = of_small(small(pictures, given.steps))
    else:
        model = of_diffusers(given.model, given.device)
    layers = features(model, pairs.picture, len(pairs), given.times)
    given.root.mkdir(parents=True, exist_ok=True)
    file = given.root / f"{given.name}.npz"
    np.savez(file, **layers, ids=np.array(pairs.samples.ids))
    store = FeatureStore(given.root / "features")
    store.write_samples(pairs.spec, pairs.samples)
    made = store_import(file, store=store, dataset=pairs.spec, name=given.name, modality="vision", family="diffusion")
    log.info("%d layers in %s", len(made.layers), made.path)


if __name__ == "__main__":
    main()
