#!/bin/sh
# Searches an archive over HTTP, and prints the answer as JSON.
#
#   wordspot serve all &
#   sh examples/search.sh http://127.0.0.1:8080 QUERY.wav [ARCHIVE]
set -eu
curl --silent --show-error --fail-with-body \
    --form "query=@$2" --form 'options={"top": 5}' \
    "$1/api/v1/archives/${3:-default}/search"
