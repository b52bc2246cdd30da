# What a build cluster's one step does (bash -c): fetch the script whose S3 URI is the argument, and become it.
# shellcheck shell=bash
set -eu
script=$(mktemp)
aws s3 cp --only-show-errors "$1" "$script"
exec bash "$script"
