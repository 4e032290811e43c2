"""The service and a program that logs to it."""

import pytest
from frameworks.serving import Program, Recorder


@pytest.fixture
def recorder():
    with Recorder() as made:
        yield made


@pytest.fixture
def program(recorder, tmp_path):
    """A program to be started, whose clients log to the recorder, from memory."""
    made = Program(tmp_path, recorder.url)
    yield made
    made.kill()


@pytest.fixture(params=["memory", "folder"])
def either(request, program):
    """Every test that takes this has its logs wait in memory, and in a folder."""
    if request.param == "folder":
        program.use_folder()
    return request.param
