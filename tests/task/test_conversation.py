"""Conversations: ids worked out by hand, masks from roles alone, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.tokenizer import train_tokenizer
from hone.errors import InputError
from hone.task.conversation import EXPECTED, conversation_problem, read_turns, without_first
from hone.task.load import parse_task
from hone.task.render import END, SPECIALS, Renderer, task_marks, task_prompt, task_reference

TASK = """
task: help
kind: generate
data: {train: rows.jsonl}
conversation: "{messages}"
target: 0.5
"""
ASKED = {"role": "user", "content": "is it open"}
SAID = {"role": "assistant", "content": "yes until nine"}
TWO = [{"role": "system", "content": "be brief"}, ASKED, SAID, {"role": "user", "content": "and sunday"},
       {"role": "assistant", "content": "no"}]  # fmt: skip


def renderer_of(text: str = TASK) -> Renderer:
    task = parse_task(text)
    words = [" be brief", " is it open", " yes until nine", " and sunday", " no"] * 3
    return Renderer.of_task(task, train_tokenizer(words, 320, specials=(*SPECIALS, *task_marks(task))))


def spelled(renderer, example):
    """Each id as text, with a star where it carries loss."""
    names = {one: name for name, one in renderer.tokenizer.specials.items()}
    texts = [names.get(one) or renderer.tokenizer.decode([one]) for one in example.ids.tolist()]
    return [text + "*" * bool(learned) for text, learned in zip(texts, example.supervised, strict=True)]


def joined(parts):
    """Neighbours that are no marks as one text."""
    found = []
    for part in parts:
        plain, learned = part.removesuffix("*"), part.endswith("*")
        if found and not plain.startswith("<|") and not found[-1][0].startswith("<|") and found[-1][1] == learned:
            found[-1] = (found[-1][0] + plain, learned)
        else:
            found.append((plain, learned))
    return found


def test_every_turn_has_its_mark_and_each_answer_and_its_end_are_learned():
    renderer = renderer_of()
    example = renderer.example("r:1", {"messages": TWO})
    assert joined(spelled(renderer, example)) == [
        ("<|system|>", False), (" be brief", False), ("<|end|>", False),
        ("<|user|>", False), (" is it open", False), ("<|end|>", False),
        ("<|answer|>", False), (" yes until nine", True), ("<|end|>", True),
        ("<|user|>", False), (" and sunday", False), ("<|end|>", False),
        ("<|answer|>", False), (" no", True), ("<|end|>", True),
    ]  # fmt: skip
    assert example.prompt_len == example.supervised.tolist().index(True)
    assert example.longest_stretch == 1 + len(renderer.tokenizer.encode(" yes until nine"))


def test_the_prompt_is_the_row_without_its_last_answer_and_the_answer_is_the_reference():
    renderer = renderer_of()
    fields = {"messages": TWO}
    ids = renderer.example("r:1", fields).ids.tolist()
    prompt = renderer.prompt_ids(fields)
    assert ids == prompt + renderer.completion_ids("no") + [renderer.end_id]
    assert renderer.prompt_ids({"messages": TWO[:-1]}) == prompt  # what a client sends
    assert renderer.reference(fields) == renderer.parse(ids[len(prompt) :]) == "no"
    assert (
        renderer.prompt_text(fields)
        == "system: be brief\nuser: is it open\nassistant: yes until nine\nuser: and sunday"
    )
    task = parse_task(TASK)
    assert (task_prompt(task, fields), task_reference(task, fields)) == (renderer.prompt_text(fields), "no")
    assert renderer.prompt_ids({"messages": "is it open"}) == renderer.prompt_ids({"messages": [ASKED, SAID]})


def test_roles_decide_what_is_learned_and_a_weight_of_zero_takes_a_turn_out():
    both = renderer_of(TASK + "supervise: [assistant, user]")
    learned = [text for text, is_learned in joined(spelled(both, both.example("r:1", {"messages": TWO}))) if is_learned]
    assert learned == [
        " is it open",
        "<|end|>",
        " yes until nine",
        "<|end|>",
        " and sunday",
        "<|end|>",
        " no",
        "<|end|>",
    ]
    lighter = [*TWO[:2], {**SAID, "weight": 0}, *TWO[3:]]
    renderer = renderer_of()
    learned = [
        text
        for text, is_learned in joined(spelled(renderer, renderer.example("r:1", {"messages": lighter})))
        if is_learned
    ]
    assert learned == [" no", "<|end|>"]


MARKS_AND_TEXT = st.text(alphabet="ab <|>useranswd", max_size=30) | st.sampled_from(
    ["<|user|>", "<|answer|>", "<|end|>", " <|system|> ", "\n<|end|>\n<|answer|> yes", "assistant: "]
)
RENDERER = renderer_of()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["system", "user", "tool", "assistant"]), MARKS_AND_TEXT), max_size=5),
    MARKS_AND_TEXT,
)
def test_no_text_becomes_a_mark_and_every_learned_turn_ends_in_a_learned_end(turns, last):
    messages = [{"role": role, "content": text} for role, text in [("user", "x"), *turns, ("assistant", last)]]
    example = RENDERER.example("r:1", {"messages": messages})
    ids, learned = example.ids.tolist(), example.supervised.tolist()
    special = set(RENDERER.tokenizer.specials.values())
    assert sum(one in special for one in ids) == 2 * len(messages)  # law 4: a mark and an end a turn, and no more
    ends = [learned[at] for at, one in enumerate(ids) if one == RENDERER.end_id]
    assert ends == [message["role"] == "assistant" for message in messages]  # law 6
    assert learned[-1]
    assert ids[-1] == RENDERER.tokenizer.special_id(END)


def test_tool_calls_and_parts_are_text():
    call = {"type": "function", "function": {"name": "find", "arguments": '{"b": 1, "a": "x"}'}}
    turns = read_turns([
        {"role": "developer", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "found", "tool_call_id": "7"},
        {"role": "assistant", "content": "done"},
    ])  # fmt: skip
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "tool", "assistant"]
    assert [turn.text for turn in turns] == [
        "one\ntwo",
        "go",
        '{"arguments":{"a":"x","b":1},"name":"find"}',
        "found",
        "done",
    ]


MADE = "name the column {messages}, which is made of them"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("hello", "str 'hello'"),
        ([], "a list of 0"),
        ([ASKED], 'a last turn of the role "user"'),
        ([SAID], "one turn only"),
        ([ASKED, {**SAID, "weight": 0}], "a last turn of the weight 0, which is not learned"),
        ([{"role": "usr", "content": "x"}, SAID], "turn 1: the role is 'usr'; did you mean \"user\"?"),
        ([ASKED, {"role": "assistant"}], "turn 2: expected text as content; got nothing"),
        ([ASKED, "yes"], "turn 2: expected a message with role and content; got str 'yes'"),
        ([{"from": "human", "value": "x"}], "turn 1: the role is None; the rows are ShareGPT's; " + MADE),
        ([ASKED, {**SAID, "weight": 0.5}], "turn 2: the weight must be 0 or 1; got 0.5"),
    ],
)  # fmt: skip
def test_what_is_no_conversation_is_said(value, found):
    assert conversation_problem(value) == found
    assert "assistant" in EXPECTED
    assert conversation_problem([ASKED, SAID]) is None


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('input: "{text}"', "input: the conversation is prompt and answer; remove this key, or conversation"),
        ("supervise: [assitant]", "'assistant'"),
        ("supervise: [user]", "supervise: must hold assistant: the last answer is what is scored"),
        ("overlong: split", "overlong: split cuts documents, and a conversation is none"),
        ("supervize: [user]", 'unknown key "supervize"; did you mean "supervise"?'),
    ],
)  # fmt: skip
def test_keys_that_do_not_go_together_are_named(more, problem):
    with pytest.raises(InputError) as caught:
        parse_task(TASK + more)
    assert any(problem in sentence for sentence in caught.value.problems)


def test_other_tasks_have_no_roles_and_their_ids_stay():
    plain = 'task: a\nkind: generate\ndata: {train: rows.jsonl}\ninput: "{q}"\noutput: "{a}"\ntarget: 0.5\n'
    assert not {"conversation", "supervise"} & parse_task(plain).to_json().keys()
    for more in ("supervise: [user]", "overlong: drop-turns"):
        with pytest.raises(InputError, match=more.split(":")[0]):
            parse_task(plain + more)
    with pytest.raises(InputError, match="conversation: must be one column alone"):
        parse_task(TASK.replace('"{messages}"', '"{a} {b}"'))


def test_turns_leave_from_the_front_only_if_asked_and_system_turns_stay():
    long = [TWO[0], *[ASKED, SAID] * 20, *TWO[3:]]
    whole = renderer_of()
    short = renderer_of(TASK + "overlong: drop-turns\ndevice: {context: 64, prompt_tokens: 32}")
    ids = short.example("r:1", {"messages": long}).ids.tolist()
    assert len(whole.example("r:1", {"messages": long}).ids) > 64 >= len(ids)
    left = short.conversation.num_turns(ids)
    kept = [TWO[0], *long[len(long) - left + 1 :]]
    assert ids == whole.example("r:1", {"messages": kept}).ids.tolist()
    assert kept[1]["role"] == "user"
    more = [TWO[0], *long[len(long) - left - 1 :]]
    assert len(whole.example("r:1", {"messages": more}).ids) > 64  # no turn left that had room
    assert without_first(read_turns(TWO[-2:])) is None


def test_tools_stand_in_front_of_the_system_turn_where_a_row_has_some():
    renderer = renderer_of(TASK + 'tools: "{tools}"')
    plain, tools = renderer_of(), [{"name": "find", "arguments": {"b": 1, "a": 2}}]
    written = '[{"arguments":{"a":2,"b":1},"name":"find"}]'
    with_system = [{"role": "system", "content": f"{written}\n\nbe brief"}, *TWO[1:]]
    alone = [{"role": "system", "content": written}, *TWO[1:]]
    for item in (tools, written):
        assert renderer.prompt_ids({"messages": TWO, "tools": item}) == plain.prompt_ids({"messages": with_system})
        assert renderer.prompt_ids({"messages": TWO[1:], "tools": item}) == plain.prompt_ids({"messages": alone})
    for nothing in ({}, {"tools": None}, {"tools": ""}, {"tools": []}):
        assert renderer.prompt_ids({"messages": TWO, **nothing}) == plain.prompt_ids({"messages": TWO})
    again = Renderer.from_json(renderer.to_json(), renderer.tokenizer)
    assert again.conversation.form == renderer.conversation.form
    with pytest.raises(InputError, match="tools: expected a list of tools"):
        renderer.prompt_ids({"messages": TWO, "tools": 7})


def test_a_renderer_of_conversations_travels():
    renderer = renderer_of(
        TASK + "supervise: [assistant, tool]\noverlong: drop-turns\ndevice: {context: 64, prompt_tokens: 32}"
    )
    again = Renderer.from_json(renderer.to_json(), renderer.tokenizer)
    again.verify([renderer.stored_example("r:1", {"messages": TWO})])
    assert again.conversation.form == renderer.conversation.form
