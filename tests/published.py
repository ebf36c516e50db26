"""Folders in the published layout, made by hand, and what the tests read of imported runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repunet_model.model import RepuNetModel
from repunet_model.reference_layout import Imported, Told, import_run
from repunet_model.storage import RunFolder

EXTRA = "repunet_mesa"


def content(step: Path, file: str) -> dict[str, Any]:
    """Return a file of each agent, by name."""
    return {
        path.parents[file.count("/")].name: json.loads(path.read_text()) for path in step.glob(f"personas/*/{file}")
    }


def bare(data: Any) -> Any:
    """Return data without what exports keep beside the layout."""
    if isinstance(data, dict):
        return {name: bare(value) for name, value in data.items() if name != EXTRA}
    return [bare(value) for value in data] if isinstance(data, list) else data


def strip(step: Path) -> None:
    """Leave in a step folder what the published layout has fields for."""
    for path in step.rglob("*.json"):
        path.write_text(json.dumps(bare(json.loads(path.read_text()))))


# A folder in the published layout, made by hand


def entry(name: str, number: int, role: str, numbers: str, **more: Any) -> dict[str, Any]:
    return {
        "ID": number,
        "scenario": "investment",
        "role": role,
        "name": name,
        "content": f"{name} as {role}",
        "numerical record": numbers,
        **more,
    }


def event(name: str, other: str, text: str | list[str], step: int, predicate: str = "investment") -> dict[str, Any]:
    return {
        "id": step,
        "type": "EVENT",
        "subject": name,
        "predicate": predicate,
        "object": other,
        "description": text,
        "created_at": step,
    }


DEAL = (
    "Success investment: investor is {0}, trustee is {1}\n"
    "stage 1: trustee_plan is the investor receives 60% of it while the trustee retains 40%.\n"
    "stage 2: investor invests 4.0 units\n"
    "stage 3: trustee_allocation is {{'trustee': '4.4', 'investor': '3.6'}}, "
    "and reported_investment_outcome is 6.0 units."
)
REFUSED = "Failed investment. Investor is {0} and Trustee is {1}.\nRefuse. I do not know you."


def persona(number: int, name: str, step: int, **scratch: Any) -> dict[str, Any]:
    """Return the files of an agent without a past."""
    return {
        "memory/scratch.json": {
            "name": name,
            "innate": None,
            "learned": f"You are {name}, a 30-year-old female from Peru. You are careful.",
            "currently": None,
            "ID": number,
            "role": None,
            "curr_step": step,
            "complain_buffer": [],
            "total_num_investor": 0,
            "success_num_investor": 0,
            "total_num_trustee": 0,
            "success_num_trustee": 0,
            "relationship": {"bind_list": [], "black_list": []},
            "resources_unit": 10,
            **scratch,
        },
        "memory/associative_memory/nodes.json": [],
        "reputation/reputation_database.json": {},
        "reputation/out_of_date_reputation_database.json": {},
        "reputation/gossip_database.json": [],
    }


class Made:
    """A published step of three agents, to be changed and written."""

    def __init__(self, step: int = 2, names: Sequence[str] = ("Ann", "Bob", "Cem")) -> None:
        self.step = step
        self.names = list(names)
        self.files = {name: persona(number, name, step) for number, name in enumerate(self.names)}

    def scratch(self, name: str) -> dict[str, Any]:
        scratch: dict[str, Any] = self.files[name]["memory/scratch.json"]
        return scratch

    def meet(self, investor: str, trustee: str, text: str, step: int, *, as_list: bool = False) -> None:
        words = text.format(investor, trustee)
        for name, other in ((investor, trustee), (trustee, investor)):
            nodes = self.files[name]["memory/associative_memory/nodes.json"]
            nodes.append(event(name, other, [words] if as_list else words, step))

    def hold(self, name: str, key: str, data: Any, file: str = "reputation_database") -> None:
        self.files[name][f"reputation/{file}.json"][key] = data

    def write(self, folder: Path, run: str = "invest_run") -> Path:
        step = folder / run / f"step_{self.step}"
        self._write(step / "reverie" / "meta.json", {"persona_names": self.names, "step": self.step})
        for name, files in self.files.items():
            for file, data in files.items():
                self._write(step / "personas" / name / file, data)
        return step

    @staticmethod
    def _write(path: Path, data: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data if isinstance(data, str) else json.dumps(data))

    def read(self, folder: Path, **told: Any) -> Imported:
        people = folder / "people.json"
        people.write_text(json.dumps([{"name": name, "disposition": "self-interested"} for name in self.names]))
        return import_run(self.write(folder), folder / "storage", "made", Told(personas=people, **told))


def state_of(done: Imported) -> dict[str, Any]:
    state: dict[str, Any] = done.folder.document(done.step, "state")
    return state


def table(done: Imported, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table of all steps, each with its step."""
    return [{**row, "step": step} for step in range(1, done.step + 1) for row in done.folder.table(step, name)]


def says(done: Imported, *words: str) -> bool:
    return any(all(word in line for word in words) for line in done.report)


def ran(game: str, storage: Path, steps: int = 7, **parameters: Any) -> RunFolder:
    with RepuNetModel(game=game, rng=3, storage=str(storage), run_name="ours", **parameters) as model:
        for _ in range(steps):
            model.step()
    return RunFolder(storage / "ours")
