"""Every figure of the paper from one command, on drawn shapes and small models; the numbers behind each are checked."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from platorep import cli
from platorep.align import neighbour_graphs
from platorep.api import score_layers
from platorep.cli import schema
from platorep.commands import reproduce as command
from platorep.commands.align import score_models
from platorep.commands.configuration import experiment
from platorep.commands.extract import extract_models
from platorep.commands.reproduce import random_sample, reproduce
from platorep.core.errors import SpecError, UnknownNameError
from platorep.results.studies import StudyTable
from platorep.results.tables import CompetenceTable
from platorep.stats.nulls import max_null
from tests.small_models import llama


SMALL = ("suite=synthetic", "dataset=synthetic", "dataset.n=72", "compute.device=cpu", "compute.workers=0", "only=null")
FEW_K = ("metric.cknna.k=[5,10,40]",)
FILES = {f"{stem}.{kind}" for stem in ("alignment", "competence", "comparison") for kind in ("csv", "parquet")}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Where all experiments of this module leave their features, and the small language models, by name."""
    folder = tmp_path_factory.mktemp("reproduce")
    spec = llama(folder / "small", family="llama", upstream="made here", licence="none needed")
    models = {name: spec.replace(name=name, **more) for name, more in
              {"small": {}, "small_noise20": {"weight_noise": 0.2},
               "small_noise80": {"weight_noise": 0.8}}.items()}  # fmt: skip
    return folder / "outputs", {
        name: {k: v for k, v in one.to_dict().items() if k != "name"} for name, one in models.items()
    }


def configuration(root, name, *overrides):
    schema.register()
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        made = compose("reproduce", overrides=[f"reproduce={name}_offline", f"root={root}", *SMALL, *overrides])
        return OmegaConf.to_container(made, resolve=True)


def run(base, name, *overrides, models=True, **recipe):
    """Runs one experiment; returns its tables and the drawn file."""
    root, language = base
    cfg = configuration(root, name, *overrides)
    cfg["recipe"] |= recipe
    cfg["models"] = (language if models else {}) | cfg["models"]
    out, *_ = reproduce(experiment(cfg))
    assert {path.name for path in out.iterdir()} == FILES | {
        f"{cfg['recipe']['name']}.png",
        f"{cfg['recipe']['name']}.pdf",
        f"{cfg['recipe']['name']}.csv",
    }
    for stem in ("alignment", "comparison"):
        assert len(pd.read_csv(out / f"{stem}.csv")) == len(pd.read_parquet(out / f"{stem}.parquet"))
    return cfg, pd.read_parquet(out / "alignment.parquet"), pd.read_parquet(out / "comparison.parquet")


def value(comparison, quantity, x=""):
    rows = comparison[(comparison.quantity == quantity) & ((comparison.x == x) | (x == ""))].drop_duplicates(
        ["quantity", "x", "y"]
    )
    assert len(rows) == 1, quantity
    return rows.measured.iloc[0]


def test_fig3_says_which_pairs_align_and_how_they_rise_with_competence(base):
    _, best, comparison = run(base, "fig3")
    assert len(best) == 4 * 3
    own = comparison[comparison.quantity == "alignment"].set_index(["x", "y"]).measured
    assert own["tfidf", "pixels"] == best.set_index(["x_model", "y_model"]).score["tfidf", "pixels"]
    assert value(comparison, "largest alignment") == best.score.max()
    competence = CompetenceTable.load([base[0] / "reproduce" / "fig3_offline--latest" / "competence.parquet"])
    bits = competence.values("bits_per_byte")
    assert set(bits.index) == {"small", "small_noise20", "small_noise80"}
    means = best.groupby("x_model").score.mean()[bits.index]
    rank = np.corrcoef((-bits).rank(), means.rank())[0, 1]
    rise = comparison[comparison.published == "> 0"].iloc[0]
    assert rise.measured == pytest.approx(rank)
    assert rise.agrees == "too few families"  # versions of one model are one family


def test_fig3_lies_above_chance_and_shuffled_pairs_within_it(base):
    cfg, best, comparison = run(base, "controls", "recipe.shuffles=3")
    features = {model.name: model for model in experiment(cfg).features}
    graphs = {
        name: torch.stack(neighbour_graphs(one, 10)) for name, one in features.items() if name in ("tfidf", "pixels")
    }
    null = max_null(graphs, [("tfidf", "pixels")], 400)
    low, high = np.quantile(null.null[0], [0.005, 0.995])
    pair = best[(best.x_model == "tfidf") & (best.y_model == "pixels")]
    ends = pair[pair.shuffle_share == 1].score
    assert len(ends) == 3
    assert low <= ends.mean() <= high
    intact = pair[pair.shuffle_share == 0].score.item()
    assert intact > high
    assert value(comparison, "rank correlation of alignment and the share of intact pairs") > 0.9
    assert comparison.agrees.iloc[0] == "yes"


