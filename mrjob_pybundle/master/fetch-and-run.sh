# What a build cluster's one step does (bash -c): fetch a script from S3, make sure that it is the one that was put
# there, and become it. Arguments: its S3 URI, its sha256, and the region of its bucket, if that is known.
# shellcheck shell=bash
set -eu
script=$(mktemp)
# S3 has bad moments, and a cluster has been started for this.
export AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=10
aws s3 cp --only-show-errors ${3:+--region "$3"} "$1" "$script"
echo "$2  $script" | sha256sum --check --quiet
exec bash "$script"
