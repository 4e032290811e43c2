"""Children of multiprocessing: all theirs is delivered."""

import pytest
from faults import FaultServer
from programs import CHILD, CHILDREN, Programs, numbers_of_children, place


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


@pytest.fixture
def programs(server, tmp_path):
    with Programs(server.url, tmp_path / "spool", dev=True) as made:
        yield made


MULTIPROCESSING = f"""
import multiprocessing

def work(number):
    watch()
    create(connect(), number)

def work_with(number):
    watch()
    create(client, number)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[3])
    client = connect()
    create(client, 0)
    target = work_with if sys.argv[3] == "fork" else work
    children = [
        context.Process(target=target, args=(number,))
        for number in range(1, {CHILDREN} + 1)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
"""


@pytest.mark.parametrize(
    ("context", "where"),
    [
        ("fork", "memory"),
        ("fork", "folder"),
        ("spawn", "memory"),
        ("forkserver", "folder"),
    ],
)
def test_children_of_multiprocessing(server, programs, where, context):
    programs.run(CHILD, MULTIPROCESSING, arguments=[context], **place(where))
    server.check(numbers_of_children())


def test_a_pool_of_multiprocessing(server, programs):
    text = (
        MULTIPROCESSING.partition("    target =")[0]
        + """
    with context.Pool(2) as pool:
        pool.map(work, range(1, 5), chunksize=1)
        pool.close()
        pool.join()
    """
    )
    programs.run(CHILD, text, arguments=["fork"])
    server.check(numbers_of_children())


def test_children_of_a_process_pool_executor(server, programs):
    text = (
        MULTIPROCESSING.partition("    target =")[0]
        + """
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(work, range(1, 5)))
    """
    )
    programs.run(CHILD, text, arguments=["spawn"], folder="")
    server.check(numbers_of_children())
