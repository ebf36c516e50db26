"""Shares of variance and effects of factors in planted tables: known amounts are found."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from repunet_model.report.audit import of_rows, together_table
from repunet_model.report.interactions import Interaction, interactions
from repunet_model.report.variance import audit, factors_of
from repunet_model.sweep.design import designed

FACTORS = ["mode", "model", "persona"]


def planted(persona: float = 0.0, model: float = 0.0, seeds: int = 12, noise: float = 0.05) -> pd.DataFrame:
    """Return runs whose cooperation depends on persona format and model by known amounts."""
    draws = np.random.default_rng(3)
    push = draws.normal(scale=0.05, size=seeds)
    rows = [
        {
            "mode": mode,
            "model": name,
            "persona": shape,
            "seed": seed,
            "rate": 0.4
            + push[seed]
            + persona * (shape == "bullets")
            + model * (name == "b")
            + draws.normal(scale=noise),
        }
        for mode, name, shape, seed in product(["full", "neither"], "abc", ["prose", "bullets"], range(seeds))
    ]
    return pd.DataFrame(rows)


def test_a_planted_effect_is_found_within_its_interval_and_the_outcome_is_sensitive_to_it() -> None:
    table = planted(persona=0.3)
    found = audit(table, factors_of(table, FACTORS), "rate")
    assert found is not None
    assert [each.factor.name for each in found.sensitive_to()] == ["persona"]
    persona = found.effects[2]
    largest = persona.largest
    assert largest is not None
    assert largest.levels == ("prose", "bullets")
    difference = largest.contrast.difference
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low < 0.3 < difference.high < 0.35
    # Variances: 0.15² of persona format, 0.05² of seeds and 0.05² of noise.
    share = persona.share
    assert share.low is not None
    assert share.high is not None
    assert share.low < 0.15**2 / (0.15**2 + 0.05**2 + 0.05**2) < share.high
    assert all(each.share.share is not None and each.share.share < 0.02 for each in found.effects[:2])
    low, high = persona.means["prose"].mean, persona.means["bullets"].mean
    assert (low, high) == pytest.approx(tuple(table.groupby("persona")["rate"].mean()[["prose", "bullets"]]))


def test_what_depends_on_nothing_is_sensitive_to_nothing() -> None:
    table = planted()
    found = audit(table, factors_of(table, FACTORS), "rate")
    assert found is not None
    assert found.sensitive_to() == []
    assert found.undecided() == []


@pytest.mark.parametrize("dropped", [0, 15], ids=["balanced", "with gaps"])
def test_shares_are_those_of_an_analysis_of_variance_of_type_2(dropped: int) -> None:
    table = planted(persona=0.1, model=0.1, seeds=4).sample(frac=1, random_state=1).iloc[dropped:]
    found = audit(table, factors_of(table, FACTORS), "rate")
    assert found is not None
    squares = anova_lm(smf.ols("rate ~ C(mode) + C(model) + C(persona) + C(seed)", table).fit(), typ=2)["sum_sq"]
    total = ((table["rate"] - table["rate"].mean()) ** 2).sum()
    for each in found.effects:
        assert each.share.share == pytest.approx(squares[f"C({each.factor.name})"] / total)
    assert found.seeds.share == pytest.approx(squares["C(seed)"] / total)
    assert found.rest == pytest.approx(squares["Residual"] / total)


def test_columns_that_vary_together_are_one_factor_and_confounded_ones_have_no_share() -> None:
    table = planted(persona=0.3, seeds=3)
    table["model_family"] = table["model"].map({"a": "x", "b": "x", "c": "y"})
    factors = factors_of(table, [*FACTORS, "model_family"])
    assert [(each.name, each.others) for each in factors] == [
        ("mode", ()),
        ("model", ("model_family",)),
        ("persona", ()),
    ]
    # A third factor that is the product of two others is not told apart from them once every cell has its own value.
    table = table[(table["model"] == "a") == (table["mode"] == "full")]
    table = table[table["model"] != "c"]
    (mode, persona) = factors_of(table, FACTORS)
    assert (mode.name, mode.others, persona.name) == ("mode", ("model",), "persona")


def test_numbers_that_vary_together_are_lines() -> None:
    draws = np.random.default_rng(2)
    points = draws.uniform(size=(8, 2))
    rows = [
        {"p": p, "q": q, "seed": seed, "rate": 0.2 + 0.5 * p + draws.normal(scale=0.01)}
        for p, q in points
        for seed in range(5)
    ]
    table = pd.DataFrame(rows)
    found = audit(table, factors_of(table, ["p", "q"]), "rate")
    assert found is not None
    assert [each.factor.name for each in found.sensitive_to()] == ["p"]
    slope = found.effects[0].differences[0].contrast.difference.mean / np.ptp(points[:, 0])
    assert slope == pytest.approx(0.5, abs=0.05)


def test_nothing_is_compared_across_seeds() -> None:
    table = planted(seeds=1).head(3).assign(seed=[1, 2, 3])
    assert audit(table, factors_of(table, FACTORS), "rate") is None


# Interactions


def names_of(found: Interaction) -> str:
    return " = ".join(f"{one.name} × {other.name}" for one, other in (found.factors, *found.others))


@pytest.mark.parametrize("dropped", [0, 15], ids=["balanced", "with gaps"])
def test_interactions_are_those_of_an_analysis_of_variance_and_a_planted_one_is_found(dropped: int) -> None:
    table = planted(persona=0.1, seeds=6)
    table["rate"] += 0.3 * ((table["model"] == "b") & (table["persona"] == "bullets"))
    table = table.sample(frac=1, random_state=1).iloc[dropped:]
    found = interactions(table, factors_of(table, FACTORS), "rate")
    assert found is not None
    formula = "rate ~ (C(mode) + C(model) + C(persona)) ** 2 + C(seed)"
    squares = anova_lm(smf.ols(formula, table).fit(), typ=2)["sum_sq"]
    total = ((table["rate"] - table["rate"].mean()) ** 2).sum()
    for each in found.found:
        one, other = each.factors
        assert each.share.share == pytest.approx(squares[f"C({one.name}):C({other.name})"] / total)
    assert found.rest == pytest.approx(squares["Residual"] / total)
    assert [names_of(each) for each in found.found if each.is_shown] == ["model × persona"]
    planted_one = found.found[2]
    for change in planted_one.changes:
        expected = 0.3 * ((change.first[1] == "b") - (change.first[0] == "b"))
        expected *= 1 if change.second[1] == "bullets" else -1
        assert change.contrast.difference.mean == pytest.approx(expected, abs=0.12)
    cells = table.groupby(["model", "persona"])["rate"].mean()
    if not dropped:
        assert {levels: each.mean for levels, each in planted_one.cells.items()} == pytest.approx(cells.to_dict())


def fraction(names: str, seeds: int = 5) -> pd.DataFrame:
    """Return the runs of a fraction of two-level factors, −1 and 1, without an outcome."""
    grid = {"game": {}, "rules": {}, **{name: [-1, 1] for name in names}}
    rows = [{name: cell[name][0] for name in names} for cell in designed(grid, "fraction").grids]
    return pd.DataFrame([{**row, "seed": seed} for row in rows for seed in range(seeds)])


def test_interactions_that_a_fraction_cannot_tell_apart_are_one_and_found_together() -> None:
    table = fraction("abcdefgh")
    noise = np.random.default_rng(2).normal(scale=0.02, size=len(table))
    table["rate"] = 0.5 + 0.05 * table["c"] + 0.1 * table["a"] * table["b"] + noise
    found = interactions(table, factors_of(table, list("abcdefgh")), "rate")
    assert found is not None
    assert sorted(len(each.others) + 1 for each in found.found) == [4] * 7
    (shown,) = [each for each in found.found if each.is_shown]
    assert "a × b" in names_of(shown)
    assert shown.largest is not None
    difference = shown.largest.contrast.difference
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low < 4 * 0.1 < difference.high  # Both factors change by 2.
    assert sum(each.share.share or 0 for each in found.found) + (found.rest or 0) == pytest.approx(1, abs=0.25)


def test_interactions_that_overlap_have_a_share_together_and_no_effect_of_their_own() -> None:
    draws = np.random.default_rng(4)
    points = pd.DataFrame(draws.normal(size=(7, 4)), columns=list("pqrs"))  # 7 runs a seed, 4 factors, 6 interactions
    table = pd.concat([points.assign(seed=seed) for seed in range(3)], ignore_index=True)
    table["rate"] = draws.normal(size=len(table))
    found = interactions(table, factors_of(table, list("pqrs")), "rate")
    assert found is not None
    (one,) = found.found
    assert len(one.others) == 5
    assert (list(one.changes), one.is_shown, one.largest) == ([], False, None)
    assert one.share.share is not None


def test_interactions_that_are_main_effects_have_no_share_and_too_many_are_none() -> None:
    rows = [{"a": a, "b": b, "c": a * b, "seed": seed, "rate": a + 0.1 * seed} for a, b, seed in
            product([-1, 1], [-1, 1], range(3))]  # fmt: skip
    table = pd.DataFrame(rows)
    found = interactions(table, factors_of(table, ["a", "b", "c"]), "rate")
    assert found is not None
    assert [(each.share.share, list(each.changes)) for each in found.found] == [(None, [])] * 3
    wide = pd.DataFrame(
        [{"a": a, "b": b, "seed": seed, "rate": 0.1} for a, b, seed in product(range(16), range(16), range(2))]
    )
    found = interactions(wide, factors_of(wide, ["a", "b"]), "rate")
    assert found is not None
    assert (found.found, found.rest) == ([], None)
    assert interactions(wide, factors_of(wide, ["a"]), "rate") is None
    runs = [
        {"seed": seed, "factor a": a, "factor b": b, "outcome": 0.1}
        for a, b, seed in product(range(16), range(16), range(2))
    ]
    told = together_table([of_rows("it", "final", runs, ["a", "b"], [], is_claim=False)])
    assert told.rows == [["it", "too many levels", "–", "–", "–", "–", "–"]]


def test_a_claim_that_two_factors_decide_together_is_sensitive_to_them_together_alone() -> None:
    draws = np.random.default_rng(1)
    for always, verdict in ((0.0, "sensitive to a × b; not audited for"), (1.0, "stable; not audited for")):
        rows = [
            {
                "seed": seed,
                "factor a": a,
                "factor b": b,
                "outcome": always + (0.3 if a == b else -0.3) + draws.normal(scale=0.05),
            }
            for a, b, seed in product("xy", "xy", range(6))
        ]
        assert of_rows("it", "first − second", rows, ["a", "b"], [], is_claim=True).verdict.startswith(verdict)
