"""What a request would become at its provider, field by field, without sending it."""