def test_fig9_rises_with_the_words_that_name_what_is_seen(base):
    cut = {
        f"shapes_words_{words}": {"words": words, "dataset": {"options": {"captions": {"words": words}}}}
        for words in (3, 4, 8)
    }
    cfg, best, comparison = run(base, "fig9", variants=cut)
    line = best[(best.x_model == "tfidf") & (best.y_model == "pixels")].set_index("dataset").score
    assert [name.split("--")[0] for name in line.index] == ["shapes_words_3", "shapes_words_4", "shapes_words_8"]
    assert line.is_monotonic_increasing
    assert line.iloc[-1] > 1.5 * line.iloc[0]
    by_words = comparison[comparison.quantity == "mean alignment by words a caption"].set_index("x").measured
    assert list(by_words.index) == ["3", "4", "8"]
    stored = experiment(cfg).store
    assert not list(stored.root.glob("shapes_words_*/pixels--*"))  # pictures are not run again for other captions


def test_fig4_draws_the_measures_that_it_is_told(base):
    _, best, comparison = run(base, "fig4", "+figure.fig4.vision=vit_random")
    rows = comparison[comparison.quantity == "alignment"]
    assert set(rows.y) == {"vit_random"}
    assert len(best) == 12
    own = best[best.y_model == "vit_random"].set_index("x_model").score
    assert rows.set_index("x").measured.to_dict() == own.to_dict()
    order = own[["small", "small_noise20", "small_noise80"]].rank()
    bits = (
        pd.read_csv(base[0] / "reproduce" / "fig4_offline--latest" / "competence.csv")
        .query("measure == 'bits_per_byte'")
        .set_index("model")
        .value
    )
    rank = np.corrcoef((-bits).rank(), order[bits.index])[0, 1]
    assert value(comparison, "rank correlation of alignment and 1 - bits per byte") == pytest.approx(rank)


@pytest.mark.filterwarnings("ignore:cknna_prh with k")  # the figure shows what becomes of it
def test_fig10_has_every_k_of_both_variants(base):
    _, best, comparison = run(base, "fig10", *FEW_K, "metric.cknna_prh.k=[5,10,40]")
    assert best.metric.nunique() == 6
    means = best.groupby("metric").score.mean()
    for metric, mean in means.items():
        name, k = (
            ("CKNNA" if metric.startswith("cknna(") else "CKNNA as released"),
            metric.split("k=")[1].split(",")[0].rstrip(")"),
        )
        assert value(comparison, f"mean alignment, {name} (k = {k})") == pytest.approx(mean)


def test_fig12_compares_metrics_over_pairs_and_smaller_galleries_without_extraction(base):
    cfg, best, comparison = run(base, "fig12", *FEW_K, "recipe.galleries=[48,24]", models=False)
    assert set(best.n) == {72, 48, 24}
    assert set(best[best.n < 72].metric) == {"mutual_knn(k=10,similarity=cosine)"}
    assert len(best[best.n == 48]) == 3  # pairs of three vision models
    small = best[(best.n == 24) & (best.x_model == "pixels") & (best.y_model == "vit_random")].score.item()
    features = {model.name: model for model in experiment(cfg).features}
    chosen = sorted(np.random.default_rng(0).permutation(72)[:24])
    layers = [
        [one.load(i)[chosen] for i in range(len(one.layers))] for one in (features["pixels"], features["vit_random"])
    ]
    # the concatenation takes part in the one and not in the other
    assert small >= score_layers(*layers, "mutual_knn", k=10, clip="exact").max() - 1e-9
    assert value(comparison, "rank correlation with mutual k-NN (k = 10), LCS k-NN (k = 10)") > 0


@pytest.mark.parametrize(("name", "metrics"), [("fig13", 4), ("fig14", 4)])
def test_the_other_metrics_are_drawn_by_language_model(base, name, metrics):
    _, best, comparison = run(base, name)
    assert best.metric.nunique() == metrics
    assert len(best) == 12 * metrics
    assert comparison.quantity.str.startswith("mean alignment").sum() >= metrics


