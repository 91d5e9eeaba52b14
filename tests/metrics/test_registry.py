from __future__ import annotations

import importlib
import pkgutil

import pytest
from omegaconf import OmegaConf

import platorep.metrics
from platorep.commands.pairs import config_dir
from platorep.core.errors import SpecError, UnknownNameError
from platorep.metrics.base import Metric
from platorep.metrics.registry import METRICS, build, metric_class, parse


FILES = {path.stem: OmegaConf.to_container(OmegaConf.load(path)) for path in (config_dir() / "metric").glob("*.yaml")}
EVERY = FILES.pop("all")["defaults"]


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_every_metric_is_registered_and_has_a_file_and_a_title_of_its_own():
    for module in pkgutil.iter_modules(platorep.metrics.__path__, "platorep.metrics."):
        importlib.import_module(module.name)
    named = [kind for kind in subclasses(Metric) if kind.__module__.startswith("platorep.") and "name" in vars(kind)]
    assert {kind.name: kind for kind in named} == {name: metric_class(name) for name in METRICS}
    assert len(named) == len(METRICS)
    assert set(FILES) == set(METRICS)
    assert set(EVERY) <= set(METRICS)
    titles = {name: vars(metric_class(name)).get("title", "") for name in METRICS}
    assert all(titles.values()), titles
    assert len(set(titles.values())) == len(titles)


@pytest.mark.parametrize("name", METRICS)
def test_a_metrics_file_holds_its_name_and_defaults(name):
    assert list(FILES[name]) == [name]
    assert build(name, **FILES[name][name]) == build(name)


@pytest.mark.parametrize("name", METRICS)
def test_every_entry_is_a_metric_of_that_name_whose_id_reads_back(name):
    metric = build(name)
    assert metric.name == metric_class(name).name == name
    assert parse(metric.id) == metric
    assert metric.id.startswith(f"{name}(")


def test_ids_spell_out_every_parameter():
    assert build("mutual_knn").id == "mutual_knn(k=10,similarity=cosine)"
    assert parse("cycle_knn(k=3, direction=yx)").id == "cycle_knn(direction=yx,k=3,similarity=cosine)"
    assert parse("lcs_knn(normalised=false)") == build("lcs_knn", normalised=False)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: build("mutual_nn"), UnknownNameError, "unknown metric 'mutual_nn'. Did you mean 'mutual_knn'"),
        (
            lambda: build("mutual_knn", kk=3),
            UnknownNameError,
            "unknown parameter of mutual_knn 'kk'. .*Known: k, similarity",
        ),
        (lambda: build("mutual_knn", k=2.5), SpecError, "mutual_knn: k is 2.5; expected a whole number"),
        (lambda: build("mutual_knn", k=True), SpecError, "expected a whole number"),
        (lambda: build("mutual_knn", k=0), SpecError, "mutual_knn: k is 0; expected at least 1"),
        (lambda: build("lcs_knn", normalised=1), SpecError, "normalised is 1; expected true or false"),
        (
            lambda: build("mutual_knn", similarity="dot"),
            SpecError,
            "similarity is 'dot'; expected 'cosine' or 'euclidean'",
        ),
        (lambda: build("cycle_knn", direction="both"), SpecError, "direction is 'both'; expected 'xy' or 'yx'"),
        (lambda: parse("mutual_knn(10)"), SpecError, "'10' is not of the form parameter=value"),
        (lambda: parse("mutual_knn(k=10"), SpecError, "is not of the form name or name"),
    ],
)
def test_wrong_words_are_refused_with_the_right_ones(call, error, message):
    with pytest.raises(error, match=message):
        call()
