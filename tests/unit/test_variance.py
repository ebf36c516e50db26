"""Shares of variance and effects of factors in planted tables: known amounts are found."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from repunet_model.report.variance import audit, factors_of

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