def test_fig2_competent_models_that_agree_are_found_to(base, monkeypatch):
    measure = command.measure_competence

    def solved(run):
        """Pixels and the network that sees most like them solve more tasks, by decree."""
        found = measure(run)[0].frame
        rows = found.drop_duplicates("model").assign(
            measure="vtab_solved", standard_error=np.nan, task="", source="measured", provenance=""
        )
        return CompetenceTable.from_frame(rows.assign(value=np.linspace(1, 0, len(rows)))), []

    monkeypatch.setattr(command, "measure_competence", solved)
    extra = "+models.vit_seed1={modality: vision, source: timm, id: test_vit, weights: random, seed: 1, family: random}"
    _, best, comparison = run(base, "fig2", extra, "probe=none", models=False)
    assert set(best.x_modality) | set(best.y_modality) == {"vision"}
    scores = best.set_index(["x_model", "y_model"]).score
    halves = {name: value(comparison, f"alignment within the {name} half") for name in ("stronger", "weaker")}
    assert set(halves.values()) <= set(scores)  # two models a half: one pair each
    difference = comparison[comparison.quantity.str.contains("less within")].iloc[0]
    assert difference.measured == pytest.approx(halves["stronger"] - halves["weaker"])


def test_smaller_galleries_are_nested_random_samples_read_by_rows_like_the_whole(base):
    cfg, *_ = run(base, "fig12", *FEW_K, "recipe.galleries=[48]", models=False)
    whole = experiment(cfg).features[0]
    small, smaller = random_sample(whole, 48), random_sample(whole, 24)
    assert set(smaller.places) < set(small.places)
    assert not set(range(24)) <= set(small.places)  # not the first ones
    assert torch.equal(small.load(0), whole.load(0)[small.places])
    assert torch.equal(small.load(0, rows=slice(5, 9)), small.load(0)[5:9])


def test_n_curve_shows_every_gallery_and_the_whole(base):
    _, best, comparison = run(base, "n_curve", "recipe.galleries=[24,48]")
    assert set(best.n) == {24, 48, 72}
    scores = [value(comparison, "mean alignment by number of samples", x=str(n)) for n in (24, 48, 72)]
    assert scores[0] > scores[1] > scores[2]  # at fixed k a score falls as samples come


STUDIES = {
    "coarse": ("recipe.study.sizes=[24,72]", "recipe.study.per_class=[2,4]", "+recipe.study.permutations=9"),
    "direction": ("+recipe.study.permutations=9",),
    "imbalance": ("+recipe.study.permutations=9",),
    "matching": ("recipe.study.sizes=[3]", "recipe.study.least=3", "recipe.study.models=null"),
    "negatives": ("+recipe.study.permutations=9",),
}


@pytest.mark.parametrize("name", STUDIES)
def test_an_experiment_with_a_table_of_its_own_compares_its_totals(base, name):
    cfg, best, comparison = run(base, name, *STUDIES[name])
    (stored,) = (base[0] / "studies").glob(f"*/{name}--*.parquet")
    table = StudyTable.load([stored])
    assert set(table.pairs().x_model) == set(best.x_model) - ({"tfidf"} if name == "negatives" else set())
    assert len(comparison[comparison.measured.notna()]) == len(table.totals())
    before = stored.stat().st_mtime_ns
    reproduce(experiment(cfg))
    assert stored.stat().st_mtime_ns == before  # read, not made again


