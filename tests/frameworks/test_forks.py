"""What a fork at any moment must find: no import half done in another thread."""


def test_the_worker_imports_only_where_no_fork_comes(program, recorder):
    program.run("-m", "imports_app")
    recorder.took_once(["a log"])
