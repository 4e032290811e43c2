"""The schema: its fields, its dict twins, open keywords, and what repr shows."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import doctest
import inspect
import pickle
import re
import types
import typing
from collections.abc import Mapping, Sequence

import attrs
import pytest

from keywordsai.logs import parts, schema, typed_dicts
from keywordsai.logs.schema import Customer, LogParams, Message, ToolCall, Usage

CLASSES = [
    value
    for _, value in sorted(vars(schema).items())
    if inspect.isclass(value) and attrs.has(value)
]
TWINS = {cls: getattr(typed_dicts, f"{cls.__name__}Dict") for cls in CLASSES}

CONTRACT = """
    model prompt_messages completion_message
    prompt_tokens completion_tokens cost prompt_unit_price completion_unit_price
    generation_time ttft
    temperature top_p frequency_penalty presence_penalty stop stream
    tools tool_choice
    response_format
    customer_params custom_identifier group_identifier thread_identifier
    prompt_id prompt_name is_custom_prompt
    status_code error_message warnings
    metadata full_request positive_feedback
    usage
    keywordsai_api_controls
""".split()  # noqa: SIM905 (reads like the table it is typed from)

DOCUMENTED_ELSEWHERE = """
    input output log_type messages completion_messages full_response tool_calls
    reasoning thinking reasoning_effort latency time_to_first_token tokens_per_second
    prompt_cache_hit_tokens prompt_cache_creation_tokens total_tokens timestamp
    start_time customer_identifier customer_email customer_name trace_unique_id
    trace_name span_unique_id span_name span_parent_id span_path span_workflow_name
    span_handoffs span_tools trace_group_identifier session_identifier status
    variables prompt max_tokens max_completion_tokens n logprobs top_logprobs
    logit_bias echo seed user parallel_tool_calls stream_options timeout embedding
    encoding_format dimensions audio_input_file audio_output_file
    evaluation_identifier eval_params ideal_output note category cache_enabled
    cache_options cache_ttl disable_log properties environment keywordsai_params
    respan_params respan_api_controls unique_id provider_id
""".split()  # noqa: SIM905 (reads like the table it is typed from)

NESTED = {
    "Message": ["role", "content", "tool_call_id", "tool_calls"],
    "ToolCall": ["id", "type", "function"],
    "FunctionCall": ["name", "arguments"],
    "Tool": ["type", "function"],
    "FunctionDefinition": ["name", "description", "parameters"],
    "ToolChoice": ["type", "function"],
    "ToolChoiceFunction": ["name"],
    "ResponseFormat": ["type"],
    "Customer": ["customer_identifier", "name", "email"],
    "Usage": ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "cache_creation_prompt_tokens"],
    "PromptTokensDetails": ["cached_tokens"],
    "APIControls": ["block"],
    "PromptParams": ["prompt_id", "variables"],
    "CacheOptions": ["cache_by_customer"],
    "EvalParams": ["evaluators", "eval_inputs"],
}  # fmt: skip

every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def names(cls):
    return [field.name for field in attrs.fields(cls)]


def empty(cls, **keywords):
    return cls(**({"role": "user"} if cls is Message else {}), **keywords)


def union_members(hint):
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set(typing.get_args(hint))
    return {hint}


def normal(hint, twins):
    """The hint as nested frozensets, with each class's twin beside the class."""
    members = set()
    for member in union_members(hint):
        origin, arguments = typing.get_origin(member), typing.get_args(member)
        if origin is None:
            members.add(member)
            if member in twins:
                members.add(twins[member])
        else:
            members.add((origin, *(normal(argument, twins) for argument in arguments)))
    return frozenset(members)


def test_all_classes_are_here():
    assert {cls.__name__ for cls in CLASSES} == {"LogParams", *NESTED}
    assert set(schema.__all__) == {"LogParams", *parts.__all__}
    assert {twin.__name__ for twin in TWINS.values()} == set(typed_dicts.__all__)


@pytest.mark.parametrize("module", [parts, schema])
def test_examples_run(module):
    failed, attempted = doctest.testmod(module)
    assert (failed, attempted > 0) == (0, True)


def test_every_documented_field_is_typed_and_in_order():
    assert names(LogParams) == [*CONTRACT, *DOCUMENTED_ELSEWHERE, "extra"]


@pytest.mark.parametrize(("name", "fields"), NESTED.items())
def test_every_documented_nested_field_is_typed(name, fields):
    assert set(fields) <= set(names(getattr(parts, name)))


@every_class
def test_every_field_is_described_in_order(cls):
    docstring = inspect.cleandoc(cls.__doc__)
    section = docstring.split("\nAttributes:\n")[1]
    section = re.split(r"\n(?=\S)", section)[0]
    described = re.findall(r"^ {4}(\w+): \S", section, re.MULTILINE)
    assert described == names(cls)


@every_class
def test_only_a_role_is_required_and_every_default_is_none(cls):
    fields = {field.name: field for field in attrs.fields(cls)}
    required = [
        name for name, field in fields.items() if field.default is attrs.NOTHING
    ]
    assert required == (["role"] if cls is Message else [])
    instance = empty(cls)
    values = {name: getattr(instance, name) for name in fields if name not in required}
    assert values.pop("extra") == {}
    assert set(values.values()) <= {None}


def test_a_message_without_a_role_is_refused():
    with pytest.raises(TypeError, match="role"):
        Message(content="Hi")


