"""The documents for tests: their order, code blocks and links, and a machine to run the blocks on.

Every code block is fenced and has a language. `bash` blocks run in order, in one session a page; `python` blocks run as
scripts in between; `text` blocks are not code. Any other language, an indented block, or a directive with code in it is
an error: code is run here, or included from a file that has its own test.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

import psutil
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests import ROOT
from tests.conftest import until

DOCS = ROOT / "docs"
README = ROOT / "README.md"

RUN = {"bash", "python"}
"""Languages of blocks that are run."""

SHOWN = {"text"}
"""Languages of blocks that are not run: folder trees, drawings, output."""

SERVERS = re.compile(r"^(uv run (?:run\.py viz|solara run)\b[^#&\n]*?)[ \t]*(?:#.*)?$", re.MULTILINE)
"""Commands that run until the reader ends them."""

ENDED_ONCE_IT_ANSWERS = """\
ended_once_it_answers() {
  curl --silent --fail --retry 120 --retry-delay 1 --retry-connrefused --output /dev/null "http://127.0.0.1:$1"
  kill "$2"
}
"""

UV = """#!/usr/bin/env bash
case "${{1-}} ${{2-}} ${{3-}}" in
  "run run.py viz") ;;
  "run run.py "*|"run python "*) exec {python} -I -S {resident} ask {place} "${{@:2}}" ;;
esac
exec {uv} "$@"
"""
"""The program that stands before uv in the search path: what starts Python on the project goes to `tests.resident`, the
page's server excepted; everything else goes to uv."""

MINUTES = 15
"""The time limit of a page; on two free cores each takes about one minute at most."""


@dataclass(frozen=True, slots=True)
class Block:
    """A code block.

    Attributes:
        language: Its language.
        line: The number of its first line in the page, from 1.
        text: Its content.
    """

    language: str
    line: int
    text: str


def tokens(page: Path) -> list[Token]:
    """Return the Markdown tokens of a page."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def directive(token: Token) -> str | None:
    """Return the name of the MyST directive of a token, if any."""
    named = re.match(r"\{([^}]+)\}", token.info.strip()) if token.type == "fence" else None
    return named[1] if named is not None else None


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that are to be run.

    Raises:
        ValueError: If a code block is neither run nor plain text.
    """
    found = []
    for token in tokens(page):
        if token.type not in {"fence", "code_block"}:
            continue
        assert token.map is not None
        where = f"{page.relative_to(ROOT)}:{token.map[0] + 1}"
        name = directive(token)
        language = token.info.strip()
        if token.type == "code_block":
            raise ValueError(f"{where}: an indented code block; fence it, as bash, python or text")
        if name is not None:
            if "code" in name or ("literal" in name and name != "literalinclude"):
                raise ValueError(f"{where}: {{{name}}} holds code that is not run; fence it as bash, python or text")
        elif language in RUN:
            found.append(Block(language, token.map[0] + 2, token.content))
        elif language not in SHOWN:
            raise ValueError(f"{where}: a code block in {language or 'no language'}; write bash, python or text")
    return found


def toctree(page: Path) -> Iterator[Path]:
    """Yield the pages of the toctrees of a page, each followed by those of its own.

    Raises:
        ValueError: If a page does not exist.
    """
    for token in tokens(page):
        if directive(token) != "toctree":
            continue
        for line in token.content.splitlines():
            entry = line.strip()
            if not entry or entry.startswith(":"):
                continue
            named = re.fullmatch(r".*<(.+)>", entry)
            file = page.parent / f"{(named[1] if named is not None else entry).removesuffix('.md')}.md"
            if file.is_file():
                yield file
                yield from toctree(file)
            elif not file.with_suffix(".ipynb").is_file():
                raise ValueError(f"{page.name}: the toctree names {entry}, which is not there")


@cache
def pages() -> list[Path]:
    """Return README and the pages of the documentation, in the order in which they are read."""
    index = DOCS / "index.md"
    return [README, index, *toctree(index)]


