"""What becomes of a chat request's settings on the way to an upstream that speaks Anthropic's Messages API."""

from __future__ import annotations

import pytest
from chat_over_messages_parts import (
    ADAPTIVE,
    BY_BUDGET,
    FUNCTION,
    MARK,
    assistant,
    call,
    part,
    refusal,
    system,
    tool,
    translated,
    turns,
    use,
    user,
)


class TestTools:
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

    def test_the_effort_in_anthropics_own_words_wins(self):
        asked = translated({"reasoning_effort": "high", "output_config": {"effort": "max"}})
        assert asked["output_config"] == {"effort": "max"}

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

    def test_names_that_need_escapes_are_escaped(self):
        odd = {'a":1,"b': 1, "\n\\": 2}
        chosen = {"type": "any", **odd}
        asked = translated({"output_config": odd, "tools": [FUNCTION], "tool_choice": chosen, **odd})
        assert (asked["output_config"], asked["tool_choice"]) == (odd, chosen)
        assert odd.items() <= asked.items()

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
