"""The documentation says what is so: tables are the code's, sessions run as printed, links and names lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from openresponses import cli
from openresponses.adapters.echo import COMMANDS
from openresponses.catalog import Catalog
from openresponses.cli.base import root
from openresponses.http.openapi import OPERATIONS
from openresponses.protocol.errors import ERRORS
from openresponses.settings import TABLE

from scripts import docs, events

ROOT = docs.ROOT
CORE = ROOT / "layers/core/openresponses"
README = ROOT / "README.md"
PAGES = [*docs.PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
# A fenced block: its language and its text.
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDRESS = "http://127.0.0.1:4000"

every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


# --------------------------------------------------------------------------- generated tables


@every_page
def test_generated_tables_are_those_of_the_code(page: Path) -> None:
    text = page.read_text()
    assert docs.filled(text) == text, "stale: run make docs"
    assert text.count("<!-- generated:") == len(docs.BLOCK.findall(text)), "a block without its end"


def test_every_table_stands_somewhere() -> None:
    used = {name for page in PAGES for name, _ in docs.BLOCK.findall(page.read_text())}
    assert used == set(docs.BLOCKS)


def test_a_stale_table_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- generated:errors -->\n| old |\n<!-- end -->\n")
    monkeypatch.setattr(docs, "PAGES", [page])
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    assert docs.main(["--check"]) == 1
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    assert "`model_not_found`" in page.read_text()


# --------------------------------------------------------------------------- sessions


@contextmanager
def serving(home: Path, **environ: str) -> Iterator[tuple[str, str]]:
    """(URL, greeting) of `openresponses serve`, started in `home` with nothing else in its environment."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    command = [sys.executable, "-m", "openresponses", "serve", "--port", "0"]
    environ = {**kept, "HOME": str(home), "XDG_DATA_HOME": str(home), **environ}
    with subprocess.Popen(command, cwd=home, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            greeting = "".join(process.stdout.readline() for _ in range(4))
            found = re.search(r"http://\S+", greeting)
            assert found, greeting
            yield found[0], greeting
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """As a new user starts it: no key, an empty data folder."""
    with serving(tmp_path_factory.mktemp("home")) as server:
        yield server


def run(commands: str, url: str, folder: Path) -> str:
    """What a shell prints for the commands, with the address of the server at hand."""
    told = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands.replace(ADDRESS, url)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def plain(printed: str) -> str:
    """Output without what differs from run to run: ids, times, the port."""
    printed = re.sub(r"[0-9a-f]{32}", "ID", printed)
    printed = re.sub(r'("(?:created|completed)_at":)\d+', r"\1TIME", printed)
    return re.sub(r"http://127\.0\.0\.1:\d+", ADDRESS, printed).strip()


def session() -> list[tuple[str, str]]:
    """(commands, what they print) of the README's session, in order."""
    text = README.read_text().split("<!-- session -->")[1].split("<!-- end of session -->")[0]
    blocks = FENCE.findall(text)
    assert [language == "sh" for language, _ in blocks] == [True, False] * (len(blocks) // 2)
    return [(blocks[n][1], blocks[n + 1][1]) for n in range(0, len(blocks), 2)]


def test_the_session_of_the_readme(served: tuple[str, str], tmp_path: Path) -> None:
    url, greeting = served
    (start, told), *turns = session()
    assert start.splitlines()[-1] == "make run"
    assert plain(greeting) == plain(told)
    assert len(turns) == 5
    end = "\necho\necho @@@\n"
    printed = run(end.join(commands for commands, _ in turns), url, tmp_path).split("@@@")
    for (commands, promised), got in zip(turns, printed, strict=True):
        assert plain(got) == plain(promised), commands


def test_the_python_of_the_readme(served: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    [program] = [text for language, text in FENCE.findall(README.read_text()) if language == "python"]
    scope: dict[str, object] = {}
    exec(program.replace(ADDRESS, served[0]), scope)
    scope["client"].close()  # type: ignore[attr-defined]
    assert "My name is Alice." in capsys.readouterr().out


def test_the_tool_of_the_guide(tmp_path: Path) -> None:
    """docs/tools.md: the function and the file that names it, as printed; the time of day differs."""
    blocks = FENCE.findall((ROOT / "docs/tools.md").read_text())
    by_language = {language: text for language, text in reversed(blocks)}  # the first of each
    (tmp_path / "clock.py").write_text(by_language["python"])
    (tmp_path / "tools.toml").write_text(by_language["toml"])
    with serving(tmp_path, PYTHONPATH=".", OPENRESPONSES_CONFIG="tools.toml") as (url, _):
        printed = run(by_language["sh"], url, tmp_path)
    clock = re.compile(r"\d\d:\d\d")
    assert len(clock.findall(printed)) == 2
    assert clock.sub("TIME", printed) == clock.sub("TIME", by_language["text"])


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param(text, id=f"{page.name}-{number}")
        for page in docs.PAGES
        if page != README
        for number, (language, text) in enumerate(FENCE.findall(page.read_text()))
        if language == "sh" and ADDRESS in text and "…" not in text  # with it: a form to fill in
    ],
)
def test_requests_in_the_guides(served: tuple[str, str], tmp_path: Path, commands: str) -> None:
    told = run(commands, served[0], tmp_path)
    assert told and '"error":{' not in told
    assert "data:" not in told or told.endswith("data: [DONE]\n\n")


@every_page
def test_configuration_files_that_are_shown_can_be_read(page: Path, tmp_path: Path) -> None:
    for language, text in FENCE.findall(page.read_text()):
        if language == "toml" and text.startswith("[["):  # else another program's
            file = tmp_path / "models.toml"
            file.write_text(text)
            Catalog.load(str(file))


# --------------------------------------------------------------------------- links and names


def slug(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", prose(file), re.MULTILINE)
            assert anchor in map(slug, headings), target


def code_of(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


FILE = re.compile(r"[\w.*-]+(?:/[\w.*-]+)*/?")


@every_page
def test_files_that_are_named_exist(page: Path) -> None:
    named = [word for word in code_of(page) if FILE.fullmatch(word)]
    files = [word for word in named if re.search(r"\.(py|md)$|/.*\.(toml|yaml|txt)$|\w/$", word)]
    for file in files:
        places = (ROOT, CORE, page.parent)
        assert any(next(place.glob(file), None) for place in places), file


def test_the_layout_of_the_readme() -> None:
    [layout] = [text for language, text in FENCE.findall(README.read_text()) if not language]
    for line in layout.splitlines():
        place = CORE if line.startswith(" ") else ROOT
        names = re.split(r" {2,}", line.strip())[0].split()
        assert all((place / name).exists() for name in names), line
    inside = {path.name for path in CORE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert inside <= set(re.findall(r"(\w+)/", layout)), "a package that the layout does not have"


SOURCES = [*(ROOT / "layers").rglob("*.py"), *(ROOT / "functions").rglob("*.py"), ROOT / "template.yaml"]


@every_page
def test_variables_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    known = {row.variable for row in TABLE} | {"HOUSE_API_KEY"}  # an example
    for provider in Catalog.load(None).providers.values():
        known |= {provider.key_variable, provider.base_url_variable}
    unknown = set(
        re.findall(r"\b[A-Z]+(?:_[A-Z]+)*_(?:API_KEY|BASE_URL)\b|\bOPENRESPONSES_[A-Z_]+[A-Z]\b", text)
    )
    unknown -= known
    if unknown:
        code = "\n".join(path.read_text() for path in SOURCES)
        unknown = {name for name in unknown if name not in code}
    assert not unknown


@every_page
def test_headers_that_are_named_exist(page: Path) -> None:
    code = "\n".join(path.read_text() for path in SOURCES)
    assert all(header in code for header in re.findall(r"x-openresponses-[a-z-]+", page.read_text()))


@every_page
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join([*code_of(page), *(block for _, block in FENCE.findall(page.read_text()))])
    named = set(re.findall(r"(?:^|[\s;&])make (?:[A-Z]+=\S+ )*([a-z][a-z-]*)", text, re.MULTILINE))
    assert named <= targets


def test_paths_that_are_named_exist() -> None:
    shapes = [re.sub(r"\{[^}]+\}", "[^/]+", path) for path in [*OPERATIONS, "/openapi.json", "/"]]
    for page in docs.PAGES:
        for path in re.findall(r"`(?:GET|POST|DELETE) (/[^\s`?]*)", page.read_text()):
            assert any(re.fullmatch(shape, path) for shape in shapes), f"{page.name}: {path}"


# The command line itself: at the beginning of a line or behind a pipe, after variables and a path.
CALL = re.compile(r"(?:^|[|;&] *)(?:[A-Z_]+=\S+ +)*(?:\S*/bin/)?openresponses( .+)$", re.MULTILINE)


def test_commands_that_are_named_exist() -> None:
    """Each command that a page calls exists, with the commands below it and the options that it is given."""
    for page in PAGES:
        text = "\n".join([*code_of(page), *(block for _, block in FENCE.findall(page.read_text()))])
        for line in CALL.findall(text):
            called = shlex.split(re.split(r"[|>;&#]|\s\(|`", line)[0].replace("\\", ""), posix=True)
            known = command_named(called)
            options = {word.partition("=")[0] for word in called if word.startswith("-") and word != "-"}
            assert options <= known, f"{page.name}: openresponses{line}"


def command_named(words: list[str]) -> set[str]:
    """The options of the command that the words name. Raises AssertionError where there is none."""
    command: click.Command = root(cli.COMMANDS)
    words = list(words)
    while isinstance(command, click.Group) and words and words[0].islower() and words[0][0] != "-":
        found = command.get_command(click.Context(command), words[0])
        assert found, f"openresponses has no command {words[0]!r}"
        command, words = found, words[1:]
    return {name for option in command.params for name in option.opts} | {"--help", "-h"}


def test_events_and_codes_that_are_named_exist() -> None:
    streaming = (ROOT / "docs/streaming.md").read_text()
    named = set(re.findall(r"^event: (\S+)$", streaming, re.MULTILINE))
    assert named and named <= set(events.MEANINGS)
    assert set(ERRORS) <= set(docs.ERROR_MEANINGS), "scripts/docs.py says what each error means"
    errors = "\n".join(page.read_text() for page in docs.PAGES)
    for code in re.findall(r'"code": ?"(\w+)"', errors):
        assert code in ERRORS
    asked = set(re.findall(r'(?:"|\\n)(/[a-z]+) ', (ROOT / "docs/echo.md").read_text()))
    assert asked and asked <= set(COMMANDS)
