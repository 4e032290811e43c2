"""The documentation, run: what a reader can copy does what the page says.

Every ``python`` block of the pages is a case. It runs in a process of its own,
with every warning an error, against a real local server; it must end well and
write nothing to standard error. A comment on the line before says otherwise:

- ``<!-- not run: reason -->``: an error or a fragment; it is compiled only,
- ``<!-- continues -->``: it is run after the blocks above it, up to the last one
  that stands alone,
- ``<!-- notebook -->``: it is run inside a running event loop, as a cell is,
- ``<!-- prints -->`` before a ``text`` block: what the block above printed, ``...``
  standing for anything.

A block with test functions is run by pytest. The docstrings' examples run too.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import keywordsai
from keywordsai import cli, settings
from keywordsai.server.app import serve_in_thread
from keywordsai.server.cli import KEY_VARIABLE
from keywordsai.transport import network

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if path.exists() and "_build" not in path.relative_to(ROOT).parts
]
REFERENCE = "".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").glob("*.md")
)
FENCE = re.compile(
    r"(?:^<!-- (?P<marker>not run|continues|notebook|prints)(?:: (?P<why>[^>]*))? -->\n)?"
    r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
DEADLINE = 60  # seconds that a block may take

# A cell of a notebook: the loop is running, and may be awaited in.
CELL = """
import ast, asyncio, inspect, sys
with open(sys.argv[1], encoding="utf-8") as file:
    source = file.read()
code = compile(source, sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
async def cell():
    found = eval(code, {"__name__": "__main__"})
    if inspect.isawaitable(found):
        await found
asyncio.run(cell())
"""


@attrs.frozen
class Block:
    page: str
    line: int
    code: str
    marker: str | None
    reason: str | None
    before: str
    printed: str | None

    def __str__(self):
        return f"{self.page}:{self.line}"


def blocks_of(path):
    text = path.read_text(encoding="utf-8")
    page = path.relative_to(ROOT).as_posix()
    chain, found = "", []
    for match in FENCE.finditer(text):
        marker, why, language, code = match.group("marker", "why", "language", "text")
        if marker == "prints":
            found[-1] = attrs.evolve(found[-1], printed=code)
        if language != "python":
            continue
        line = text.count("\n", 0, match.start("text")) + 1
        before = chain if marker == "continues" else ""
        found.append(Block(page, line, code, marker, why, before, None))
        if marker != "not run":
            chain = before + code
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


@pytest.fixture(scope="module")
def server():
    with serve_in_thread() as url:
        yield url


@pytest.fixture
def environment(server):
    """Of the process's own only what Python needs, and the way to the server."""
    kept = {
        name: os.environ[name]
        for name in (
            "PATH",
            "HOME",
            "LANG",
            "TMPDIR",
            "VIRTUAL_ENV",
            "SYSTEMROOT",
            "PYTHONPATH",
        )
        if name in os.environ
    }
    return {
        **kept,
        "PYTHONUTF8": "1",
        "KEYWORDSAI_BASE_URL": f"{server}/api",
        "KEYWORDSAI_API_KEY": "a-made-up-key",
        "KEYWORDS_AI_API_KEY": "a-made-up-key",
    }


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block(block, environment, tmp_path):
    code = "\n" * (block.line - 1) + block.code
    compile(code, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if block.marker == "not run":
        assert block.reason, f"{block}: say why it is not run"
        return
    file = tmp_path / "test_example.py"
    file.write_text(block.before + block.code, encoding="utf-8")
    command = [str(file)]
    if "\ndef test_" in f"\n{block.code}":
        # By its name too, lest the installed metadata be older than the source.
        plugins = ["-p", "keywordsai.testing", "-p", "no:cacheprovider"]
        options = ["-W", "error", *plugins, "--rootdir", str(tmp_path)]
        command = ["-m", "pytest", "-q", *options, str(file)]
    elif block.marker == "notebook":
        command = ["-c", CELL, str(file)]
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    if block.printed is not None:
        same = doctest.OutputChecker().check_output(
            block.printed, done.stdout, doctest.ELLIPSIS
        )
        assert same, f"{block} printed:\n{done.stdout}and not:\n{block.printed}"


def test_there_is_something_to_run():
    pages = {block.page for block in BLOCKS}
    assert {"docs/tutorial.md", "docs/how-to/examples.md"} <= pages
    assert sum(block.marker == "not run" for block in BLOCKS) <= len(BLOCKS) // 4


MODULES = [
    "keywordsai",
    *(
        module.name
        for module in pkgutil.walk_packages(keywordsai.__path__, "keywordsai.")
        if not module.name.endswith("__main__")
    ),
]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    result = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.ELLIPSIS
    )
    assert result.failed == 0


@pytest.mark.parametrize("name", keywordsai.__all__)
def test_public_name_is_in_the_reference(name):
    assert re.search(rf"\b{name}\b", REFERENCE)


@pytest.mark.parametrize(
    "variable",
    [
        *settings.API_KEY_VARIABLES,
        *settings.BASE_URL_VARIABLES,
        settings.ENABLED_VARIABLE,
        *network._CA_VARIABLES,
        *("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"),
        KEY_VARIABLE,
    ],
)
def test_variable_is_in_the_reference(variable):
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert f"`{variable}`" in page


def test_every_option_of_the_command_line_is_in_the_reference(capsys):
    page = (ROOT / "docs/reference/command-line.md").read_text(encoding="utf-8")
    for command in ("serve", "quickstart", "push"):
        assert f"`keywordsai {command}`" in page
        assert cli.main([command, "--help"]) == 0
        options = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
        assert {name for name in options if f"`{name}" not in page} == {"--help"}
