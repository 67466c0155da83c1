"""What clients see: requests, items, responses, events, errors. Nothing here knows a provider or AWS."""
