"""The rules of the house: what may import what, what is public, what is shown."""

from __future__ import annotations

import ast
import importlib
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import keywordsai
from keywordsai import errors

PACKAGE = Path(keywordsai.__file__).parent
PURE = [
    *(PACKAGE / "logs").glob("*.py"),
    *(PACKAGE / "transport" / f"{name}.py" for name in ("base", "retry", "flow", "status", "network", "failures", "mock", "forks", "databases")),
    *(path for path in (PACKAGE / "delivery").glob("*.py") if path.name not in {"async_driver.py", "thread_driver.py", "client.py"}),
    PACKAGE / "settings.py",
    PACKAGE / "errors.py",
]  # fmt: skip


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def at_run_time(tree):
    """The module without what only type checkers see."""
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return tree


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.name)
def test_what_decides_is_pure(path):
    tree = at_run_time(ast.parse(path.read_text()))
    network = {"requests", "aiohttp", "urllib3", "socket", "asyncio", "sqlalchemy"}
    allowed = {"socket"} if path.name == "failures.py" else set()  # its gaierror
    ours = {f"keywordsai.transport.{name}" for name in ("requests", "aiohttp")}
    names = set(imported(tree))
    assert not ({name.partition(".")[0] for name in names} & network) - allowed
    assert not names & {
        *ours,
        "keywordsai.transport.deadline",
        "keywordsai.transport.sessions",
    }


def test_only_the_command_line_prints():
    for path in PACKAGE.rglob("*.py"):
        if path.name not in {"cli.py", "quickstart.py"}:
            calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))  # fmt: skip
            assert not [c for c in calls if getattr(c.func, "id", "") == "print"], path


def test_the_exported_names():
    assert sorted(keywordsai.__all__) == keywordsai.__all__
    assert keywordsai.__all__ == sorted(
        """
        APIControls APIStatusError AuthenticationError BadRequestError ClosedError
        ConfigurationError ConnectError Customer DeliveryStats FlushResult
        FunctionCall FunctionDefinition
        HTTPRequest HTTPResponse InvalidLogError KeywordsAIError Log LogAPI LogPage
        LogParams Message MockTransport NotFoundError PayloadTooLargeError
        PermissionDeniedError PromptTokensDetails ProtocolError RateLimitError
        ReadTimeout ResponseFormat RetryPolicy ServerError Timeout Tool ToolCall
        ToolChoice TransportError UnexpectedRedirectError UnprocessableLogError Usage
        create_log_client
        """.split()  # noqa: SIM905
    )


def test_every_module_exports_what_it_has():
    for info in pkgutil.walk_packages([str(PACKAGE)], "keywordsai."):
        if info.name.rpartition(".")[2] != "__main__":
            module = importlib.import_module(info.name)
            for name in getattr(module, "__all__", ()):
                assert getattr(module, name, None) is not None, (info.name, name)


def test_the_published_names_are_our_classes():
    from keywordsai.logs import LogAPI, create_log_client
    from keywordsai.types import log_types

    assert keywordsai.LogAPI is LogAPI
    assert keywordsai.create_log_client is create_log_client
    assert log_types.KeywordsAILogParams is keywordsai.LogParams
    assert log_types.KeywordsAIFullLogParams is keywordsai.Log
    assert log_types.LogList is keywordsai.LogPage


def test_the_version_is_that_of_the_distribution():
    assert keywordsai.__version__ == "2.0.0"
    for module in (keywordsai, keywordsai.transport):
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = module.nothing


def test_transports_are_reached_from_their_package():
    from keywordsai.transport import AiohttpTransport, RequestsTransport

    assert AiohttpTransport.__module__ == "keywordsai.transport.aiohttp"
    assert RequestsTransport.__module__ == "keywordsai.transport.requests"


def test_importing_loads_neither_http_library():
    code = (
        "from keywordsai import LogAPI; import sys; LogAPI('k'); "
        "print({'requests', 'aiohttp', 'sqlalchemy', 'sqlite3', 'logging'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "set()"


def test_a_database_loads_no_http_library_and_no_web_server():
    code = (
        "from keywordsai import LogAPI; import sys; LogAPI(base_url='sqlite://'); "
        "print({'requests', 'aiohttp', 'sqlalchemy', 'alembic', 'jinja2'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "{'sqlalchemy'}"


def test_only_the_embedded_transport_knows_the_server():
    for path in PACKAGE.rglob("*.py"):
        folder = path.parent.name
        if folder in {"logs", "delivery"} or (
            folder == "transport" and path.name != "embedded.py"
        ):
            tree = at_run_time(ast.parse(path.read_text()))
            assert not [
                n for n in imported(tree) if n.startswith("keywordsai.server")
            ], path


@pytest.mark.parametrize(
    "error",
    [
        errors.KeywordsAIError("a"),
        errors.ConfigurationError("a"),
        errors.InvalidLogError([("a", "b")]),
        errors.ClosedError("a"),
        errors.ConnectError("a"),
        errors.ReadTimeout("a", request_sent=True),
        errors.ProtocolError("a", response_started=False),
        errors.RateLimitError("429: a", status=429, retry_after=3.0, body={"a": 1}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (
        str(error),
        error.args,
        vars(error),
    )


def test_the_tree_of_errors_is_the_one_drawn():
    drawn = {line.strip("│├└─ ").split()[0] for line in errors.__doc__.splitlines() if "──" in line}  # fmt: skip
    assert drawn | {"KeywordsAIError"} == set(errors.__all__)
    assert issubclass(errors.ReadTimeout, TimeoutError)
    assert issubclass(errors.ConfigurationError, ValueError)
    assert issubclass(errors.InvalidLogError, ValueError)
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.KeywordsAIError)