@every_class
def test_annotations_resolve_to_the_agreed_vocabulary(cls):
    atoms = {
        str,
        int,
        bool,
        float,
        decimal.Decimal,
        dt.datetime,
        dt.date,
        type(None),
        typing.Any,
        *CLASSES,
    }

    def check(hint):
        members = union_members(hint)
        for member in members:
            origin, arguments = typing.get_origin(member), typing.get_args(member)
            if origin is Mapping:
                assert arguments == (str, typing.Any)
            elif origin is Sequence:
                check(arguments[0])
            else:
                assert member in atoms
                if attrs.has(member):
                    assert Mapping[str, typing.Any] in members

    attrs.resolve_types(cls)
    for field in attrs.fields(cls):
        check(field.type)


@every_class
def test_the_dict_twin_has_the_same_keys_and_types(cls):
    hints = typing.get_type_hints(cls)
    assert hints.pop("extra") == Mapping[str, typing.Any]
    twin = TWINS[cls]
    twin_hints = typing.get_type_hints(twin)
    assert list(twin_hints) == list(hints)
    for name, hint in hints.items():
        assert normal(twin_hints[name], {}) == normal(hint, TWINS), name
    assert twin.__required_keys__ == ({"role"} if cls is Message else set())


@every_class
def test_unknown_keywords_are_kept_beside_what_extra_holds(cls):
    given = {"a": 1}
    instance = empty(cls, extra=given, zebra=2, b=None)
    assert instance.extra == {"a": 1, "zebra": 2, "b": None}
    assert given == {"a": 1}
    assert instance == empty(cls, extra={"a": 1, "b": None, "zebra": 2})


def test_extra_is_copied():
    given = {"a": 1}
    log = LogParams(extra=given)
    given["b"] = 2
    assert log.extra == {"a": 1}


def test_a_keyword_wins_over_the_same_key_of_extra():
    log = LogParams(extra={"a": 1, "b": 1}, a=2)
    assert log.extra == {"a": 2, "b": 1}


def test_a_field_inside_extra_is_refused_by_name_alone():
    with pytest.raises(ValueError, match=r"LogParams.*cost, model") as caught:
        LogParams(model="gpt-4", extra={"model": "secret", "cost": 1, "other": 2})
    assert "secret" not in str(caught.value)


def test_extra_inside_extra_is_a_key_like_any_other():
    assert LogParams(extra={"extra": 1}).extra == {"extra": 1}


@pytest.mark.parametrize("extra", ["text", None, [("a", 1)]])
def test_extra_must_be_a_mapping(extra):
    with pytest.raises(
        TypeError, match=f"extra must be a mapping, got {type(extra).__name__}"
    ):
        LogParams(extra=extra)


def test_positional_arguments_are_refused():
    with pytest.raises(TypeError):
        LogParams("gpt-4")


@every_class
def test_help_shows_the_fields(cls):
    assert list(inspect.signature(cls).parameters) == names(cls)


def test_evolve_changes_fields_and_unknown_keys():
    log = LogParams(model="gpt-4", tags=["a"], user_id=1)
    evolved = attrs.evolve(log, model="gpt-5", tags=["b"], more=True)
    assert evolved.model == "gpt-5"
    assert evolved.extra == {"tags": ["b"], "user_id": 1, "more": True}
    assert log.extra == {"tags": ["a"], "user_id": 1}


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, attrs.evolve]
    + [lambda log, n=n: pickle.loads(pickle.dumps(log, n)) for n in range(2, pickle.HIGHEST_PROTOCOL + 1)],
)  # fmt: skip
@every_class
def test_duplicates_are_equal(cls, duplicate):
    instance = empty(cls, tags=["a"])
    assert duplicate(instance) == instance
    assert type(duplicate(instance)) is cls


def test_nested_objects_survive_pickle():
    log = LogParams(
        prompt_messages=[Message(role="user", content="Hi"), {"role": "user"}],
        usage=Usage(prompt_tokens=1),
        tags=["a"],
    )
    assert pickle.loads(pickle.dumps(log)) == log


def test_equality_looks_at_class_fields_and_extra():
    assert LogParams(model="a") == LogParams(model="a")
    assert LogParams(model="a") != LogParams(model="b")
    assert LogParams(model="a") != LogParams(model="a", tags=1)
    assert parts.ToolChoiceFunction(name="a") != parts.FunctionCall(name="a")
    assert LogParams() != {}


def test_objects_are_frozen_and_unhashable():
    log = LogParams(model="a")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        log.model = "b"
    with pytest.raises(AttributeError):
        log.__dict__  # noqa: B018
    with pytest.raises(TypeError, match="unhashable"):
        hash(log)


@every_class
def test_repr_names_what_is_set_and_shows_no_value(cls):
    fields = [name for name in names(cls) if name != "extra"]
    instance = cls(**dict.fromkeys(fields, "s3cret"), key_s3cret="s3cret")
    assert repr(instance) == f"{cls.__name__}({', '.join([*fields, 'extra'])})"
    assert str(instance) == f"{instance}" == repr(instance)


def test_repr_leaves_out_what_is_not_set():
    assert repr(LogParams()) == "LogParams()"
    assert (
        repr(LogParams(cost=0, model="m", stream=False))
        == "LogParams(model, cost, stream)"
    )
    assert (
        repr([Customer(name="Ann"), ToolCall(index=0)])
        == "[Customer(name), ToolCall(index)]"
    )


def test_nested_objects_and_mappings_mix():
    log = LogParams(
        prompt_messages=[
            {"role": "user", "content": "Hi"},
            Message(role="assistant", tool_calls=[ToolCall(id=None), {"id": None}]),
        ],
        customer_params={"customer_identifier": 7},
    )
    assert log.prompt_messages[0]["role"] == "user"
    assert log.prompt_messages[1].tool_calls[0].id is None
