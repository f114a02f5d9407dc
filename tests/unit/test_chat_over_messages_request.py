"""What becomes of a chat request on its way to an upstream that speaks Anthropic's Messages API."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest

from gateway.domain import Body, Deployment, Endpoint, Provider
from gateway.errors import BadRequest
from gateway.translation.chat_over_messages import CHAT_OVER_MESSAGES

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
PNG = "data:image/png;base64,aGk="
ADAPTIVE, BY_BUDGET = "claude-opus-4-8", "claude-sonnet-4-5-20250929"
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def sent_bytes(data, model=ADAPTIVE, output_tokens_max=None):
    """The body as the upstream gets it."""
    body = Body(msgspec.json.decode(data, type=dict[str, msgspec.Raw]))
    speaks = frozenset({Endpoint.MESSAGES})
    deployment = Deployment("d", Provider("p", "anthropic"), model, output_tokens_max=output_tokens_max, speaks=speaks)
    return CHAT_OVER_MESSAGES.request(body, deployment).encoded_with({})


def translated(asked, model=ADAPTIVE, output_tokens_max=None):
    data = asked if isinstance(asked, bytes) else json.dumps({"messages": [user("Hi")], **asked}).encode()
    return json.loads(sent_bytes(data, model, output_tokens_max))


def turns(*messages):
    return translated({"messages": list(messages)})["messages"]


def refusal(asked, model=ADAPTIVE):
    with pytest.raises(BadRequest) as caught:
        translated(asked, model)
    return caught.value


def refused_message(*messages):
    return refusal({"messages": list(messages)}).param


def user(*content, **more):
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content), **more}


def system(content, **more):
    return {"role": "system", "content": content, **more}


def assistant(content=None, **more):
    return {"role": "assistant", "content": content, **more}


def call(call_id="call_1", name="f", arguments="{}", **more):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def tool(content, call_id="call_1", **more):
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def part(text, **more):
    return {"type": "text", "text": text, **more}


def image(url=PNG, **more):
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}, **more}


def file(data, name="a.pdf"):
    return {"type": "file", "file": {"file_data": data, "filename": name}}


def result(call_id="call_1", **more):
    return {"type": "tool_result", "tool_use_id": call_id, **more}


def use(call_id="call_1", name="f", **arguments):
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


class TestMessages:
    def test_the_first_instructions_are_the_system_prompt(self):
        asked = translated({"messages": [system("A"), {"role": "developer", "content": [part("B")]}, user("Hi")]})
        assert asked["system"] == [part("A"), part("B")]
        assert asked["messages"] == [user(part("Hi"))]

    def test_later_instructions_stay_in_their_place_so_that_the_cached_prefix_holds(self):
        asked = translated({"messages": [system("A"), user("Hi"), system("B"), assistant("Yes"), user("Go")]})
        assert asked["system"] == [part("A")]
        first = user(part("Hi"), part("<system-reminder>\nB\n</system-reminder>"))
        assert asked["messages"] == [first, assistant([part("Yes")]), user(part("Go"))]

    def test_instructions_alone_are_a_question(self):
        asked = translated({"messages": [system("Say hi")]})
        assert "system" not in asked
        assert asked["messages"] == [user(part("Say hi"))]

    def test_messages_of_one_role_in_a_row_are_one_turn(self):
        assert turns(user("A"), user(part("B"), part("C"))) == [user(part("A"), part("B"), part("C"))]

    @pytest.mark.parametrize("blank", ["", " ", "\n\t "])
    def test_blank_texts_are_left_out_because_anthropic_refuses_them(self, blank):
        said = turns(system(blank), user(part(blank), part("A")), assistant(blank), user(blank), assistant("B"))
        assert said == [user(part("A")), assistant([part("B")])]

    def test_texts_keep_the_bytes_they_came_in(self):
        raw = rb'{"messages":[{"role":"user","content":"\u00fc \/ \ud83d\ude00"}]}'
        assert rb'"\u00fc \/ \ud83d\ude00"' in sent_bytes(raw)

    def test_a_refusal_is_a_text_of_the_assistant(self):
        asked = turns(user("A"), assistant(refusal="I won't."), user("B"))
        assert asked[1] == assistant([part("I won't.")])
        in_parts = turns(user("A"), assistant([{"type": "refusal", "refusal": "No."}]), user("B"))
        assert in_parts[1] == assistant([part("No.")])

    @pytest.mark.parametrize(
        ("messages", "param"),
        [
            ([user("A"), {"role": "function", "name": "f", "content": "x"}], "messages.1.role"),
            ([{"content": "x"}], "messages.0"),
            ([user("A"), 5], "messages.1"),
            ([user({"type": "text"})], "messages.0.content.0.text"),
            ([user("A"), user({"type": "text", "text": 5})], "messages.1.content.0.text"),
            ([{"role": "user", "content": 5}], "messages.0.content"),
            ([user({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})], "messages.0.content.0"),
            ([user(part("A"), {"type": "hologram"})], "messages.0.content.1.type"),
            ([system([image()])], "messages.0.content.0.type"),
            ([user("A"), assistant(audio={"id": "a"})], "messages.1.audio"),
            ([user("A"), assistant(function_call={"name": "f", "arguments": ""})], "messages.1.function_call"),
            ([user("A"), {"role": "tool", "content": "x"}], "messages.1.tool_call_id"),
        ],
    )
    def test_what_cannot_be_said_is_refused_by_name(self, messages, param):
        assert refused_message(*messages) == param


class TestImagesAndFiles:
    def test_an_image_in_a_data_url_goes_as_base64(self):
        source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
        assert turns(user(part("A"), image())) == [user(part("A"), {"type": "image", "source": source})]

    def test_jpg_is_called_jpeg(self):
        (turn,) = turns(user(image("data:image/jpg;base64,aGk=")))
        assert turn["content"][0]["source"]["media_type"] == "image/jpeg"

    def test_a_data_url_may_have_parameters_and_escaped_slashes(self):
        image_url = rb'{"type":"image_url","image_url":{"url":"data:image\/PNG;x=y;base64,a\/b="}}'
        raw = b'{"messages":[{"role":"user","content":[' + image_url + b"]}]}"
        (turn,) = translated(raw)["messages"]
        assert turn["content"][0]["source"] == {"type": "base64", "media_type": "image/png", "data": "a/b="}

    def test_an_image_at_an_address_stays_there(self):
        (turn,) = turns(user(image("https://a.example/b.png")))
        assert turn["content"] == [{"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}]

    def test_a_pdf_is_a_document_with_its_name_as_title(self):
        (turn,) = turns(user(file("data:application/pdf;base64,JVBERg==")))
        source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
        assert turn["content"] == [{"type": "document", "source": source, "title": "a.pdf"}]

    def test_the_type_of_a_file_may_have_an_escaped_slash(self):
        part_of_it = rb'{"type":"file","file":{"file_data":"data:application\/pdf;base64,a\/b="}}'
        (turn,) = translated(b'{"messages":[{"role":"user","content":[' + part_of_it + b"]}]}")["messages"]
        assert turn["content"][0]["source"]["data"] == "a/b="

    def test_a_text_file_is_a_document_of_its_text(self):
        data = base64.b64encode("Zeile ü".encode()).decode()
        (turn,) = turns(user(file(f"data:text/markdown;base64,{data}", "a.md")))
        source = {"type": "text", "media_type": "text/plain", "data": "Zeile ü"}
        assert turn["content"] == [{"type": "document", "source": source, "title": "a.md"}]

    @pytest.mark.parametrize(
        ("content", "param"),
        [
            (image("data:image/png,raw"), "image_url.url"),
            ({"type": "image_url"}, "image_url"),
            ({"type": "file", "file": {"file_id": "file-1"}}, "file.file_id"),
            ({"type": "file", "file": {}}, "file.file_data"),
            (file("aGk="), "file.file_data"),
            (file("data:audio/wav;base64,aGk="), "file.file_data"),
            (file("data:text/plain;base64,@"), "file.file_data"),
            (file("data:text/plain;base64,/w=="), "file.file_data"),
        ],
    )
    def test_others_are_refused_by_name(self, content, param):
        assert refused_message(user(part("A"), content)) == f"messages.0.content.1.{param}"


class TestTools:
    def test_calls_and_results_are_blocks_in_order(self):
        said = turns(
            user("A"),
            assistant("I look.", tool_calls=[call(arguments='{"a": 1.0}'), call("call_2", "g", "")]),
            tool("42"),
            tool([part("B"), image()], "call_2"),
            user("Go on"),
        )
        assert said[1] == assistant([part("I look."), use(a=1.0), use("call_2", "g")])
        in_image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
        results = [result(content="42"), result("call_2", content=[part("B"), in_image])]
        assert said[2:] == [user(*results, part("Go on"))]

    def test_results_stand_before_what_else_is_said_to_the_calls(self):
        calls = [call("call_1"), call("call_2")]
        said = turns(user("A"), assistant(tool_calls=calls), tool("1"), user("Look"), tool("2", "call_2"))
        assert said[2] == user(result(content="1"), result("call_2", content="2"), part("Look"))

    @pytest.mark.parametrize("nothing", ["", " ", None, []])
    def test_an_empty_result_has_no_content(self, nothing):
        assert turns(user("A"), assistant(tool_calls=[call()]), tool(nothing))[2] == user(result())

    def test_arguments_keep_their_bytes(self):
        arguments = '{"b": 1.0, "a": "\\u00fc"}'
        raw = json.dumps({"messages": [assistant(tool_calls=[call(arguments=arguments)])]}).encode()
        assert arguments.encode() in sent_bytes(raw)

    @pytest.mark.parametrize("arguments", ['{"a":', "[]", "null", "5", '"x"'])
    def test_arguments_that_are_no_object_are_refused(self, arguments):
        calls = [call(), call(arguments=arguments)]
        assert refused_message(user("A"), assistant(tool_calls=calls)) == "messages.1.tool_calls.1.function.arguments"

    def test_a_call_of_another_kind_is_refused(self):
        calls = [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]
        assert refused_message(user("A"), assistant(tool_calls=calls)) == "messages.1.tool_calls.0"

    def test_ids_of_other_makers_become_such_as_anthropic_takes(self):
        said = turns(user("A"), assistant(tool_calls=[call("functions.f:0")]), tool("1", "functions.f:0"))
        assert said[1]["content"][0]["id"] == said[2]["content"][0]["tool_use_id"] == "functions_f_0"

    def test_a_function_is_a_tool(self):
        schema = {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer"}}}
        function = {"name": "f", "description": "Does.", "parameters": schema, "strict": True}
        (made,) = translated({"tools": [{"type": "function", "function": function}]})["tools"]
        assert made == {"name": "f", "description": "Does.", "input_schema": schema, "strict": True}
        assert list(made["input_schema"]["properties"]) == ["z", "a"]

    @pytest.mark.parametrize("parameters", [{}, {"parameters": None}, {"parameters": {}}])
    def test_a_function_without_parameters_has_an_empty_schema(self, parameters):
        (made,) = translated({"tools": [{"type": "function", "function": {"name": "f", **parameters}}]})["tools"]
        assert made == {"name": "f", "input_schema": {"type": "object", "properties": {}}}

    def test_tools_of_anthropic_pass_as_they_are(self):
        native = [
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"name": "mine", "input_schema": {"type": "object"}, "cache_control": MARK},
        ]
        assert translated({"tools": [native[0], FUNCTION, native[1]]})["tools"][::2] == native

    @pytest.mark.parametrize("bad", [{"type": "custom", "custom": {"name": "f"}}, {"type": "function"}])
    def test_tools_without_a_schema_are_refused(self, bad):
        assert refusal({"tools": [FUNCTION, bad]}).param == "tools.1.type"

    @pytest.mark.parametrize(
        ("asked", "sent"),
        [
            ({}, None),
            ({"tool_choice": "auto"}, {"type": "auto"}),
            ({"tool_choice": "none"}, {"type": "none"}),
            ({"tool_choice": "required"}, {"type": "any"}),
            ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),
            ({"tool_choice": {"type": "tool", "name": "f"}}, {"type": "tool", "name": "f"}),
            ({"parallel_tool_calls": True}, None),
            ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
            (
                {"parallel_tool_calls": False, "tool_choice": "required"},
                {"type": "any", "disable_parallel_tool_use": True},
            ),
            ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
        ],
    )
    def test_which_tool_to_call(self, asked, sent):
        assert translated({"tools": [FUNCTION], **asked}).get("tool_choice") == sent

    def test_without_tools_there_is_nothing_to_choose(self):
        assert "tool_choice" not in translated({"tool_choice": "auto", "parallel_tool_calls": False, "tools": []})
        assert refusal({"tool_choice": "required"}).param == "tool_choice"

    def test_a_choice_among_some_is_refused(self):
        allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}
        assert refusal({"tools": [FUNCTION], "tool_choice": allowed}).param == "tool_choice"

    def test_the_web_is_searched_with_anthropics_tool(self):
        near = {"type": "approximate", "approximate": {"city": "Bern", "country": "CH"}}
        asked = {"web_search_options": {"search_context_size": "low", "user_location": near}}
        location = {"type": "approximate", "city": "Bern", "country": "CH"}
        assert translated(asked)["tools"] == [
            {"type": "web_search_20250305", "name": "web_search", "user_location": location}
        ]
        assert translated({"web_search_options": {}})["tools"] == [
            {"type": "web_search_20250305", "name": "web_search"}
        ]


class TestCacheMarks:
    def test_a_mark_on_a_part_stays_on_it(self):
        asked = translated(
            {
                "messages": [
                    system([part("A", cache_control=HOUR), part("B")]),
                    user(part("C", cache_control=MARK), image(cache_control=MARK)),
                    assistant([part("D", cache_control=MARK)], tool_calls=[call(cache_control=HOUR)]),
                    tool([part("E", cache_control=MARK)]),
                ]
            }
        )
        assert asked["system"] == [part("A", cache_control=HOUR), part("B")]
        assert [block.get("cache_control") for block in asked["messages"][0]["content"]] == [MARK, MARK]
        assert [block.get("cache_control") for block in asked["messages"][1]["content"]] == [MARK, HOUR]
        assert asked["messages"][2]["content"][0]["content"] == [part("E", cache_control=MARK)]

    def test_a_mark_on_a_message_goes_to_its_last_block(self):
        asked = translated(
            {
                "messages": [
                    system("A", cache_control=MARK),
                    user(part("B"), part("C"), cache_control=MARK),
                    assistant("D", tool_calls=[call(), call("call_2")], cache_control=HOUR),
                    tool("E"),
                    tool("F", "call_2", cache_control=MARK),
                    user("G", cache_control=HOUR),
                ]
            }
        )
        assert asked["system"] == [part("A", cache_control=MARK)]
        marks = [[block.get("cache_control") for block in turn["content"]] for turn in asked["messages"]]
        assert marks == [[None, MARK], [None, None, HOUR], [None, MARK, HOUR]]

    def test_a_parts_own_mark_wins_over_that_of_its_message(self):
        (turn,) = turns(user(part("A"), part("B", cache_control=HOUR), cache_control=MARK))
        assert turn == user(part("A"), part("B", cache_control=HOUR))

    def test_a_calls_own_mark_wins_over_that_of_its_message(self):
        calls = [call(), call("call_2", cache_control=HOUR)]
        raw = json.dumps({"messages": [assistant(tool_calls=calls, cache_control=MARK)]}).encode()
        assert sent_bytes(raw).count(b'"cache_control"') == 1

    def test_a_blank_part_does_not_mark_what_is_marked(self):
        parts = [part("A", cache_control=HOUR), part("", cache_control=MARK)]
        raw = json.dumps({"messages": [user(*parts)]}).encode()
        assert sent_bytes(raw).count(b'"cache_control"') == 1
        assert turns(user(*parts)) == [user(part("A", cache_control=HOUR))]

    def test_the_mark_of_a_blank_part_goes_to_the_one_before(self):
        assert turns(user(part("A"), part(" ", cache_control=MARK))) == [user(part("A", cache_control=MARK))]

    def test_marks_on_tools_and_on_the_request_stay(self):
        asked = translated({"tools": [{**FUNCTION, "cache_control": HOUR}], "cache_control": MARK})
        assert asked["tools"][0]["cache_control"] == HOUR
        assert asked["cache_control"] == MARK


class TestThoughts:
    SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}  # noqa: RUF012 - read only
    SEALED = {"type": "redacted_thinking", "data": "c2VhbGVk"}  # noqa: RUF012

    def test_thoughts_that_anthropic_signed_go_back_in_front(self):
        said = assistant("A", tool_calls=[call()], reasoning_content="Hm.", thinking_blocks=[self.SIGNED, self.SEALED])
        assert turns(user("Q"), said, tool("1"))[1] == assistant([self.SIGNED, self.SEALED, part("A"), use()])

    def test_thoughts_without_signature_are_somebody_elses(self):
        said = assistant("A", reasoning_content="Hm.", thinking_blocks=[{"type": "thinking", "thinking": "Hm."}])
        assert turns(user("Q"), said, user("R"))[1] == assistant([part("A")])

    @pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-opus-4-8", "us.anthropic.claude-sonnet-5-v1:0"])
    @pytest.mark.parametrize(
        ("effort", "sent"),
        [
            ("minimal", "low"),
            ("low", "low"),
            ("medium", "medium"),
            ("high", "high"),
            ("xhigh", "xhigh"),
            ("max", "max"),
        ],
    )
    def test_newer_models_are_told_an_effort(self, model, effort, sent):
        asked = translated({"reasoning_effort": effort}, model)
        assert asked["thinking"] == {"type": "adaptive"}
        assert asked["output_config"] == {"effort": sent}

    @pytest.mark.parametrize(
        "model",
        [
            *("claude-3-7-sonnet-20250219", "claude-sonnet-4-20250514", "claude-opus-4-1", "claude-haiku-4-5"),
            *("anthropic.claude-opus-4-5-20251101-v1:0", "claude-sonnet-4@20250514", "claude-sonnet-4.5"),
            "somebody-elses-model",
        ],
    )
    @pytest.mark.parametrize(
        ("effort", "budget"),
        [("minimal", 1024), ("low", 2048), ("medium", 8192), ("high", 16_384), ("xhigh", 32_768), ("max", 65_536)],
    )
    def test_older_models_are_given_a_budget(self, model, effort, budget):
        asked = translated({"reasoning_effort": effort}, model, output_tokens_max=200_000)
        assert asked["thinking"] == {"type": "enabled", "budget_tokens": budget}
        assert "output_config" not in asked

    def test_a_budget_leaves_half_of_the_limit_for_the_answer(self):
        asked = {"reasoning_effort": "high", "max_completion_tokens": 4096}
        assert translated(asked, BY_BUDGET)["thinking"] == {"type": "enabled", "budget_tokens": 2048}

    def test_a_limit_that_leaves_no_room_for_thoughts_means_none(self):
        assert "thinking" not in translated({"reasoning_effort": "high", "max_tokens": 2047}, BY_BUDGET)

    @pytest.mark.parametrize("model", [ADAPTIVE, BY_BUDGET])
    def test_no_effort_means_no_thoughts(self, model):
        asked = translated({"reasoning_effort": "none", "temperature": 0.5}, model)
        assert asked["thinking"] == {"type": "disabled"}
        assert asked["temperature"] == 0.5
        assert "thinking" not in translated({}, model)

    @pytest.mark.parametrize("model", [ADAPTIVE, BY_BUDGET])
    def test_a_model_that_has_to_call_a_tool_does_not_think_first(self, model):
        asked = translated({"reasoning_effort": "high", "tools": [FUNCTION], "tool_choice": "required"}, model)
        assert "thinking" not in asked
        assert asked["tool_choice"] == {"type": "any"}

    @pytest.mark.parametrize("model", [ADAPTIVE, BY_BUDGET])
    def test_while_it_thinks_nobody_sets_its_temperature(self, model):
        asked = translated({"reasoning_effort": "low", "temperature": 0.1, "top_p": 0.5, "top_k": 3}, model)
        assert asked["thinking"]
        assert not {"temperature", "top_p", "top_k"} & asked.keys()

    def test_a_budget_is_not_given_where_the_thoughts_of_the_calls_at_hand_are_missing(self):
        without = [user("Q"), assistant(tool_calls=[call()]), tool("1")]
        with_them = [user("Q"), assistant(tool_calls=[call()], thinking_blocks=[self.SIGNED]), tool("1")]
        in_two_messages = [user("Q"), assistant("A", thinking_blocks=[self.SIGNED]), *without[1:]]
        over = [*without, assistant("A"), user("R")]
        for messages, thinks in ((without, False), (with_them, True), (in_two_messages, True), (over, True)):
            asked = translated({"messages": messages, "reasoning_effort": "high"}, BY_BUDGET)
            assert ("thinking" in asked) is thinks
        assert translated({"messages": without, "reasoning_effort": "high"}, ADAPTIVE)["thinking"]

    def test_an_answer_that_the_client_has_begun_is_continued_without_thoughts(self):
        asked = translated({"messages": [user("Q"), assistant("A")], "reasoning_effort": "high"}, BY_BUDGET)
        assert "thinking" not in asked

    def test_what_the_client_says_of_thinking_itself_holds(self):
        own = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 0.5}
        asked = translated({"reasoning_effort": "high", **own}, BY_BUDGET)
        assert asked["thinking"] == own["thinking"]
        assert asked["temperature"] == 0.5

    def test_an_unknown_effort_is_refused(self):
        assert refusal({"reasoning_effort": "heroic"}).param == "reasoning_effort"


class TestSettings:
    @pytest.mark.parametrize(
        ("asked", "most", "sent"),
        [
            ({"max_tokens": 5}, None, 5),
            ({"max_completion_tokens": 6, "max_tokens": 5}, None, 6),
            ({"max_completion_tokens": None}, 64_000, 64_000),
            ({}, None, 8192),
        ],
    )
    def test_the_limit_is_the_clients_or_what_the_model_can_do(self, asked, most, sent):
        made = translated(asked, output_tokens_max=most)
        assert made["max_tokens"] == sent
        assert "max_completion_tokens" not in made

    @pytest.mark.parametrize(("stop", "sent"), [("END", ["END"]), (["a", "b"], ["a", "b"]), ([], None), (None, None)])
    def test_stops(self, stop, sent):
        assert translated({"stop": stop}).get("stop_sequences") == sent

    @pytest.mark.parametrize("stop", ["\n", ["END", " "], [""]])
    def test_a_stop_of_white_space_is_refused(self, stop):
        assert refusal({"stop": stop}).param == "stop"

    @pytest.mark.parametrize(("temperature", "sent"), [(0, 0), (0.7, 0.7), (1, None), (1.7, None), (None, None)])
    def test_there_is_nothing_hotter_than_anthropics_own_temperature(self, temperature, sent):
        assert translated({"temperature": temperature}).get("temperature") == sent

    def test_other_ways_to_sample_pass(self):
        asked = translated({"top_p": 0.9, "top_k": 5})
        assert (asked["top_p"], asked["top_k"]) == (0.9, 5)
        assert "top_p" not in translated({"top_p": 1.0})

    def test_a_schema_for_the_answer(self):
        schema = {"type": "object", "properties": {"z": {}, "a": {}}, "additionalProperties": False}
        form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
        asked = translated({"response_format": form, "output_config": {"effort": "low"}})
        assert asked["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": schema}}
        assert list(asked["output_config"]["format"]["schema"]["properties"]) == ["z", "a"]

    def test_json_of_any_form_is_asked_for_in_words(self):
        asked = translated({"messages": [system("A"), user("JSON!")], "response_format": {"type": "json_object"}})
        assert asked["system"][0] == part("A")
        assert "JSON object" in asked["system"][1]["text"]
        assert "output_config" not in asked

    @pytest.mark.parametrize(
        ("form", "param"),
        [
            ({"type": "grammar"}, "response_format.type"),
            ({"type": "json_schema"}, "response_format.json_schema.schema"),
            ({"type": "json_schema", "json_schema": {"name": "x"}}, "response_format.json_schema.schema"),
        ],
    )
    def test_other_forms_are_refused(self, form, param):
        assert refusal({"response_format": form}).param == param

    @pytest.mark.parametrize(
        ("field", "neutral", "asking"),
        [
            ("n", 1, 2),
            ("logprobs", False, True),
            ("top_logprobs", 0, 3),
            ("logit_bias", {}, {"5": 1}),
            ("presence_penalty", 0.0, 0.5),
            ("frequency_penalty", 0, -1),
            ("seed", None, 7),
            ("prediction", None, {"type": "content", "content": "x"}),
            ("audio", None, {"voice": "x", "format": "wav"}),
            ("modalities", ["text"], ["text", "audio"]),
            ("functions", [], [{"name": "f"}]),
            ("function_call", "auto", {"name": "f"}),
        ],
    )
    def test_what_anthropic_lacks_is_refused_only_where_it_asks_for_something(self, field, neutral, asking):
        assert field not in translated({field: neutral})
        assert refusal({field: asking}).param == field

    def test_what_changes_no_answer_is_dropped(self):
        dropped = {
            "store": True,
            "metadata": {"a": "b"},
            "prompt_cache_key": "k",
            "prompt_cache_retention": "24h",
            "verbosity": "low",
            "stream_options": {"include_usage": True},
        }
        assert translated(dropped) == translated({})

    def test_the_user_is_who_anthropic_calls_user_id(self):
        assert translated({"user": "u", "safety_identifier": "s"})["metadata"] == {"user_id": "u"}
        assert translated({"safety_identifier": "s", "metadata": {"a": "b"}})["metadata"] == {"user_id": "s"}
        assert translated({"metadata": {"user_id": "m"}})["metadata"] == {"user_id": "m"}

    @pytest.mark.parametrize(
        ("tier", "sent"),
        [("auto", "auto"), ("default", "standard_only"), ("priority", "auto"), ("standard_only", "standard_only")],
    )
    def test_service_tiers(self, tier, sent):
        assert translated({"service_tier": tier})["service_tier"] == sent

    def test_a_tier_that_anthropic_lacks_is_refused(self):
        assert refusal({"service_tier": "flex"}).param == "service_tier"

    def test_what_nobody_here_knows_goes_up_as_it_is(self):
        news = {"container": {"skills": []}, "context_management": {"edits": []}, "x": 1.0, "stream": True}
        assert news.items() <= translated(news).items()

    def test_null_is_nothing(self):
        names = (
            "stream",
            "stop",
            "tools",
            "tool_choice",
            "user",
            "reasoning_effort",
            "response_format",
            "x",
            "thinking",
        )
        assert translated(dict.fromkeys(names)) == translated({})

    @pytest.mark.parametrize(
        "asked",
        [
            {"max_tokens": "5"},
            {"temperature": "hot"},
            {"stop": 5},
            {"tools": {}},
            {"tool_choice": 5},
            {"parallel_tool_calls": 1},
            {"reasoning_effort": 5},
            {"response_format": "json"},
            {"user": 5},
            {"metadata": []},
            {"output_config": []},
            {"messages": {}},
        ],
    )
    def test_a_wrong_type_is_refused_by_name(self, asked):
        (field,) = asked
        error = refusal(asked)
        assert (error.param, error.code, error.status) == (field, "invalid_type", 400)
        assert f"'{field}'" in error.message
