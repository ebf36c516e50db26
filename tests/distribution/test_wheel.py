"""The wheel, installed with the pinned versions in an empty environment, used from a folder that is no checkout."""

from __future__ import annotations

import os
import subprocess
import tarfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests import ROOT, environments
from tests import chromium as real
from tests.environments import PROJECT, UV, copy_checkout, uv

pytestmark = pytest.mark.skipif(UV is None, reason="uv is not installed")

PINS = PROJECT["tool"]["uv"]["constraint-dependencies"]


@dataclass(frozen=True)
class Built:
    """What `uv build` made of a copy of the checkout.

    Attributes:
        checkout: The copy.
        sdist: The source distribution.
        wheel: The wheel that was made of it.
        direct: The wheel that was made of the copy itself.
    """

    checkout: Path
    sdist: Path
    wheel: Path
    direct: Path


@dataclass(frozen=True)
class Installed:
    """The wheel in an environment.

    Attributes:
        programs: The environment's folder of programs.
        folder: Where commands run: empty at first.
    """

    programs: Path
    folder: Path

    def run(self, *words: str, program: str = "repunet") -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, without anything that points to the checkout."""
        own = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
        return subprocess.run(
            [self.programs / program, *words],
            cwd=self.folder,
            env={**own, "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def package(self) -> Mapping[str, bytes]:
        """Return the installed files of the project, and the names that lie beside it."""
        [packages] = self.programs.parent.glob("lib/python*/site-packages")
        own = {
            str(path.relative_to(packages)): path.read_bytes()
            for name in ("repunet_model", "visualization")
            for path in (packages / name).rglob("*")
            if path.is_file() and path.suffix != ".pyc"  # Python's own
        }
        beside = sorted(path.name for path in packages.iterdir() if path.name != "__pycache__")
        return {**own, "beside": "\n".join(beside).encode()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    checkout, both, direct = folder / "checkout", folder / "both", folder / "direct"
    copy_checkout(checkout)
    uv("build", "--out-dir", both, checkout)
    uv("build", "--wheel", "--out-dir", direct, checkout)
    return Built(checkout, next(both.glob("*.tar.gz")), next(both.glob("*.whl")), next(direct.glob("*.whl")))


def install(built: Built, folder: Path, extra: str = "") -> Installed:
    wheel = f"repunet-mesa{extra} @ {built.wheel.as_uri()}"
    programs = environments.environment(folder / "environment", wheel, constraints=PINS)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Installed(programs, elsewhere)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(built, tmp_path_factory.mktemp("core"))


def test_the_wheel_holds_code_and_data_and_nothing_else(built: Built) -> None:
    with ZipFile(built.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    packages = {
        str(path.relative_to(built.checkout))
        for package in ("repunet_model", "visualization")
        for path in (built.checkout / package).rglob("*")
        if path.is_file()
    }
    seeds = {f"repunet_model/{path.relative_to(built.checkout)}" for path in (built.checkout / "seeds").iterdir()}
    assert names == packages | seeds
    for kind in ("repunet_model/questions/templates/*.j2", "visualization/vue/*.vue", "repunet_model/seeds/*.json"):
        assert any(Path(name).match(kind) for name in names), kind
    assert {"repunet_model/backends/prices.toml", "visualization/style.css", "repunet_model/py.typed"} <= names


def test_the_sdist_is_the_checkout_and_makes_the_same_wheel(built: Built) -> None:
    assert built.wheel.read_bytes() == built.direct.read_bytes()
    with tarfile.open(built.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    files = {str(path.relative_to(built.checkout)) for path in built.checkout.rglob("*") if path.is_file()}
    assert names - {"PKG-INFO"} == files


def test_the_main_job_runs_outside_the_checkout(installed: Installed) -> None:
    before = installed.package()
    done = installed.run()
    assert done.returncode == 0, done.stderr
    assert "cooperation, steps 26-30" in done.stdout
    assert "\n  repunet viz sim_storage/prisoners_dilemma_full_seed1\n" in done.stdout
    assert "run.py" not in done.stdout + done.stderr
    assert (installed.folder / "outputs/with_and_without_repunet.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((installed.folder / "sim_storage").glob("*/step_30"))) == 2
    assert installed.package() == before


def test_runs_are_made_shown_resumed_and_checked(installed: Installed) -> None:
    before = installed.package()
    for scenario in ("pd", "investment", "sign_up"):
        made = installed.run("run", "--scenario", scenario, "--steps", "1", "--sim-name", scenario)
        assert made.returncode == 0, made.stderr
    gone_on = installed.run("resume", "investment", "--steps", "1")
    assert gone_on.returncode == 0, gone_on.stderr
    assert "Encounters" in installed.run("show", "investment", "--step", "2").stdout
    assert installed.run("check", "investment").stdout == "sim_storage/investment: whole, 2 steps\n"
    assert ": whole, " in installed.run("check", "example").stdout  # the run that comes with the package
    assert installed.package() == before


def test_prompts_and_prices_are_found(installed: Installed) -> None:
    estimated = installed.run("estimate", "-n", "4", "--steps", "1", "--backend", "openai:gpt-4o-mini")
    assert estimated.returncode == 0, estimated.stderr
    assert "USD" in estimated.stdout
    assert "About 28 calls" in estimated.stdout


def test_the_script_and_run_py_are_one_program(installed: Installed) -> None:
    for words in (["--help"], ["run", "--help"], ["study", "--help"]):
        script = installed.run(*words).stdout
        file = installed.run(str(ROOT / "run.py"), *words, program="python").stdout
        assert script.startswith(("Usage: repunet ", "\nUsage: repunet "))
        # The name of the program is all that differs, and how the first line is broken for it.
        assert file.replace("uv run run.py", "repunet", 1).split() == script.split()


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("viz", ["viz"]),
        ("local", ["run", "--backend", "local:model.gguf"]),
        ("cluster", ["sweep", "--seeds", "1", "--steps", "1", "--scheduler", "tcp://127.0.0.1:9"]),
    ],
)
def test_a_missing_extra_is_named_in_one_line(installed: Installed, extra: str, words: list[str]) -> None:
    before = sorted(installed.folder.rglob("*"))
    done = installed.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"pip install 'repunet-mesa[{extra}]'" in done.stderr
    assert sorted(installed.folder.rglob("*")) == before


def test_with_the_extra_viz_the_page_is_served(built: Built, tmp_path: Path) -> None:
    page = install(built, tmp_path, "[viz]")
    before = page.package()
    with real.serving_installed(page.programs / "repunet", page.folder) as server:
        with urllib.request.urlopen(server.url, timeout=30) as answer:
            assert answer.status == 200
            assert "RepuNet for Mesa" in answer.read().decode()
        if real.CHROMIUM is not None:
            with real.running_browser() as browser, browser.new_page() as tab:
                tab.goto(server.url)
                tab.wait_for_selector(".rn-node")
    assert page.package() == before
    assert list(page.folder.iterdir()) == []


def test_every_package_that_is_installed_is_pinned(installed: Installed) -> None:
    listed = uv("pip", "freeze", "--python", installed.programs.parent).splitlines()
    assert {line.lower() for line in listed if not line.startswith("repunet-mesa")} - set(PINS) == set()