def links(page: Path) -> Iterator[str]:
    """Yield the targets of the links and pictures of a page."""
    for token in tokens(page):
        for inner in token.children or ():
            target = inner.attrs.get("href" if inner.type == "link_open" else "src")
            if inner.type in {"link_open", "image"} and target is not None:
                yield str(target)
        if token.type in {"html_block", "html_inline"}:
            yield from re.findall(r"""(?:src|href)=["']([^"']+)""", token.content)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, in the form of code hosts."""
    found = set()
    parsed = tokens(page)
    for heading, content in pairwise(parsed):
        if heading.type == "heading_open":
            text = "".join(each.content for each in content.children or () if each.type in {"text", "code_inline"})
            found.add(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
    return found


def environment() -> dict[str, str]:
    """Return the environment without the settings of this test run and of the user's endpoints.

    Package sources (PIP_*, UV_*) are kept.
    """
    dropped = re.compile(
        r"VIRTUAL_ENV.*|PYTHON.*|PYENV_.*|PYTEST_.*|COV_.*|COVERAGE_.*|LLM_.*|OPENAI_.*|REPUNET_.*|UV|UV_PROJECT.*"
        r"|UV_RUN.*|UV_PYTHON.*|SLURM_.*|BROWSER"
    )
    return {name: value for name, value in os.environ.items() if dropped.fullmatch(name) is None}


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Machine:
    """A machine with nothing but Python: a virtual environment with pip, and a clone of the project.

    Attributes:
        folder: Its files.
        variables: Environment variables in addition to this machine's.
        texts: Replacements of texts in the blocks.
        port: A free port, for the servers of the pages.
    """

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _resident: subprocess.Popen[bytes] | None = None

    @property
    def clone(self) -> Path:
        """The clone."""
        return self.folder / "repunet"

    @property
    def programs(self) -> Path:
        """The folder of the machine's own programs."""
        return self.folder / "python" / "bin"

    @property
    def path(self) -> str:
        """The search path for programs: of the virtual environment, of Python, and of this machine.

        Folders with uv are left out, unless they also hold the system's programs.
        """
        folders = map(Path, os.environ["PATH"].split(os.pathsep))
        others = [each for each in folders if not (each / "uv").exists() or (each / "bash").exists()]
        return os.pathsep.join(map(str, [self.programs, self.folder / "bin", *others]))

    def set_up(self, stand_ins: Mapping[str, str]) -> None:
        """Create the virtual environment and the clone anew, with substitutes for programs of a reader, by name."""
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        own = self.folder / "bin"
        for old in (own, self.programs.parent, self.clone):
            shutil.rmtree(old, ignore_errors=True)
        own.mkdir()
        (own / python).symlink_to(Path(sys.base_prefix) / "bin" / python)
        subprocess.run([own / python, "-m", "venv", self.folder / "python"], check=True)
        for name, text in stand_ins.items():
            program = own / name
            program.write_text(text, encoding="utf-8")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        clone_of_working_state(self.clone)

    def install_uv(self) -> None:
        """Install uv as in README, for later pages."""
        if not (self.programs / "uv").exists():
            subprocess.run([self.programs / "pip", "install", "--quiet", "uv"], check=True, env=environment())

    def clean(self) -> None:
        """Undo the changes of a page to the clone; installed packages stay."""
        git(self.clone, "reset", "--quiet", "--hard")
        git(self.clone, "clean", "--quiet", "-fdx", "--exclude=.venv", "--exclude=uv.lock")

    def quicken(self) -> None:
        """Start the process that runs the commands of pages, with a fork each: see tests.resident."""
        if self._resident is not None:
            return
        place, file = self.folder / "resident", ROOT / "tests" / "resident.py"
        self._quick.mkdir()
        with (self.folder / "resident.txt").open("wb") as said:
            self._resident = subprocess.Popen(
                [self.programs / "uv", "run", "python", file, "serve", place],
                cwd=self.clone,
                env={**environment(), "PATH": self.path, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        uv = self._quick / "uv"
        uv.write_text(UV.format(python=sys.executable, resident=file, place=place, uv=self.programs / "uv"))
        uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
        until(lambda: place.exists() or self._resident is None or self._resident.poll() is not None)
        assert place.exists(), (self.folder / "resident.txt").read_text()

    @property
    def _quick(self) -> Path:
        """The folder of the program that stands before uv."""
        return self.folder / "quick"

    def close(self) -> None:
        """End what was started to make pages quick."""
        if self._resident is not None:
            end_session(self._resident.pid)
            self._resident.wait()

    def run(self, page: Path, quickly: bool = False) -> str:
        """Run the blocks of a page in order, and return their output.

        Args:
            page: The page.
            quickly: Whether its commands are run by one process that has imported the package.

        Raises:
            AssertionError: If a block fails; the message names it and ends with its output.
        """
        scripts = self.folder / "scripts" / page.stem
        scripts.mkdir(parents=True)
        lines = ["set -euo pipefail", ENDED_ONCE_IT_ANSWERS]
        for block in blocks(page):
            # Leading new lines make errors name lines of the page.
            text = "\n" * (block.line - 1) + self._as_meant(block)
            script = scripts / f"{page.stem}.{block.line}.{block.language}"
            script.write_text(text, encoding="utf-8")
            lines.append(f"echo {block.line} > '{scripts}/line'")
            lines.append(f"source '{script}'" if block.language == "bash" else f"uv run python '{script}'")
        (scripts / "all.bash").write_text("\n".join([*lines, ""]), encoding="utf-8")
        path = self.path
        if quickly:
            self.quicken()
            path = os.pathsep.join([str(self._quick), path])
        printed = scripts / "printed.txt"
        code = self._session(scripts / "all.bash", printed, path)
        text = printed.read_text(encoding="utf-8", errors="replace")
        line = (scripts / "line").read_text().strip() if (scripts / "line").exists() else "1"
        ended = f"did not end in {MINUTES} minutes" if code is None else f"ended with code {code}"
        assert code == 0, f"{page.relative_to(ROOT)}:{line}: the block {ended}; what was printed:\n{text[-4000:]}"
        return text

    def _as_meant(self, block: Block) -> str:
        """Return the text to run for a block, with replacements and with servers on the machine's port."""
        text = block.text
        if block.language == "bash":
            text = SERVERS.sub(rf"\1 --port {self.port} & ended_once_it_answers {self.port} $!", text)
        for written, meant in self.texts.items():
            text = text.replace(written, meant)
        return text

    def _session(self, script: Path, printed: Path, path: str) -> int | None:
        """Run a script in a session of its own, then kill the session; return the exit code, None after the time limit.

        Output goes to a file, since processes that a page leaves running would hold a pipe open.
        """
        with printed.open("wb") as out:
            process = subprocess.Popen(
                ["bash", script],
                cwd=self.clone,
                env={**environment(), "PATH": path, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return process.wait(MINUTES * 60)
            except subprocess.TimeoutExpired:
                return None
            finally:
                end_session(process.pid)
                process.wait()


def end_session(session: int) -> None:
    """Kill all processes of a session; the blocks are for a POSIX shell."""
    for process in psutil.process_iter():
        try:
            if sys.platform != "win32" and os.getsid(process.pid) == session:
                process.kill()
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue


def clone_of_working_state(clone: Path) -> None:
    """Clone this checkout with uncommitted changes, but without ignored files."""
    git(ROOT, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone))
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        source, copy = ROOT / name, clone / name
        if name and source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
            copy.chmod(source.stat().st_mode)
        elif name:
            copy.unlink(missing_ok=True)
    author = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    git(clone, "add", "--all")
    git(clone, *author, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", "working state")


def git(folder: Path, *words: str) -> str:
    """Run git in a folder and return its output."""
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout
