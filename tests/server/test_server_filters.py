"""The filter language: by a second reading of it in plain Python, and over HTTP."""

from __future__ import annotations

import itertools
import json
import operator

import pytest
from databases import in_memory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_tools import call, create, listed

from keywordsai.server.app import serve_in_thread
from keywordsai.server.ids import IdSource
from keywordsai.server.language import OPERATORS, Condition
from keywordsai.server.newlogs import new_log
from keywordsai.server.query import ListQuery, Selection
from keywordsai.server.store import Store
from keywordsai.server.times import parse_time

HOUR = 3_600_000_000
SPAN = 3 * HOUR
NEW_ID = IdSource()

# What differs between databases, collations and alphabets, and what LIKE would read.
WORDS = [
    *(
        "",
        "a",
        "A",
        "ab",
        "B",
        "b",
        "é",
        "É",
        "Straße",
        "STRASSE",
        "\u017f",
        "S",
        "\u0130",
        "i",
    ),
    *(
        "ǅ",
        "σς",
        "ΣΣ",
        "%",
        "_",
        "a%b",
        "a_b",
        "\\",
        "'",
        '"',
        "\x00",
        "\ud800",
        "\uffff",
    ),
    *("true", "True", "false", "3", "3.0", "0.5", "2026-01-01", "2026-01-01T00:00:00Z"),
    *("x" * 300, "y" * 200 + "É" + "x" * 200, "sha256:", "Z" * 257, "\U0001f600"),
]
WORD = st.sampled_from(WORDS)
NUMBER = st.sampled_from([0, 1, 3, -2, 0.5, 3.0, 2**53 + 1, 2**70, 1e20, -0.0])
PLAIN = WORD | NUMBER | st.booleans()
MEMBER = st.recursive(
    PLAIN | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "a__b"]), inner, max_size=3)
    ),
    max_leaves=5,
)
TIME = st.sampled_from(
    ["2026-01-01", "2026-01-01T00:00:00.000001Z", "2025-12-31T23:00"]
)
LOG = st.fixed_dictionaries(
    {},
    optional={
        "model": WORD,
        "customer_identifier": PLAIN,
        "custom_identifier": WORD,
        "status": st.sampled_from(["success", "failed", "Success"]),
        "status_code": st.sampled_from([200, 404, 500]),
        "prompt_tokens": st.integers(0, 4),
        "cost": st.sampled_from([0, 0.5, 1, 3.0, -2]),
        "start_time": TIME,
        "temperature": NUMBER,
        "note": WORD,
        "stop": WORD | st.lists(WORD, max_size=2),
        "output": WORD,
        "metadata": st.dictionaries(st.sampled_from(["a", "b", "a__b"]), MEMBER),
    },
)
TEXTS = ("model", "customer_identifier", "custom_identifier", "status", "output")
NUMBERS = ("status_code", "prompt_tokens", "cost", "total_tokens")
LOOSE = ("note", "temperature", "stop", "a", "metadata__a", "metadata__a__b", "b")
SEARCHES = {"contains", "icontains", "startswith", "endswith"}
ORDERS = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
OPPOSITES = {"not": "", "not_in": "in", "not_empty": "empty"}


@st.composite
def conditions(draw):
    field = draw(st.sampled_from([*TEXTS, *NUMBERS, *LOOSE, "start_time"]))
    value = PLAIN
    names = OPERATORS
    if field in NUMBERS:
        names = [name for name in OPERATORS if name not in SEARCHES]
        value = NUMBER
    elif field == "start_time":
        names = [name for name in OPERATORS if name not in SEARCHES]
        value = TIME
    elif draw(st.booleans()):
        value = WORD.map(lambda word: word[:2]) | WORD.map(lambda word: word[-2:])
    name = draw(st.sampled_from(names))
    if name == "isnull":
        values = (draw(st.booleans()),)
    elif name in {"empty", "not_empty"}:
        values = ()
    elif name in {"in", "not_in"}:
        values = tuple(draw(st.lists(value, max_size=3)))
    else:
        values = (draw(value),)
    return Condition(field=field, operator=name, values=values)


