"""How each block of the documentation is run: one entry per command, and one per block of another language.

A page or an entry that this table lacks fails `tests/docs/test_walk.py`. Every command of platorep must also give a
valid experiment as it stands, whether or not it can be run here.
"""

from __future__ import annotations

from dataclasses import dataclass, field


SMALL = (
    "suite=synthetic",
    "dataset=synthetic",
    "dataset.n=40",
    "only=[tfidf,pixels]",
    "statistics.permutations=19",
    "compute.device=cpu",
    "compute.workers=0",
)
"""Words that make an experiment small; they take the place of words with the same key, or are added."""

REAL = ("dataset.n=100", "statistics.permutations=19", "compute.workers=0")
"""Words that make an experiment of real models small; each entry adds the models."""

PAIRS = "only=[tfidf,minilm_l6,smollm2_135m,smollm2_135m_noise20,smollm2_135m_noise45,lite0,lite0_032px,lite2,pixels]"
"""Few of the offline suite's models, which have what its figures compare."""


@dataclass(frozen=True)
class Run:
    """Run in the page's folder, with these words instead of the page's words of the same key.

    Attributes:
        words: overrides in addition to `SMALL`, or to `REAL` if it takes minutes.
        values: placeholders among the page's words, and what stands in their place.
        plain: as it stands: neither `SMALL` nor `REAL`.
        minutes: by `scripts/test_docs.sh` only.
    """

    words: tuple[str, ...] = ()
    values: dict[str, str] = field(default_factory=dict)
    plain: bool = False
    minutes: bool = False

    @property
    def overrides(self) -> tuple[str, ...]:
        """All words that take the place of the page's."""
        return (*(() if self.plain else REAL if self.minutes else SMALL), *self.words)


@dataclass(frozen=True)
class Composed:
    """Not run, for the reason given; its configuration is composed like that of every command."""

    why: str


@dataclass(frozen=True)
class Python:
    """A Python block, run in the page's folder after `before`, with some of its words replaced.

    Attributes:
        before: statements that make what the page leaves to the reader.
        replacing: words of the page, and what stands in their place.
        module: also written to this file first.
    """

    before: str = ""
    replacing: dict[str, str] = field(default_factory=dict)
    module: str = ""


@dataclass(frozen=True)
class Read:
    """YAML or JSON: written to a file of the page's folder that commands use, or read as the configuration of models.

    Attributes:
        file: name of the file; none for models.
        replacing: words of the page, and what stands in their place.
    """

    file: str = ""
    replacing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Passed:
    """Not run, for the reason given."""

    why: str


Entry = Run | Composed | Python | Read | Passed


def run(*words: str) -> Run:
    """Run on small data."""
    return Run(words)


def as_it_stands(*words: str, **values: str) -> Run:
    """Run without the words that make it small; placeholders have values."""
    return Run(words, values, plain=True)


def later(*words: str) -> Run:
    """Run by `scripts/test_docs.sh`, with real models on 100 pairs."""
    return Run(words, minutes=True)


HUB = Composed("needs the Hub; tests/hub runs such commands against a local server")
TRANSLATE = Composed("needs a run of real models; tests/commands/test_translate.py")
UNITS = Composed("needs a run of real models; tests/commands/test_units.py")
NETWORKS = Composed("trains networks for minutes; tests/training, tests/commands/test_basin.py, test_stitch.py")
PRETRAINED = Composed("minutes of real models; tests/commands/test_stitch_pretrained.py")
STUDY = Composed("minutes of real models; tests/reproduce/test_reproduce.py, tests/studies")
HEAR = Composed("minutes of real models; tests/models/test_hearing.py runs them on few sounds")
MINE = {"/path/to/mine.safetensors": "mine.safetensors"}

ARRAYS = """
import numpy as np
rng = np.random.default_rng(0)
x, y = rng.normal(size=(60, 8)), rng.normal(size=(60, 5))
xs, ys, zs = [x, x[:, :4]], [y, x[:, :3]], [x[:, 2:]]
"""

TABLE = """
from pathlib import Path
from platorep.results.tables import AlignmentTable
table = AlignmentTable.load(p for p in Path("outputs/alignment").glob("*/*.parquet") if ".samples." not in p.name)
"""

SITES = """
import numpy as np
rng = np.random.default_rng(0)
features = rng.normal(size=(48, 5))
responses = features @ rng.normal(size=(5, 3)) + rng.normal(size=(2, 48, 3))
runs, labels = np.repeat(np.arange(6), 8), [f"class {number % 4}" for number in range(48)]
"""

