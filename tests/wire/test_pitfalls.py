"""Where each known trap of the providers' APIs, and of gateways before them, has its test.

A row is a trap and the tests that would fail if we fell into it: a wire case (`anthropic/refusal`), or a test function
(`http/test_files.py::test_a_part_is_sent_or_refused`). The index itself is tested: every test that it names is there.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NOTES = TESTS.parents[1] / "shared/PROVIDERS.md"

ACROSS = "http/test_across_providers.py::test_a_conversation_goes_from_provider_to_provider"
STATE = "http/test_reasoning.py::test_state_comes_back_in_its_place"
STREAM = "engine/test_assembler.py::test_any_deltas_make_a_legal_stream"
RECORDS = "traces/test_replay.py::test_"
REQUESTS = "traces/test_requests.py::test_requests"
FILES = "http/test_files.py::test_a_part_is_sent_or_refused"
MID_ANSWER = "http/test_faults.py::test_a_failure_in_mid_answer"
PARALLEL = "http/test_tools.py::test_parallel_calls_of_one_name_get_their_own_results"
SAME_NAME = "adapters/test_gemini.py::test_same_name_calls_with_one_id_pair_by_order"
GONE = "http/test_faults.py::test_a_vanished_client_stops_the_provider_call"
SAME_BYTES = "adapters/test_every_adapter.py::test_equal_turns_give_equal_bytes"

# What each numbered point of a provider's API asks for.
POINTS: dict[str, list[tuple[str, ...]]] = {
    "Anthropic": [
        ("anthropic/text_and_cache_usage", "anthropic/error_under_200", "anthropic/overloaded_in_mid_answer"),
        ("anthropic/text_and_cache_usage", "adapters/test_anthropic.py::test_usage_is_the_last_word_key_by_key"),
        ("anthropic/call_without_arguments",),
        (STATE, "anthropic/thinking_replayed_before_its_calls", "anthropic/signature_without_text_and_redacted",
         "adapters/test_anthropic.py::test_a_budget_is_less_than_the_limit", "http/test_reasoning.py::test_effort"),
        ("anthropic/empty_answer", "anthropic/refusal", "anthropic/context_window_exceeded_while_answering",
         "anthropic/call_cut_by_the_limit", "adapters/test_anthropic.py::test_a_paused_call_is_continued",
         "http/test_searches_under_way.py::test_a_paused_search_is_one_answer"),
        (PARALLEL, "anthropic/mid_conversation_system_as_text", "anthropic/mid_conversation_system_native",
         "anthropic/images_and_documents", ACROSS),
        ("anthropic/web_search_with_citations", "anthropic/code_execution_in_a_whole_message"),
        ("anthropic/one_allowed_tool_is_forced", "anthropic/structured_output_native",
         "anthropic/structured_output_by_a_forced_tool", "http/test_tools.py::test_structured_output"),
        ("anthropic/images_and_documents", "anthropic/prompt_cache_breakpoints", FILES),
    ],
    "Gemini": [
        ("gemini/text", "gemini/unknown_model", "adapters/test_gemini.py::test_errors"),
        ("adapters/test_gemini.py::test_usage_is_the_last_word_in_our_terms",),
        ("gemini/max_tokens", "gemini/safety", "gemini/recitation", "gemini/prompt_blocked",
         "adapters/test_gemini.py::test_finish_reasons",
         "adapters/test_gemini.py::test_other_reasons_are_failures_of_the_model"),
        ("gemini/parallel_calls", "gemini/parallel_results", SAME_NAME),
        (STATE, "gemini/state_goes_back", "adapters/test_gemini.py::test_state_says_where_it_was"),
        ("adapters/test_gemini.py::test_parts_without_content_are_tolerated",),
        ("gemini/web_search",
         "adapters/test_gemini.py::test_citations_without_matching_offsets_are_found_by_their_text"),
        ("gemini/schema_keywords", "adapters/test_schema.py::test_the_rewritten_schema_accepts_the_same"),
        ("gemini/system_in_mid_conversation", "gemini/allowed_tools", "gemini/forced_tool", "gemini/structured_output",
         "gemini/media", FILES),
    ],
    "OpenAI": [
        (REQUESTS, "openai/state_and_results_go_back",
         "http/test_reasoning.py::test_state_is_shown_only_if_asked_for_but_always_kept"),
        (RECORDS + "replay", STREAM),
        ("openai/limit_spent_on_reasoning", "openai/reasoning_summaries_and_the_last_state", STATE),
        ("openai/failure_before_the_first_item", "openai/unknown_model", "adapters/test_openai.py::test_explain"),
        ("openai/refusal", "openai/limit_spent_on_reasoning"),
    ],
    "Ollama": [
        ("ollama/cut_by_length", "ollama/thinking_then_text", "ollama/parallel_calls_in_several_lines"),
        ("ollama/unknown_model", "ollama/error_under_200"),
        ("ollama/image_and_format", "ollama/text_and_options", "adapters/test_ollama.py::test_effort"),
    ],
}  # fmt: skip

RULES: dict[str, tuple[str, ...]] = {
    "unknown keys and events are tolerated": (
        "adapters/test_gemini.py::test_unknown_keys_and_chunks_without_parts_are_tolerated",
        "adapters/test_every_adapter.py::test_unknown_events_are_tolerated",
    ),
    "unknown content is a failure": (
        "adapters/test_gemini.py::test_unknown_content_is_a_failure",
        "adapters/test_chat.py::test_content_that_would_be_missed_is_a_failure",
        "adapters/test_openai.py::test_content_that_has_no_place_is_not_dropped_in_silence",
        "adapters/test_anthropic.py::test_unknown_content_is_a_failure",
    ),
    "usage is the provider's last word, in our terms": (
        "adapters/test_anthropic.py::test_usage_is_the_last_word_key_by_key",
        "adapters/test_gemini.py::test_usage_is_the_last_word_in_our_terms",
        "adapters/test_chat.py::test_usage",
    ),
    "a stream without its end failed": ("anthropic/stream_without_its_end", RECORDS + "truncated"),
    "store is false, ids are not sent, JSON is the same for the same turn": (ACROSS, SAME_BYTES),
    "a limit where the API demands one": ("adapters/test_anthropic.py::test_knobs",),
    "calls by index, ids once, usage last, reasoning under two names (Chat Completions)": (
        "adapters/test_chat.py::test_tool_calls_are_told_apart",
        "adapters/test_chat.py::test_the_end_is_said_once_behind_its_counts",
        "adapters/test_chat.py::test_reasoning_under_its_many_names",
    ),
    "a finish_reason with each of several calls, other choices, empty fields (Chat Completions)": (
        "chat/a_finish_reason_with_each_call",
        "adapters/test_chat.py::test_a_finish_reason_in_each_of_several_chunks",
        "adapters/test_chat.py::test_other_choices_are_other_answers",
        "adapters/test_chat.py::test_what_is_there_but_empty_is_nothing",
    ),
    "a limit that the finish_reason hides, or that an error says again (OpenRouter)": (
        "adapters/test_chat.py::test_a_call_that_the_limit_cut_is_incomplete",
        "adapters/test_chat.py::test_an_error_that_says_the_limit_again_leaves_the_answer",
        "adapters/test_chat.py::test_an_error_behind_the_finish_reason_is_a_failure",
    ),
    "reasoning in plain text goes back to the Responses server that gave it (DeepSeek, Bedrock)": (
        "adapters/test_openai.py::test_reasoning_is_kept_as_its_server_takes_it_back",
    ),
    "reasoning that a server wants back with its calls (DeepSeek, OpenRouter, Mistral)": (
        "adapters/test_chat.py::test_reasoning_goes_back_as_the_server_wants_it",
        "adapters/test_chat.py::test_state_makes_the_round_trip",
        "adapters/test_chat.py::test_thinking_parts_make_the_round_trip",
    ),
    "reasoning goes back byte for byte, to the vendor that signed it (Bedrock)": (
        "adapters/test_bedrock.py::test_thinking_and_results_go_back_in_place",
        "adapters/test_bedrock_rules.py::test_reasoning_goes_back_to_its_vendor_if_it_is_signed",
    ),
}

# What users of other gateways ran into.
PITFALLS: dict[str, tuple[str, ...]] = {
    "the next turn, at once, has no history": ("http/test_history.py::test_the_next_turn_at_once",),
    "an unknown previous response is a 200": ("http/test_history.py::test_an_unknown_previous_response",),
    "an id in the stream is another one than that of GET": (
        "wire/test_wire.py::test_what_was_told_is_kept", "http/test_history.py::test_what_is_stored_is_what_was_told",
    ),
    "a result whose call lies in an earlier turn": (
        PARALLEL, "adapters/test_every_adapter.py::test_an_output_that_no_call_waits_for_is_refused",
    ),
    "sequence numbers with gaps": (STREAM, "support/test_grammar.py::test_"),
    "reasoning that nobody announced": (STREAM,),
    "text beside reasoning in one chunk is lost": (
        "chat/reasoning_and_text_in_one_chunk", "ollama/thought_and_text_in_one_line",
    ),
    "calls share an output index": (
        "chat/interleaved_parallel_calls", "engine/test_assembler.py::test_interleaved_calls_keep_their_own_arguments",
    ),
    "an item's id instead of the call's": (ACROSS, PARALLEL),
    "a signature lost, or sent to another model": (
        STATE, ACROSS, "adapters/test_gemini.py::test_state_returns_to_its_place_and_only_to_its_model",
    ),
    "redacted thinking dropped": (STATE, "anthropic/signature_without_text_and_redacted"),
    "a thinking budget above the limit": ("adapters/test_anthropic.py::test_a_budget_is_less_than_the_limit",),
    "encrypted reasoning sent elsewhere": (
        ACROSS, "adapters/test_openai.py::test_state_stays_with_the_provider_that_gave_it",
        "http/test_reasoning.py::test_sealed_state_names_its_provider",
    ),
    "ids of reasoning items that nobody stored": (ACROSS, "adapters/test_openai.py::test_items"),
    "a call without its thought signature": ("gemini/signature_missing",),
    "parallel calls of one name collide": (PARALLEL, SAME_NAME),
    "schema keywords that the provider refuses": (
        "gemini/schema_keywords", "adapters/test_schema.py::test_the_rewritten_schema_accepts_the_same",
        "adapters/test_anthropic_schema.py::test_an_input_schema_accepts_the_same_arguments",
    ),
    "parallel results in several messages": (
        PARALLEL, "gemini/parallel_results", "ollama/parallel_results_out_of_order",
    ),
    "a forced tool becomes any tool": (
        "http/test_tools.py::test_a_forced_tool_is_forced_by_name_and_the_others_stay_visible",
    ),
    "allowed tools forgotten": ("http/test_tools.py::test_allowed_tools_limit_the_calls_not_the_view",),
    "a custom tool's call told as a function's": ("http/test_tools.py::test_a_custom_tool_is_called_with_text",),
    "what was cut, refused or filtered is told as completed": (
        "gemini/safety", "gemini/max_tokens", "chat/content_filter", "openai/content_filter", "anthropic/refusal",
        "ollama/cut_by_length",
    ),
    "no terminal event after an error in the stream": (MID_ANSWER, "anthropic/overloaded_in_mid_answer"),
    "usage after the end lost, cached tokens counted twice": (
        "adapters/test_chat.py::test_the_end_is_said_once_behind_its_counts", "anthropic/text_and_cache_usage",
        "adapters/test_chat.py::test_usage",
    ),
    "files left out": (FILES, "http/test_files.py::test_the_same_in_a_tools_result"),
    "the provider goes on after the client left": (GONE,),
    "system messages in mid-conversation lost": (
        "anthropic/mid_conversation_system_as_text", "gemini/system_in_mid_conversation",
        "adapters/test_chat.py::test_one_system_message_at_the_head",
    ),
    "JSON in another order, so that caches miss": (SAME_BYTES, "wire/test_wire.py::test_request"),
}  # fmt: skip

INDEX = {
    **{f"{provider} {n}": tests for provider, rows in POINTS.items() for n, tests in enumerate(rows, 1)},
    **RULES,
    **PITFALLS,
}


@pytest.mark.parametrize("trap", INDEX)
def test_its_tests_are_there(trap: str) -> None:
    assert INDEX[trap]
    for name in INDEX[trap]:
        path, _, function = name.partition("::")
        if function:
            source = (TESTS / path).read_text()
            assert re.search(rf"^(async )?def {function}", source, re.MULTILINE), name
        else:
            assert (TESTS / "wire" / path / "expected.json").exists(), name


@pytest.mark.skipif(not NOTES.exists(), reason="the notes are not there")
def test_no_point_is_left_out() -> None:
    sections = re.split(r"^## ", NOTES.read_text(), flags=re.MULTILINE)
    for provider, rows in POINTS.items():
        [section] = [
            part
            for part in sections
            if part.startswith(provider) and "Completions" not in part.split("\n")[0]
        ]
        assert len(re.findall(r"^\d+\. ", section, re.MULTILINE)) == len(rows), provider
    assert sections[-1].count(" · ") + 1 == len(PITFALLS)