def written(value):
    """A value as a text, equal numbers alike."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value == int(value):
        value = int(value)
    text = str(value)
    for bad in ("\x00", "\ud800", "\uffff"):  # as the store escapes them
        text = text.replace(bad, f"\\u{ord(bad):04x}")
    return text


def number_of(value):
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def values_of(log, field):
    """All the plain values of a field; and whether it holds anything, and is empty."""
    if field == "total_tokens":
        field = "prompt_tokens"
    if field in {*TEXTS, *NUMBERS, "note", "temperature", "stop", "start_time"}:
        default = {"status_code": 200}.get(field)
        if field == "status":
            default = "failed" if log.get("status_code", 200) >= 400 else "success"
        value = log.get(field, default)
        found = [value] if value is not None else []
    else:
        found = []
        collect(
            "metadata", log.get("metadata", {}), field.removeprefix("metadata__"), found
        )
    plain = [value for value in found if not isinstance(value, list | dict)]
    full = any(value not in ("", [], {}) for value in found)
    return plain, bool(found), not full


def collect(at, value, field, found):
    if at == f"metadata__{field}" and value is not None:
        found.append(value)
    if isinstance(value, dict):
        for key, member in value.items():
            collect(f"{at}__{key}", member, field, found)
    elif isinstance(value, list):
        for member in value:
            collect(at, member, field, found)


def equal(field, value, asked):
    if field in NUMBERS:
        return number_of(value) == number_of(asked)
    if field == "start_time":
        return parse_time(value) == parse_time(asked)
    texts = {written(asked)}
    if isinstance(asked, str) and asked.lower() in {"true", "false"}:
        texts.add(asked.lower())
    if isinstance(asked, str) and number_of(asked) is not None:
        texts.add(written(float(asked)))
    return written(value) in texts


def says(field, name, value, asked):
    """Whether one plain value meets a condition that denies nothing."""
    if name in {"", "in"}:
        return equal(field, value, asked)
    if name in ORDERS:
        if field == "start_time":
            return ORDERS[name](parse_time(value), parse_time(asked))
        if field in NUMBERS:
            return ORDERS[name](value, asked)
        loose = field not in TEXTS
        number = number_of(asked) if loose else None
        if number is not None:
            mine = None if isinstance(value, str) else number_of(value)
            return mine is not None and ORDERS[name](mine, number)
        if loose and not isinstance(value, str | bool):
            return False
        return ORDERS[name](written(value), written(asked))
    if name == "iexact" and (field in NUMBERS or field == "start_time"):
        return equal(field, value, asked)
    text, part = written(value), written(asked)
    if name in {"iexact", "icontains"}:
        text, part = text.casefold(), part.casefold()
    return {
        "iexact": text == part,
        "contains": part in text,
        "icontains": part in text,
        "startswith": text.startswith(part),
        "endswith": text.endswith(part),
    }[name]


def holds(log, condition):
    name = condition.operator
    plain, present, empty = values_of(log, condition.field)
    if name == "isnull":
        return present != condition.values[0]
    positive = OPPOSITES.get(name, name)
    if positive == "empty":
        return empty == (name == "empty")
    found = any(
        says(condition.field, positive, value, asked)
        for value in plain
        for asked in condition.values
    )
    return found == (name == positive)


@pytest.fixture
def store(database):
    store = Store.open(in_memory(database))
    yield store
    store.close()


def put(store, logs, *, start):
    """Store logs a minute apart; their ids."""
    new = []
    for n, log in enumerate(logs):
        body = {**log, "timestamp": (start + n * 60_000_000) / 1e6}
        new.append(new_log(json.dumps(body), body, log_id=NEW_ID(), now=0))
    return store.add(new)


def found(store, *conditions, start=None, end=None, **options):
    given = {
        "page": 1,
        "page_size": 1000,
        "sort_by": "id",
        "descending": False,
        "include_fields": None,
        "url": "",
    }
    selection = Selection(start=start, end=end, conditions=conditions)
    page = store.find(ListQuery(selection=selection, **{**given, **options}))
    assert len(page.logs) == page.count
    return [log.id for log in page.logs]


EXAMPLES = 25
STARTS = itertools.count(1_000_000 * HOUR, SPAN)  # of each example, another time


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    logs=st.lists(LOG, min_size=1, max_size=12),
    asked=st.lists(conditions(), max_size=3),
)
def test_sql_reads_conditions_as_python_does(store, logs, asked):
    start = next(STARTS) % (4_000_000 * HOUR)
    ids = put(store, logs, start=start)
    for some in (asked, *([one] for one in asked)):
        expected = [
            log_id
            for log_id, log in zip(ids, logs, strict=True)
            if all(holds(log, condition) for condition in some)
        ]
        assert found(store, *some, start=start, end=start + SPAN - 1) == expected


@pytest.mark.parametrize("short", [True, False])
def test_a_condition_means_the_same_however_many_logs_meet_it(
    database, monkeypatch, short
):
    """Long lists of rows are gone about another way than short ones."""
    monkeypatch.setattr("keywordsai.server.where._SHORT", 1000 if short else 1)
    store = Store.open(in_memory(database))
    logs = [
        {"model": f"m{n % 2}", "metadata": {"a": n % 3, "tags": ["x", f"t{n % 4}"]}}
        for n in range(40)
    ]
    ids = put(store, logs, start=0)
    cases = [
        ([("a", "", 1)], lambda n: n % 3 == 1),
        ([("a", "not", 1)], lambda n: n % 3 != 1),
        ([("a", "gt", 0), ("model", "", "m1")], lambda n: n % 3 and n % 2),
        ([("tags", "in", "x", "t1")], lambda n: True),
        ([("tags", "not_in", "t0", "t1")], lambda n: n % 4 > 1),
        ([("tags", "contains", "t")], lambda n: True),
        ([("tags", "icontains", "T3")], lambda n: n % 4 == 3),
        ([("tags", "", "t2"), ("a", "lt", 2)], lambda n: n % 4 == 2 and n % 3 < 2),
        ([("b", "isnull", True)], lambda n: True),
        ([("a", "isnull", True)], lambda n: False),
    ]
    try:
        for stated, test in cases:
            asked = [
                Condition(field=field, operator=name, values=tuple(values))
                for field, name, *values in stated
            ]
            for first, last in ((0, 40), (5, 20), (39, 40)):
                expected = [ids[n] for n in range(first, last) if test(n)]
                span = {"start": first * 60_000_000, "end": (last - 1) * 60_000_000}
                if (first, last) == (0, 40):
                    assert found(store, *asked) == expected
                assert found(store, *asked, **span) == expected
                newest = found(store, *asked, **span, descending=True)
                assert newest == expected[::-1]
                latest = found(
                    store, *asked, **span, sort_by="timestamp", descending=True
                )
                assert latest == expected[::-1]
    finally:
        store.close()


@pytest.fixture(scope="module")
def five():
    """Five logs, the first the oldest."""
    with serve_in_thread() as url:
        for n in range(5):
            log = {
                "n": n,
                "model": ["gpt-4", "GPT-4o", "claude", "Straße", ""][n],
                "cost": n / 10,
                "timestamp": f"2026-01-0{n + 1}T00:00:00Z",
                "metadata": {"n": n, "user": {"plan": "free" if n % 2 else "pro"}},
            }
            if n == 2:
                log |= {"note": "100%_sure", "output": "All is WELL"}
            create(url, log)
        yield url


def ns(answer):
    assert answer.status == 200, answer.body
    assert answer.json["count"] == len(answer.json["results"])
    return [row["n"] for row in answer.json["results"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("cost[operator]=gt&cost[value]=0.1", [2, 3, 4]),
        ("cost[value]=0.1&cost[operator]=not", [0, 2, 3, 4]),
        (
            "cost[operator]=gte&cost[value]=0.1&cost[operator]=lt&cost[value]=0.3",
            [1, 2],
        ),
        ("model[operator]=icontains&model[value]=GPT", [0, 1]),
        ("model[operator]=iexact&model[value]=STRASSE", [3]),
        ("model[operator]=in&model[value]=gpt-4,claude", [0, 2]),
        ("model[operator]=in&model[value]=gpt-4&model[value]=claude", [0, 2]),
        ("model[operator]=not_in&model[value]=gpt-4,claude", [1, 3, 4]),
        ("model[operator]=empty", [4]),
        ("model[operator]=not_empty&model[value]=", [0, 1, 2, 3]),
        ("note[operator]=isnull&note[value]=false", [2]),
        ("note[operator]=isnull", [0, 1, 3, 4]),
        ("note[operator]=contains&note[value]=%25_", [2]),
        ("note[operator]=contains&note[value]=0_%25", []),
        ("note[operator]=endswith&note[value]=sure", [2]),
        ("note[operator]=startswith&note[value]=100", [2]),
        ("output[operator]=icontains&output[value]=well", [2]),
        ("output[operator]=contains&output[value]=well", []),
        ("user__plan=pro", [0, 2, 4]),
        ("metadata__user__plan[operator]=not&metadata__user__plan[value]=pro", [1, 3]),
        ("timestamp[operator]=gt&timestamp[value]=2026-01-03T01:00:00%2B01:00", [3, 4]),
        ("timestamp[operator]=lte&timestamp[value]=2026-01-02", [0, 1]),
        ("n[operator]=lt&n[value]=2", [0, 1]),
        ("is_test=false&all_envs=true&fetch_filters=true&n=1", [1]),
    ],
)
def test_conditions_of_a_url(five, query, expected):
    assert ns(call(f"{five}/request-logs/list/?sort_by=id&{query}")) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"cost": {"operator": "gt", "value": [0.1]}}, [2, 3, 4]),
        (
            {
                "cost": [
                    {"operator": "gt", "value": [0]},
                    {"operator": "lte", "value": 0.2},
                ]
            },
            [1, 2],
        ),
        ({"n": {"operator": "in", "value": [1, 3]}}, [1, 3]),
        ({"n": {"operator": "not_in", "value": []}}, [0, 1, 2, 3, 4]),
        ({"note": {"operator": "isnull", "value": [True]}}, [0, 1, 3, 4]),
        ({"metadata__user": {"operator": "isnull", "value": [True]}}, []),
        ({"note": {"operator": "not_empty"}}, [2]),
    ],
)
def test_conditions_of_a_body(five, filters, expected):
    body = {"filters": filters, "sort_by": "id"}
    assert ns(call(f"{five}/request-logs/list/", "POST", body)) == expected


def test_options_in_the_body(five):
    body = {
        "page": 2,
        "page_size": 2,
        "sort_by": "-cost",
        "start_time": "2026-01-02",
        "end_time": "2026-01-04",
        "include_fields": ["n", "id"],
        "is_test": False,
        "environment": None,
    }
    url = f"{five}/request-logs/list/"
    answer = call(url, "POST", body).json
    assert [row["n"] for row in answer["results"]] == [1]
    assert answer["results"][0].keys() == {"n", "id"}
    assert (answer["count"], answer["next"]) == (3, None)
    before = call(answer["previous"], "POST", body).json
    assert [row["n"] for row in before["results"]] == [3, 2]
    assert call(before["next"], "POST", body).json == answer


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("cost[operator]=above&cost[value]=1", "cost: unknown operator 'above'"),
        ("cost[operator]=contains&cost[value]=1", "cost: contains is for texts"),
        ("cost[operator]=gt&cost[value]=much", "cost: gt expects a number"),
        ("timestamp[operator]=lt&timestamp[value]=now", "lt expects an ISO 8601 time"),
        ("model[operator]=gt", "model: expected as many [value]"),
        ("model[operator]=isnull&model[value]=perhaps", "isnull expects true or false"),
    ],
)
def test_what_a_url_cannot_mean(shared_url, query, words):
    answer = call(f"{shared_url}/request-logs/list/?{query}")
    assert answer.status == 400
    assert words in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"filters": {"a": {"operator": "gt", "value": []}}}, "got 0"),
        ({"filters": {"a": {"operator": "gt", "value": [1, 2]}}}, "got 2"),
        ({"filters": {"a": {"operator": "in", "value": [{}]}}}, "array of strings"),
        ({"filters": {"a": {"operator": ["gt"], "value": [1]}}}, "unknown operator"),
        ({"filters": {"a": {"operator": "in", "value": [1] * 1001}}}, "1000 values"),
        ({"page": "first"}, "page: expected a whole number"),
        ({"page_size": 1001}, "page_size: expected a whole number"),
        ({"sort_by": ["id"]}, "sort_by: expected one of"),
        ({"start_time": {}}, "start_time: expected an ISO 8601 time"),
        ({"include_fields": 1}, "include_fields: expected names"),
    ],
)
def test_what_a_body_cannot_mean(shared_url, body, words):
    answer = call(f"{shared_url}/request-logs/list/", "POST", body)
    assert answer.status == 400
    assert words in answer.json["detail"]


@pytest.mark.parametrize("text", ["\x00", "\ud800", "é", "0" * 31, "g" * 32])
@pytest.mark.parametrize("name", ["", "not", "in", "not_in", "iexact", "contains"])
def test_any_text_may_be_asked_for_as_an_id(shared_url, text, name):
    ours = {"metadata__asked_as_an_id": {"operator": "", "value": [f"{name} {text}"]}}
    create(shared_url, {"metadata": {"asked_as_an_id": f"{name} {text}"}})
    filters = {**ours, "id": {"operator": name, "value": [text]}}
    answer = call(f"{shared_url}/request-logs/list/", "POST", {"filters": filters})
    assert answer.status == 200
    assert answer.json["count"] == (1 if name.startswith("not") else 0)


@pytest.mark.parametrize("name", ["in", "not_in"])
def test_there_may_be_a_thousand_values(url, name):
    log = {"cost": 998, "prompt_tokens": 998, "timestamp": "1970-01-01T00:16:38Z"}
    ours = create(url, log)
    create(url, {})
    several = [*range(999), 998.0]
    values = {
        "cost": several,
        "prompt_tokens": several,
        "timestamp": several,
        "id": [*(f"{n:032x}" for n in range(999)), ours],
        "model": [f"model-{n}" for n in range(1000)],
    }
    for field, asked in values.items():
        filters = {field: {"operator": name, "value": asked}}
        answer = call(f"{url}/request-logs/list/", "POST", {"filters": filters})
        expected = 0 if field == "model" else 1
        assert answer.json["count"] == (2 - expected if name == "not_in" else expected)


@pytest.mark.parametrize(
    ("name", "count"), [("", 1), ("in", 1), ("not", 0), ("lte", 1), ("lt", 0)]
)
def test_a_price_may_be_more_than_an_integer_column_holds(url, name, count):
    create(url, {"cost": 1e19})
    filters = {"cost": {"operator": name, "value": [10**19]}}
    answer = call(f"{url}/request-logs/list/", "POST", {"filters": filters})
    assert answer.json["count"] == count


def test_lists_go_back_to_the_first_log(url):
    create(url, {"timestamp": "2020-01-01"})
    assert listed(url)["count"] == 1
