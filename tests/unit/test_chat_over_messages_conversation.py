"""How the messages of a chat become the turns of an upstream that speaks Anthropic's Messages API."""

from __future__ import annotations

import base64
import json

import pytest
from chat_over_messages_parts import (
    FUNCTION,
    HOUR,
    MARK,
    assistant,
    call,
    file,
    image,
    part,
    refused_message,
    result,
    sent_bytes,
    system,
    tool,
    translated,
    turns,
    use,
    user,
)


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


class TestCallsAndResults:
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