SETUP: dict[str, tuple[str, ...]] = {
    "README.md": (f"run {' '.join(SMALL)} figure=matrix",),
    "docs/figures/README.md": (
        f"run {' '.join(SMALL)} figure=matrix",
        f"run {' '.join(SMALL)} metric=[mutual_knn,cka] figure=matrix",
        f"align {' '.join(SMALL)} metric.mutual_knn.k=[5,20]",
    ),
    "docs/competence.md": (f"extract {' '.join(SMALL)}",),
    "docs/gallery.md": (f"extract {' '.join(SMALL)}",),
    "docs/tables.md": (f"run {' '.join(SMALL)} figure=matrix",),
}
"""Commands that a page takes as given."""

TABLE_OF_BLOCKS: dict[str, dict[str, Entry]] = {
    "README.md": {
        "bash scripts/run.sh": Run((*REAL, "only=[minilm_l6,lite0]"), plain=True, minutes=True),
        "bash scripts/test.sh": Passed("it runs this test"),
        "platorep doctor suite=prh dataset=wit_1024": as_it_stands("suite=synthetic", "dataset=synthetic"),
        "platorep run suite=prh dataset=wit_1024": HUB,
        "platorep extract suite=prh dataset=wit_1024": run(),
        "platorep align suite=prh dataset=wit_1024": run(),
        "platorep plot suite=prh dataset=wit_1024 figure=fig3": run("figure=matrix"),
        "platorep run metric=[mutual_knn,cka] metric.mutual_knn.k=[5,10]": run("figure=matrix"),
        "platorep run only=[minilm_l6,lite0] -q": run("figure=matrix"),
        "platorep plot figure=fig3 style.width=single style.formats=[pdf]": run("figure=matrix"),
        "platorep ls suites": as_it_stands(),
        "platorep reproduce fig9 offline=true": later(PAIRS),
        "platorep reproduce brains offline=true": Composed("the same as in docs/brains.md"),
        "platorep reproduce hear offline=true": HEAR,
        "platorep reproduce coarse offline=true": STUDY,
        "platorep report": run(),
        "platorep table --format csv": as_it_stands(),
        "platorep gallery gallery.queries=128 gallery.sizes=[128,256,700]": run(
            "gallery.queries=20", "gallery.sizes=[20,40]"
        ),
        "platorep units only=[lite0,lite1,lite2]": UNITS,
        "platorep neighbours a violin": Composed("needs the stamps' features; tests/commands/test_neighbours.py"),
        "platorep reproduce dynamics offline=true": Composed("the same as in docs/figures/dynamics.md"),
        "platorep translate": TRANSLATE,
        "platorep basin": NETWORKS,
        "platorep stitch": NETWORKS,
        "platorep competence probe=offline": later("only=[lite0,pixels]", "dataset.n=700"),
        "platorep simulate all": Composed("14 minutes; tests/theory runs every experiment"),
        "platorep store verify": as_it_stands(),
        "platorep run models.mine={modality: vision, source: timm, id: resnet50.a1_in1k, family: resnet}": HUB,
        "platorep run models.mine={modality: language, source: transformers, id: /path/to/checkpoint, family: mine}": (
            run(
                "models.mine={modality: language, source: transformers, id: checkpoint, family: mine}",
                "only=[mine,pixels]",
                "figure=matrix",
            )
        ),
        "platorep run models.mine={modality: vision, source: timm, id: resnet50, asset: {source: path, "
        "id: mine.safetensors}}": run("only=[tfidf,mine]", "figure=matrix", "dataset.n=24"),
        "platorep run --config-dir my_configs suite=mine": run("suite=mine", "only=[words,mine]", "figure=matrix"),
        "platorep run dataset=folder dataset.id=/path/to/pictures": run(
            "dataset=folder", "dataset.id=pictures", "dataset.n=24", "figure=matrix"
        ),
        "platorep run dataset=hub dataset.id=user/dataset dataset.columns.text=caption dataset.n=1024": HUB,
        "import platorep": Python(ARRAYS),
        'outputs = platorep.load("outputs")': Python(
            "import platorep",
            {
                '"lite2", layer=-1': '"pixels", dataset="synthetic"',
                "outputs.translation(), outputs.units(), outputs.brains()": "outputs",
                "outputs.basin(), outputs.stitching()": "outputs",
            },
        ),
    },
    "CONTRIBUTING.md": {
        "bash scripts/test.sh": Passed("it runs this test"),
        "bash scripts/test.sh tests/core": Run(
            values={"tests/core": "tests/core/test_text.py"}, plain=True, minutes=True
        ),
    },
    "docs/architecture.md": {"configs/ ──► cli ──► commands ──► Experiment": Passed("a drawing")},
    "docs/brains.md": {
        "platorep reproduce brains offline=true": later("only=[lite0,pixels,human_it,monkey_it]", "dataset.n=92"),
        "platorep store import rdm.npz --matrix --name v4 --modality brain --dataset NAME": as_it_stands(NAME="brains"),
        "from platorep.brains.confounds import Sites, encoding_table": Python(SITES),
    },
    "docs/competence.md": {
        "platorep competence suite=offline": run(),
        "platorep competence suite=offline corpus=folder corpus.id=texts/": later("only=[smollm2_135m]"),
        "platorep competence suite=prh_downstream corpus=openwebtext": HUB,
        "platorep competence suite=offline probe=offline": Composed("the same as in README.md"),
        "platorep competence suite=prh_downstream scores=[results.json,mine.csv]": run("scores=[mine.csv]"),
    },
    "docs/figures/README.md": {
        "platorep reproduce fig3": HUB,
        "platorep reproduce fig3 offline=true": Composed("the same as in docs/figures/fig3.md"),
        'platorep plot metric=[mutual_knn,cka] figure=matrix figure.matrix.metric="cka(hsic=unbiased,kernel=linear,'
        'sigma=median,similarity=cosine)"': run(),
        'platorep plot metric.mutual_knn.k=[5,20] figure=fig3 figure.fig3.metric="mutual_knn(k=5,similarity=cosine)"': (
            run("figure=matrix", 'figure.matrix.metric="mutual_knn(k=5,similarity=cosine)"', "-figure.fig3.metric")
        ),
        "from pathlib import Path": Python(TABLE),
        '@figure("alignment", "competence")': Passed("a pattern: NAME and what is plotted stand for the reader's"),
    },
    "docs/figures/coarse.md": {
        "platorep reproduce coarse dataset.id=FOLDER": HUB,
        "platorep reproduce coarse offline=true": STUDY,
    },
    "docs/figures/consistency.md": {
        "platorep reproduce consistency": HUB,
        "platorep reproduce consistency offline=true": STUDY,
    },
    "docs/figures/controls.md": {"platorep reproduce controls offline=true": later("only=[minilm_l6,lite0]")},
    "docs/figures/direction.md": {
        "platorep reproduce direction": HUB,
        "platorep reproduce direction offline=true": STUDY,
    },
    "docs/figures/imbalance.md": {
        "platorep reproduce imbalance": HUB,
        "platorep reproduce imbalance offline=true": STUDY,
    },
    "docs/figures/extrapolation.md": {
        "platorep reproduce extrapolation": HUB,
        "platorep reproduce extrapolation offline=true": STUDY,
    },
    "docs/figures/fig10.md": {
        "platorep reproduce fig10": HUB,
        "platorep reproduce fig10 offline=true": later(PAIRS, "metric.cknna.k=[5,50]", "metric.cknna_prh.k=[5,50]"),
    },
    "docs/figures/fig12.md": {
        "platorep reproduce fig12 dataset.id=FOLDER": HUB,
        "platorep reproduce fig12 offline=true": later(
            "only=[lite0,lite0_032px,lite2,pixels]", "metric.cknna.k=[5,50]", "recipe.galleries=[50]"
        ),
    },
    "docs/figures/fig13.md": {
        "platorep reproduce fig13": HUB,
        "platorep reproduce fig14": HUB,
        "platorep reproduce fig13 offline=true": later(PAIRS),
        "platorep reproduce fig14 offline=true": later(PAIRS),
    },
    "docs/figures/fig2.md": {
        "platorep reproduce fig2 dataset.id=FOLDER": HUB,
        "platorep reproduce fig2 offline=true": Composed("its probes take 10 minutes; tests/reproduce draws it"),
    },
    "docs/figures/fig3.md": {
        "platorep reproduce fig3": HUB,
        "platorep reproduce fig3 offline=true": later(PAIRS),
    },
    "docs/figures/fig4.md": {
        "platorep reproduce fig4": HUB,
        "platorep reproduce fig4 offline=true": later(PAIRS),
    },
    "docs/figures/fig9.md": {
        "platorep captions dataset=folder dataset.id=DENSE captions=llama3_8b_instruct": HUB,
        "platorep reproduce fig9 dataset.id=outputs/captions/folder--llama3_8b_instruct": HUB,
        "platorep reproduce fig9 offline=true": Composed("the same as in README.md"),
    },
    "docs/figures/matching.md": {
        "platorep reproduce matching dataset.id=FOLDER": HUB,
        "platorep reproduce matching offline=true": STUDY,
    },
    "docs/figures/n_curve.md": {
        "platorep reproduce n_curve": HUB,
        "platorep reproduce n_curve offline=true": later("only=[minilm_l6,lite0]", "recipe.galleries=[50]"),
    },
    "docs/figures/negatives.md": {
        "platorep reproduce negatives": HUB,
        "platorep reproduce negatives offline=true": STUDY,
    },
    "docs/figures/generated.md": {
        "platorep reproduce generated": HUB,
        "platorep reproduce generated offline=true": STUDY,
        "platorep run only=[smollm2_135m,lite0] span=generated generated.tokens=16 generated.temperature=0.7 "
        "generated.seed=1": Composed("minutes of real models; tests/models/test_continuing.py"),
    },
    "docs/figures/several.md": {
        "platorep reproduce several dataset.id=FOLDER": HUB,
        "platorep reproduce several offline=true": STUDY,
    },
    "docs/figures/dynamics.md": {
        "platorep reproduce dynamics": HUB,
        "platorep reproduce dynamics suite=olmo_steps": HUB,
        "platorep reproduce dynamics offline=true": Composed(
            "trains networks; tests/commands/test_dynamics.py draws it"
        ),
        "models:": Read(),
    },
    "docs/figures/timesteps.md": {
        "python scripts/diffusion_features.py small --root outputs": Passed(
            "minutes of training; tests/extract/test_diffusion_features.py runs it on drawn shapes"
        ),
        "python scripts/diffusion_features.py small --steps 0 --name diffusion_untrained --root outputs": Passed(
            "tests/extract/test_diffusion_features.py"
        ),
        "platorep reproduce timesteps offline=true": Composed("tests/extract/test_diffusion_features.py draws it"),
        "pip install diffusers": Passed("needs a package index; scripts/test_slow.sh installs it and reads a DiT"),
        "python scripts/diffusion_features.py facebook/DiT-XL-2-256 --dataset folder --id FOLDER --device cuda": Passed(
            "needs the Hub; tests/extract/test_diffusion_features.py reads a small DiT"
        ),
        "platorep reproduce timesteps dataset.id=FOLDER": HUB,
    },
    "docs/gallery.md": {
        "platorep gallery suite=prh dataset=hub dataset.id=user/dataset gallery.sizes=[1024,4096,16384] "
        "gallery.queries=1024": HUB,
        "platorep gallery suite=offline dataset=stamps only=[minilm_l6,smollm2_135m,lite0,lite2] "
        "gallery.sizes=[128,256,512,700] gallery.queries=128": run("gallery.sizes=[20,30,40]", "gallery.queries=20"),
        "platorep gallery -m shard=0/4,1/4,2/4,3/4 hydra/launcher=slurm suite=prh dataset=hub "
        "dataset.id=user/dataset": (
            run(
                "hydra/launcher=basic",
                "shard=0/2,1/2",
                "gallery.sizes=[20,40]",
                "gallery.queries=20",
                "-dataset.id",
            )
        ),
    },
    "docs/inputs.md": {
        "platorep run models.mine={modality: vision, source: timm, id: resnet50.a1_in1k, family: resnet}": HUB,
        "platorep run --config-dir my_configs suite=mine": run(
            "suite=mine", "only=[words,mine]", "figure=matrix", "dataset.n=24"
        ),
        "models:": Read(replacing=MINE),
        "# @package _global_": Read("my_configs/suite/mine.yaml", MINE),
        "platorep run metric=[mutual_knn,cknna] metric.mutual_knn.k=[5,10] metric.cknna.k=[10,50]": run(
            "metric.cknna.k=[10,20]", "figure=matrix"
        ),
        '{"file_name": "violin.png", "text": ["a violin", "a brown violin and its bow"]}': Read(
            "violin/metadata.jsonl"
        ),
    },
    "docs/neighbours.md": {
        "platorep neighbours a violin": Composed("needs the stamps' features; tests/commands/test_neighbours.py"),
        "platorep neighbours photo.png only=[lite0,lite2,lite0_random,pixels] --html": Composed(
            "needs the stamps' features; tests/commands/test_neighbours.py"
        ),
        "smollm2_135m                 minilm_l6                         glove_50d": Passed("what a command prints"),
    },
    "docs/own_metrics.md": {
        "from dataclasses import dataclass": Python(module="own.py"),
        "platorep run suite=synthetic dataset=synthetic metric=[mutual_knn,own.RowCorrelation]": run("figure=matrix"),
        "platorep align suite=synthetic dataset=synthetic metric=own.RowCorrelation "
        "metric.RowCorrelation.power=[1,3]": run(),
        "platorep run -m suite=synthetic dataset=synthetic metric=mutual_knn,own.RowCorrelation protocol=prh,heldout": (
            run("figure=matrix")
        ),
        "import numpy as np": Python(),
        "from matplotlib.figure import Figure": Python(module="own.py"),
        "platorep run suite=synthetic dataset=synthetic figure=[matrix,own.dots] figure.dots.colour=darkgreen": run(),
        "platorep plot suite=synthetic dataset=synthetic figure=own.dots style.formats=[pdf,svg]": run(),
        "# my_configs/metric/near.yaml": Read("my_configs/metric/near.yaml"),
        "platorep run --config-dir my_configs suite=synthetic dataset=synthetic metric=near": run("figure=matrix"),
    },
    "docs/report.md": {
        "platorep run suite=offline dataset=stamps": run("figure=matrix"),
        "platorep report suite=offline dataset=stamps": run("figure=matrix"),
    },
    "docs/sound.md": {
        "platorep reproduce hear offline=true": HEAR,
        "platorep reproduce hear offline=true combine=multiply_items": HEAR,
        "platorep reproduce hear offline=true prompt='The sound of {caption}'": HEAR,
        "platorep run suite=offline_sound dataset=spoken dataset.options.language=fr": HEAR,
        "platorep reproduce languages offline=true": HEAR,
    },
    "docs/tables.md": {
        'outputs = platorep.load("outputs")': Passed("tests/results/test_tables_of_runs.py"),
        "from platorep.results.translation import TranslationTable": Passed("tests/results/test_tables_of_runs.py"),
        "platorep table --metric mutual_knn --protocol max": as_it_stands(),
        "platorep table --format csv --out scores.csv": as_it_stands(),
        "platorep run -m metric=mutual_knn,cka hydra/callbacks=mlflow hydra.callbacks.mlflow.uri=file:mlruns": Composed(
            "needs an extra; tests/launchers/test_trackers.py runs it"
        ),
    },
    "docs/theory.md": {
        "platorep simulate gram world=grid": as_it_stands("+experiment.gram.steps=20"),
        "platorep simulate capacity +experiment.capacity.seeds=20": as_it_stands(
            "+experiment.capacity.seeds=2", "+experiment.capacity.steps=10"
        ),
        "platorep simulate all": Composed("14 minutes; tests/theory runs every experiment"),
    },
    "docs/networks.md": {
        "platorep extract suite=fashion dataset=fashion_mnist": NETWORKS,
        "platorep align suite=fashion dataset=fashion_mnist protocol.pairs=within": NETWORKS,
        "platorep basin": NETWORKS,
        "platorep stitch": NETWORKS,
        "platorep reproduce basin offline=true": NETWORKS,
        "platorep reproduce stitching offline=true": NETWORKS,
        "models:": Read(),
        "platorep stitch suite=offline dataset=stamps only=[lite0,lite1,lite0_random] stitching.epochs=3": PRETRAINED,
        "platorep stitch suite=offline dataset=stamps "
        "only=[smollm2_135m,smollm2_135m_noise10,smollm2_135m_random] "
        "stitching.receivers=[smollm2_135m] stitching.pictures=60 stitching.epochs=3": PRETRAINED,
    },
    "docs/translation.md": {
        "platorep translate": TRANSLATE,
        "platorep translate suite=prh dataset=wit_1024 translation.draws=10": TRANSLATE,
        "platorep run models.clip_pictures={modality: vision, source: open_clip, id: ViT-B-32/laion2b_s34b_b79k, "
        "pool: joint} models.clip_texts={modality: language, source: open_clip, id: ViT-B-32/laion2b_s34b_b79k, "
        "pool: joint}": HUB,
        "platorep translate ...": Passed("dots stand for the words of the command above"),
        "from platorep.results.translation import TranslationTable": TRANSLATE,
    },
    "docs/units.md": {
        "platorep units only=[lite0,lite1,lite2,lite0_random,pixels]": UNITS,
        "platorep units only=[smollm2_135m,smollm2_135m_noise10,smollm2_135m_random] units.layers=depth:0.5": UNITS,
        'shares = platorep.load("outputs").units()  # a DataFrame: of every run, with its overrides': UNITS,
    },
}
"""Page -> command, or first line of a block -> how it is run, in the order of the page."""