def test_several_captions_pooled_score_what_the_mean_of_their_features_scores(base, tmp_path):
    rng = np.random.default_rng(0)
    words = ["red", "green", "blue", "old", "new", "tall", "round", "odd"]
    with (tmp_path / "metadata.jsonl").open("w", encoding="utf-8") as lines:
        for i in range(40):
            Image.fromarray(rng.integers(256, size=(16, 16, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
            captions = [" ".join(rng.choice(words, 3)) + f" {i}" for _ in range(2)]
            lines.write(json.dumps({"file_name": f"{i}.png", "text": captions}) + "\n")
    where = (
        "dataset=folder",
        f"dataset.id={tmp_path}",
        "dataset.n=null",
        "~dataset.options.language",
    )
    cfg, best, comparison = run(base, "several", *where, models=False)
    (stored,) = (base[0] / "studies").glob("*/several--*.parquet")
    rows = StudyTable.load([stored]).pairs()
    rows = rows[(rows.x_model == "tfidf") & (rows.y_model == "pixels")]
    rows = rows[rows.quantity == "mutual k-NN"].set_index(["setting", "position"]).value
    once = best[(best.x_model == "tfidf") & (best.y_model == "pixels")].iloc[0]
    assert rows["captions pooled", 1] == rows["captions multiplied", 1]
    whole = experiment(cfg)
    reading = {**whole.reading, "caption": "all", "combine": "mean_features"}
    extracted = extract_models(whole.replace(reading=reading)).experiment
    scores = score_models(extracted).frame.set_index(["x_model", "x_layer", "y_model", "y_layer"]).score
    both = scores["tfidf", once.x_layer, "pixels", once.y_layer]
    assert rows["captions pooled", 2] == pytest.approx(both, abs=1e-6)
    assert once.score != both
    assert "rise from one to all, captions pooled" in set(comparison.quantity)


def test_generated_tokens_after_prompts_are_scored_beside_those_without(base):
    variants = {
        "see": {"reading": {"prompt": "See {caption}"}},
        "hear": {"reading": {"prompt": "Hear {caption}"}},
        "caption_itself": {"models": ["small"], "reading": {"span": "all"}},
        "nobody": {"models": ["absent"], "reading": {"span": "all"}},
    }
    few = ("only=[small,small_noise20,pixels]", "generated.tokens=3", "dataset.n=72")
    cfg, best, comparison = run(base, "generated", *few, variants=variants)
    (stored,) = (base[0] / "studies").glob("*/generated--*.parquet")
    rows = StudyTable.load([stored]).pairs().set_index(["x_model", "setting", "quantity"]).value
    assert rows["small", "no prompt", "mutual k-NN"] == best[best.x_model == "small"].score.item()
    assert rows["small", "see", "less no prompt"] == pytest.approx(
        rows["small", "see", "mutual k-NN"] - rows["small", "no prompt", "mutual k-NN"]
    )
    whole = experiment(cfg)
    (small,) = (model for model in whole.models if model.name == "small")
    plain = whole.replace(reading={**whole.reading, "span": "all"}).find(small)
    (continued,) = (f for f in whole.features if f.name == "small")
    assert continued.spec.generated.tokens == 3
    assert plain.spec.generated is None  # the variant caption_itself
    assert "less hear, see" in set(comparison.quantity)


def test_a_setting_of_reading_that_does_not_exist_is_refused(base):
    with pytest.raises(UnknownNameError, match=r"setting of recipe.variants.captions.reading 'captoin'"):
        run(base, "several", "+recipe.variants.captions.reading.captoin=all", "~dataset.options.language")


def test_an_option_that_an_experiment_lacks_is_refused(base):
    with pytest.raises(SpecError, match="recipe.study: .*unexpected keyword argument 'gallery'"):
        run(base, "direction", "+recipe.study.gallery=3")


def test_consistency_scores_the_same_models_on_another_dataset(base):
    other = {"name": "other", "source": "synthetic", "n": 60, "options": {"captions": {"words": 3}}}
    extra = "+models.vit_seed1={modality: vision, source: timm, id: test_vit, weights: random, seed: 1, family: random}"
    _, best, comparison = run(base, "consistency", extra, models=False, datasets={"other": other})
    assert best.dataset.nunique() == 2
    assert set(best.n) == {72, 60}
    row = comparison.iloc[0]
    assert row.quantity == "rank correlation of model similarities between datasets"
    assert row.low <= row.measured <= row.high
    assert 0 < row.p <= 1


def test_a_gallery_that_is_not_smaller_is_refused(base):
    with pytest.raises(SpecError, match="galleries: 72 samples of 72 do not make a smaller gallery"):
        run(base, "fig12", *FEW_K, "recipe.galleries=[72]", models=False)


def test_the_command_takes_the_figure_as_its_first_word(tmp_path, capsys):
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    cli.app(["reproduce", "fig13", "offline=true", *SMALL, f"root={tmp_path}"], standalone_mode=False)
    assert (tmp_path / "reproduce" / "fig13_offline--latest" / "fig13_offline.png").is_file()
    assert "mean alignment, SVCCA" in capsys.readouterr().out


def test_an_unknown_figure_is_answered_with_those_there_are(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.app(["reproduce", "fig33"], standalone_mode=False)
    assert "unknown experiment 'fig33'" in str(stopped.value)
    assert "fig3" in str(stopped.value)


@pytest.mark.parametrize("name", sorted(path.stem for path in (schema.config_dir() / "reproduce").glob("*.yaml")))
def test_every_experiment_composes_and_draws_the_figure_of_its_name(name):
    schema.register()
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        made = compose(
            "reproduce",
            overrides=[
                f"reproduce={name}",
                *(
                    ["dataset.id=x"]
                    if name in ("fig2", "fig9", "fig12", "coarse", "matching", "several", "timesteps")
                    else []
                ),
            ],
        )
    cfg = OmegaConf.to_container(made, resolve=True)
    assert cfg["recipe"]["name"] == name
    assert list(cfg["figure"]) == [name.removesuffix("_offline")]
    packaged = "offline" in cfg["suite"] or cfg["suite"].startswith("fashion")
    assert packaged == (name.endswith("_offline") or name in ("hear", "languages", "basin", "stitching"))
    run = experiment(cfg)
    assert run.metrics
    assert len(run.models) > 10 or cfg["only"]
