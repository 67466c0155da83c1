"""The errors of the providers' documentation: status, body, and what they are for the gateway.

Sources: OpenAI "Error codes"; Anthropic "Errors"; Gemini API "Troubleshooting"; Ollama "Errors"; the error pages of
vLLM, Groq, DeepSeek, Mistral, OpenRouter and Together; Amazon Bedrock API reference, "ConverseStream".
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .outcomes import End, refused

Json = dict[str, Any]

KEY = refused("provider_authentication_failed")
LIMIT, QUOTA = refused("rate_limit_exceeded"), refused("insufficient_quota")
LATER = refused("rate_limit_exceeded", retried=False)  # a Retry-After that nobody waits for
BUSY, FAILED = refused("server_is_overloaded"), refused("provider_error")
AWAY, SLOW = refused("provider_unavailable"), refused("provider_timeout")
MODEL, LONG = refused("model_not_found"), refused("context_length_exceeded")
VALUE, LARGE, PROMPT = refused("invalid_value"), refused("request_too_large"), refused("invalid_prompt")

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
AT_ONCE = ("retry-after: 0",)
MUCH_LATER = ("retry-after: 3600",)


class Documented(NamedTuple):
    """`fields` are further lines of the reply's head."""

    dialect: str
    status: int
    body: Json | list[Json] | bytes
    end: End
    fields: tuple[str, ...] = ()


def openai(status: int, code: str | None, kind: str, message: str, end: End, *fields: str) -> Documented:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Documented("openai", status, {"error": error}, end, fields)


def anthropic(status: int, kind: str, message: str, end: End, *fields: str) -> Documented:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return Documented("anthropic", status, body, end, fields)


def gemini(status: int, name: str, message: str, end: End, *details: Json) -> Documented:
    error: Json = {"code": status, "message": message, "status": name}
    if details:
        error["details"] = list(details)
    return Documented("gemini", status, {"error": error}, end)


def ollama(status: int, message: str, end: End) -> Documented:
    return Documented("ollama", status, {"error": message}, end)


def chat(status: int, body: Json | bytes, end: End, *fields: str) -> Documented:
    return Documented("chat", status, body, end, fields)


def bedrock(status: int, kind: str, message: str, end: End) -> Documented:
    return Documented("bedrock", status, {"message": message}, end, (f"x-amzn-errortype: {kind}",))


INVALID, SERVER = "invalid_request_error", "server_error"

