"""The documentation says what is so: tables are the code's, sessions run as printed, links and names lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import socket

import click
import pytest
from openresponses import cli
from openresponses.adapters.echo import COMMANDS
from openresponses.catalog import Catalog
from openresponses.cli.base import root
from openresponses.http.openapi import OPERATIONS
from openresponses.protocol.errors import ERRORS
from openresponses.protocol.items import MAX_INPUT_ITEMS, MAX_TOOLS
from openresponses.settings import TABLE, Settings
from openresponses.store.base import MAX_CHAIN

from scripts import costs, docs, events

from . import sessions
from .sessions import ADDRESS, serving

ROOT = docs.ROOT
CORE = ROOT / "layers/core/openresponses"
README = ROOT / "README.md"
PAGES = [*docs.PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
# A fenced block: its language and its text.
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

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

AWS, KEY = "needs an AWS account", "needs a provider's key"
# Commands of pages that no test of this file runs: page (or any, *), how the block begins, why.
NOT_RUN = {
    ("*", "make "): "it needs the checkout, and CI runs it; that it exists is tested below",
    ("README.md", "git clone"): "the server of the tests stands for it",
    ("docs/deploying.md", ""): AWS,
    ("docs/operating.md", ""): AWS,
    ("docs/runbook.md", ""): AWS,
    ("docs/retention.md", "openresponses responses list"): "its ids are those of your responses",
    ("docs/cli.md", "openresponses ask"): "tests/cli/test_session.py runs it",
    ("docs/getting-started.md", "ANTHROPIC_API_KEY"): KEY,
    ("CONTRIBUTING.md", "git clone"): "it installs; CI does the same",
}


SLOW = {"getting-started.md", "conversation-history.md"}


def why_not_run(page: Path, block: sessions.Block) -> str | None:
    name = str(page.relative_to(ROOT))
    rows = ((begins, why) for (where, begins), why in NOT_RUN.items() if where in (name, "*"))
    return next((why for begins, why in rows if block.commands.startswith(begins)), None)


def to_run(page: Path) -> list[sessions.Block]:
    return [block for block in sessions.blocks(page.read_text()) if why_not_run(page, block) is None]


def free_port() -> int:
    with socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """As a new user starts it: no key, an empty data folder."""
    with serving(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] * (page.name in SLOW))
        for page in PAGES
        if to_run(page)
    ],
)
def test_the_commands_of_a_page_print_what_it_says(
    page: Path, served: tuple[str, str], tmp_path: Path
) -> None:
    text = page.read_text().replace("4100", str(free_port()))  # the page's other server
    chosen = [block for block in sessions.blocks(text) if why_not_run(page, block) is None]
    with ExitStack() as stack:
        url = served[0]
        if own := sessions.SERVER.search(text):
            for name, content in sessions.files(text).items():
                (tmp_path / name).write_text(content)
            given = dict(pair.split("=", 1) for pair in own[1].split())
            url, _ = stack.enter_context(serving(tmp_path, **given))
        printed = sessions.run_page(text, chosen, url, tmp_path)
    for block, got in zip(chosen, printed, strict=True):
        if block.printed is None:
            assert '"error":{' not in got, block.commands
        else:
            assert sessions.agrees(block.printed, got), f"{block.commands}\nprinted\n{sessions.plain(got)}"


def test_the_greeting_of_the_readme(served: tuple[str, str]) -> None:
    [block] = [b for b in sessions.blocks(README.read_text()) if b.commands.startswith("git clone")]
    assert block.commands.splitlines()[-1] == "make run"
    [promised] = re.findall(r"<!-- generated:greeting -->\n```text\n(.*?)```", README.read_text(), re.DOTALL)
    assert sessions.plain(served[1]) == sessions.plain(promised)


def test_the_figures_of_the_readme() -> None:
    readme = README.read_text()
    [together] = re.findall(r"^\| Together \| (\$\d+) ", costs.table(), re.MULTILINE)
    [idle] = re.findall(r"^Idle: (\$\d+)", costs.table(), re.MULTILINE)
    assert f"about {together} on AWS" in readme and f"{int(idle[1:]) + 1} a month" in readme
    limits = f"{MAX_INPUT_ITEMS} input items, {MAX_TOOLS} tools, {MAX_CHAIN} turns"
    assert limits in readme and f"{Settings().max_body_bytes >> 20} MB a request" in readme


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = [page.relative_to(ROOT / "docs") for page in docs.PAGES if page.is_relative_to(ROOT / "docs")]
    assert [str(page) for page in pages if f"]({page})" not in index and page.name != "README.md"] == []


def test_every_command_of_a_page_is_run_or_has_its_reason() -> None:
    used = set()
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        if (name, "") in NOT_RUN:
            used.add((name, ""))
            continue
        assert not sessions.unlabelled_commands(page.read_text()), f"{name}: mark the block as sh"
        commands = [block.commands for block in sessions.blocks(page.read_text())]
        used |= {
            row for row in NOT_RUN if row[0] in (name, "*") and any(c.startswith(row[1]) for c in commands)
        }
    assert used == set(NOT_RUN), "a reason without its commands"


def test_an_output_that_differs_is_told() -> None:
    assert sessions.agrees('"id":"resp_…", "text":"Hi"', '"id":"resp_0199", "text":"Hi"')
    assert not sessions.agrees('"text":"Hi"', '"text":"Ho"')
    assert not sessions.agrees("one", "one\ntwo")


def test_the_python_of_the_readme(served: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    [program] = [text for language, text in FENCE.findall(README.read_text()) if language == "python"]
    scope: dict[str, object] = {}
    exec(program.replace(ADDRESS, served[0]), scope)
    scope["client"].close()  # type: ignore[attr-defined]
    assert "My name is Alice." in capsys.readouterr().out


@every_page
def test_configuration_files_that_are_shown_can_be_read(page: Path, tmp_path: Path) -> None:
    for language, text in FENCE.findall(page.read_text()):
        if language == "toml" and text.startswith("[["):  # else another program's
            file = tmp_path / "models.toml"
            # An adapter that the page shows is imported where its commands run.
            file.write_text(re.sub(r'adapter = "\w+:\w+"', 'adapter = "chat"', text))
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
    known = {row.variable for row in TABLE} | {"HOUSE_API_KEY", "PARROT_API_KEY"}  # examples
    known.add("COPILOT_PROVIDER_BASE_URL")  # a client's
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
    shapes = [re.sub(r"\{[^}]+\}", "[^/]+", path) for path in [*OPERATIONS, "/openapi.json", "/", "/metrics"]]
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
