#!/bin/sh
# Start the gateway (make run), then: sh examples/curl.sh
# Another address, key or model: OPENRESPONSES_URL=… OPENRESPONSES_API_KEY=… MODEL=… sh examples/curl.sh
set -eu

url=${OPENRESPONSES_URL:-http://127.0.0.1:4000}/v1/responses
model=${MODEL:-echo}

ask() {
    curl --silent --show-error --fail-with-body --no-buffer "$url" -H 'content-type: application/json' \
        -H "authorization: Bearer ${OPENRESPONSES_API_KEY:-unused}" --data "$1"
}

# A turn. Its id is all that the next one needs.
id=$(ask '{"model": "'"$model"'", "input": "My name is Alice."}' | grep -o 'resp_[0-9a-f]*' | head -n 1)

# The next turn, streamed.
ask '{"model": "'"$model"'", "previous_response_id": "'"$id"'", "input": "What is my name?", "stream": true}'