DOCUMENTED: tuple[Documented, ...] = (
    openai(400, None, INVALID, "Invalid type for 'temperature'.", VALUE),
    openai(400, "context_length_exceeded", INVALID, "Your input exceeds the context window of this model.", LONG),
    openai(400, "invalid_prompt", INVALID, "Invalid prompt: it was flagged.", PROMPT),
    openai(401, "invalid_api_key", INVALID, "Incorrect API key provided: sk-abc.", KEY),
    openai(401, None, INVALID, "You must be a member of an organization to use the API.", KEY),
    openai(403, "unsupported_country_region_territory", "request_forbidden", "Country not supported.", KEY),
    openai(404, "model_not_found", INVALID, "The model 'x' does not exist or you do not have access to it.", MODEL),
    openai(408, None, "timeout", "Request timed out.", SLOW),
    openai(413, None, INVALID, "Request too large.", LARGE),
    openai(422, None, INVALID, "Unprocessable.", VALUE),
    openai(429, "rate_limit_exceeded", "requests", "Rate limit reached for requests.", LIMIT),
    openai(429, "rate_limit_exceeded", "tokens", "Rate limit reached for tokens.", LIMIT, *AT_ONCE),
    openai(429, "rate_limit_exceeded", "tokens", "Rate limit reached for tokens.", LATER, *MUCH_LATER),
    openai(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota.", QUOTA),
    openai(500, None, SERVER, "The server had an error while processing your request.", FAILED),
    openai(502, None, SERVER, "Bad gateway.", AWAY),
    openai(503, None, SERVER, "The engine is currently overloaded, please try again later.", BUSY),
    openai(503, "slow_down", SERVER, "Slow down.", BUSY),
    openai(504, None, SERVER, "Gateway timeout.", SLOW),
    Documented("openai", 502, PAGE, AWAY),
    anthropic(400, INVALID, "messages.0.content: must not be empty", VALUE),
    anthropic(400, INVALID, "prompt is too long: 250000 tokens > 200000 maximum", LONG),
    anthropic(400, INVALID, "Your credit balance is too low to access the Anthropic API.", QUOTA),
    anthropic(401, "authentication_error", "invalid x-api-key", KEY),
    anthropic(402, "billing_error", "There is an issue with your billing.", QUOTA),
    anthropic(403, "permission_error", "Your API key does not have permission to use the resource.", KEY),
    anthropic(404, "not_found_error", "model: claude-9", MODEL),
    anthropic(413, "request_too_large", "Request exceeds the maximum size.", LARGE),
    anthropic(429, "rate_limit_error", "Number of request tokens has exceeded your limit.", LIMIT),
    anthropic(429, "rate_limit_error", "Number of request tokens has exceeded your limit.", LIMIT, *AT_ONCE),
    anthropic(429, "rate_limit_error", "Number of request tokens has exceeded your limit.", LATER, *MUCH_LATER),
    anthropic(500, "api_error", "Internal server error", FAILED),
    anthropic(504, "timeout_error", "Request timed out", SLOW),
    anthropic(529, "overloaded_error", "Overloaded", BUSY),
    Documented("anthropic", 502, PAGE, AWAY),
    Documented("anthropic", 503, b"upstream connect error", BUSY),
    gemini(400, "INVALID_ARGUMENT", "Unknown name 'x'.", VALUE),
    gemini(400, "INVALID_ARGUMENT", "The input token count (1048577) exceeds the maximum number of tokens allowed.",
           LONG),
    gemini(400, "INVALID_ARGUMENT", "API key not valid.", KEY,
           {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}),
    gemini(400, "FAILED_PRECONDITION", "User location is not supported for the API use.", VALUE),
    gemini(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", KEY),
    gemini(403, "PERMISSION_DENIED", "Your API key was reported as leaked.", KEY),
    gemini(404, "NOT_FOUND", "models/x is not found for API version v1beta.", MODEL),
    gemini(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.", LIMIT),
    gemini(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", LATER,
           {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3600s"}),
    gemini(429, "RESOURCE_EXHAUSTED", "Quota exceeded, limit: 0, model: x", QUOTA),
    gemini(500, "INTERNAL", "An internal error has occurred.", FAILED),
    gemini(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", BUSY),
    gemini(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", SLOW),
    Documented("gemini", 429, [{"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}], LIMIT),
    ollama(400, "invalid options: temperature", VALUE),
    ollama(401, "unauthorized", KEY),
    ollama(404, "model 'x' not found", MODEL),
    ollama(429, "too many requests", LIMIT),
    ollama(500, "llama runner process has terminated: signal: killed", FAILED),
    ollama(500, "model requires more system memory (9 GiB) than is available", FAILED),
    ollama(502, "the cloud model cannot be reached", AWAY),
    ollama(503, "server busy, please try again.  maximum pending requests exceeded", BUSY),
    chat(400, {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400,
               "type": "BadRequestError", "param": None}, LONG),
    chat(400, {"error": {"message": "The response was filtered.", "code": "content_filter", "type": None}}, PROMPT),
    chat(401, {"message": "Unauthorized", "request_id": "1"}, KEY),
    chat(402, {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": INVALID}}, QUOTA),
    chat(403, {"error": {"message": "Access denied.", "code": 403}}, KEY),
    chat(404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404},
         MODEL),
    chat(408, {"error": {"message": "Request timed out.", "code": 408}}, SLOW),
    chat(413, {"error": {"message": "Request too large for model.", "type": "tokens", "code": "request_too_large"}},
         LARGE),
    chat(422, {"detail": [{"loc": ["body", "top_p"], "msg": "must be less than 1", "type": "less_than"}]}, VALUE),
    chat(429, {"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}}, LIMIT,
         *AT_ONCE),
    chat(429, {"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}}, LATER,
         *MUCH_LATER),
    chat(429, {"error": {"message": "Rate limit reached"}}, LIMIT),
    chat(500, {"error": {"message": "Internal server error", "type": "server_error"}}, FAILED),
    chat(502, {"error": {"message": "Your chosen model is down.", "code": 502}}, AWAY),
    chat(502, PAGE, AWAY),
    chat(503, {"error": {"message": "The server is overloaded.", "type": "server_error"}}, BUSY),
    chat(504, b"stream timeout", SLOW),
    bedrock(400, "ValidationException", "The provided model identifier is invalid.", MODEL),
    bedrock(400, "ValidationException", "Input is too long for requested model.", LONG),
    bedrock(400, "ValidationException", "The value at maxTokens is not valid.", VALUE),
    bedrock(403, "AccessDeniedException", "You don't have access to the model.", KEY),
    bedrock(404, "ResourceNotFoundException", "Model use case details have not been submitted.", MODEL),
    bedrock(408, "ModelTimeoutException", "Model has timed out in processing the request.", SLOW),
    bedrock(424, "ModelErrorException", "The model failed while processing the request.", refused("model_error")),
    bedrock(429, "ThrottlingException", "Too many requests, please wait before trying again.", LIMIT),
    bedrock(429, "ModelNotReadyException", "The model is not ready for inference.", LIMIT),
    bedrock(500, "InternalServerException", "The system encountered an unexpected error.", FAILED),
    bedrock(503, "ServiceUnavailableException", "Bedrock is unable to process your request.", BUSY),
)  # fmt: skip
# What any of them may answer, a proxy before it at the least.
ANY_STATUS: dict[int, End] = {
    400: VALUE, 401: KEY, 402: QUOTA, 403: KEY, 404: MODEL, 408: SLOW, 413: LARGE, 418: VALUE, 422: VALUE, 429: LIMIT,
    500: FAILED, 501: FAILED, 502: AWAY, 503: BUSY, 504: SLOW, 520: FAILED, 529: BUSY, 599: FAILED,
}  # fmt: skip
