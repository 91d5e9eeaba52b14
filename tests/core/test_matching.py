"""Asked specs against stored ones: what is open, what is a commit, and what is a branch that may have moved."""

import pytest

from platorep.core.errors import StoreError
from platorep.core.matching import matching
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec


A, B = "a" * 40, "b" * 40
MODEL = ModelSpec(
    name="m", modality="language", source="transformers", id="owner/m", revision=A, dtype="float32", pool="mean"
)
PAIRS = DatasetSpec(name="wit", source="hub", id="minhuh/prh", revision=A, branch="wit_1024")
STORED = ExtractSpec(model=MODEL, dataset=PAIRS)
ASKED = ExtractSpec(model=MODEL.replace(revision=None), dataset=PAIRS.replace(revision="wit_1024", branch=""))


def untold(spec):
    return None


def match(asked, *stored, commit_of=untold):
    return matching(asked, {str(i): one for i, one in enumerate(stored)}, commit_of)


def test_a_branch_is_the_commit_that_it_stands_for():
    other = STORED.replace(dataset=PAIRS.replace(revision=B))
    for commit, expected in ((A, ["0"]), (B, ["1"])):
        assert match(ASKED, STORED, other, commit_of=lambda spec, commit=commit: commit) == expected


def test_features_of_earlier_versions_name_no_branch_and_are_found_by_the_commit():
    older = STORED.replace(dataset=PAIRS.replace(branch=""))
    assert match(ASKED, older, commit_of=lambda spec: A) == ["0"]
    assert match(ASKED, older) == []  # nobody can tell what the branch is


def test_where_nobody_can_tell_the_branchs_name_decides():
    another = STORED.replace(dataset=PAIRS.replace(revision=B, branch="wit_10k"))
    assert match(ASKED, STORED, another) == ["0"]
    two = STORED.replace(dataset=PAIRS.replace(revision=B))
    assert match(ASKED, STORED, two) == ["0", "1"]  # for the caller to refuse


def test_a_branch_that_moved_is_refused_with_both_commits():
    message = (
        f"dataset.revision=wit_1024 of minhuh/prh is commit {B} now, but what is stored of wit was made at {A}.*"
        f"Run `platorep extract` for the new commit, or keep to the old one with dataset.revision={A}"
    )
    with pytest.raises(StoreError, match=message):
        match(ASKED, STORED, commit_of=lambda spec: B)
    with pytest.raises(StoreError, match=message):
        match(ASKED.dataset, PAIRS, commit_of=lambda spec: B)
    step = STORED.replace(model=MODEL.replace(branch="step1000"))
    with pytest.raises(StoreError, match=f"models.m.revision=step1000 of owner/m is commit {B} now"):
        match(
            STORED.replace(model=MODEL.replace(revision="step1000")),
            step,
            commit_of=lambda spec: B if isinstance(spec, ModelSpec) else None,
        )
    with pytest.raises(StoreError, match=f"models.m.revision=step1000 of owner/m is commit {B} now"):
        match(
            ASKED.replace(model=MODEL.replace(revision="step1000")),
            step,
            commit_of=lambda spec: B if isinstance(spec, ModelSpec) else A,
        )


def test_a_commit_is_a_commit_and_the_hub_is_not_asked():
    def asked(spec):
        raise AssertionError("asked")

    exact = STORED.replace(dataset=PAIRS.replace(branch=""))
    assert match(exact, STORED, STORED.replace(dataset=PAIRS.replace(revision=B)), commit_of=asked) == ["0"]
    assert match(ASKED.replace(dataset=PAIRS.replace(revision=None)), STORED, commit_of=asked) == ["0"]
    local = PAIRS.replace(revision="1", branch="")
    assert match(local.replace(revision="2"), local, commit_of=asked) == []


def test_another_setting_beside_the_branch_is_no_moved_branch():
    assert match(ASKED.replace(prompt="a {caption}"), STORED, commit_of=lambda spec: B) == []


def test_no_key_covers_the_branch():
    assert STORED.key() == STORED.replace(dataset=PAIRS.replace(branch="")).key()
    assert PAIRS.key() == PAIRS.replace(branch="other").key()
    assert MODEL.key() == MODEL.replace(branch="step1000").key()
