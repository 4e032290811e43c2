"""What version 1 of this SDK had as attributes of a log.

There they were None where the service said nothing, and programs rely on it.
"""

from __future__ import annotations

__all__ = ["PUBLISHED_NAMES"]

PUBLISHED_NAMES = frozenset(
    """
    api_key audio_input_file audio_output_file base64_embedding blurred cache_bit
    cache_enabled cache_hit cache_key cache_miss_bit cache_options
    cache_request_content cache_ttl category completion_message_count
    completion_messages completion_text completion_unit_price covered_by
    credential_override customer_credentials customer_params customer_user_unique_id
    dataset_id delimiter deployment_name dimensions disable_fallback disable_log
    ds_run_at echo embedding encoding_format error_bit eval_params evaluation_cost
    evaluation_identifier exclude_models exclude_providers fallback_models
    field_name for_eval frequency_penalty full_model_name full_text has_tool_calls
    has_warnings hour_group ideal_output input_array ip_address is_fts_enabled
    is_log_omitted is_test keywordsai_api_controls keywordsai_params linkup_params
    load_balance_group load_balance_group_id load_balance_models logit_bias logprobs
    max_completion_tokens max_tokens mem0_params messages
    metadata_indexed_numerical_1 metadata_indexed_string_1 metadata_indexed_string_2
    minute_group mock_response model_name_map models n note organization_id
    organization_key_id organization_key_name organization_name
    original_copy_storage_object_key parallel_tool_calls period_end period_start
    positive_feedback posthog_integration presence_penalty prompt
    prompt_cache_creation_tokens prompt_cache_hit_tokens prompt_message_count
    prompt_messages_template prompt_text prompt_unit_price prompt_version_number
    provider_id reasoning reasoning_effort recommendations recommendations_dict
    redis_cache_ttl request_breakdown request_url_path response_format response_id
    retry_params routing_time session_identifier span_handoffs span_path span_tools
    span_workflow_name stop storage_object_key stream_options system_text thinking
    thread_unique_id timeout tool_calls tool_choice top_logprobs top_p
    trace_group_identifier trace_name unique_organization_id usage
    used_custom_credential user_email user_id variables warnings_dict
    """.split()  # noqa: SIM905  one name a line would fill three screens
)
