#!/bin/sh
# A turn that uses the tool; the gateway runs it and the answer comes in one response. See app.py.
set -eu

curl --silent --show-error --fail-with-body "${OPENRESPONSES_URL:-http://127.0.0.1:4000}/v1/responses" \
    -H 'content-type: application/json' -H "authorization: Bearer ${OPENRESPONSES_API_KEY:-unused}" \
    --data '{"model": "'"${MODEL:-echo}"'", "input": "/tool find_stock {\"thing\": \"parrot\"}",
             "tools": [{"type": "function", "name": "find_stock"}]}'
