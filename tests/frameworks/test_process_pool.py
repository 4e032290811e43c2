"""concurrent.futures' pool of processes, with each way to start them."""

import multiprocessing

import pytest

NAMES = [f"log-{number}" for number in range(60)]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_every_log_is_delivered_once(program, recorder, method):
    recorder.hold()
    program.start("-m", "pool_app", method, *NAMES)
    program.until("exiting", 2)
    recorder.answer()
    program.ends()
    imports = [f"import-{pid}" for pid in program.marked("imported")]
    assert (len(imports) > 1) == (method != "fork")
    recorder.took_once([*imports, *NAMES, "after"])
