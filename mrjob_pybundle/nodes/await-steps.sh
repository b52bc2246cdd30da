# What the first step of a cluster does that was launched before its job's steps were known (bash -c): wait on the master
# until the submitter says that they have been added. One object in S3 has the submitter's word: "go", or something else
# that changes while the submitter lives. A failure ends the cluster. Arguments: the object's URI; seconds between two
# looks at it; seconds without a change after which there is no submitter any more; seconds that all may take; the region
# of the bucket, if that is known.
# shellcheck shell=bash
set -u
place=${1#s3://} last='' changed=$SECONDS
file=$(mktemp) || exit 1
trap 'rm -f "$file"' EXIT
while :; do
    # One request, where s3 cp makes two. What S3 has against it, it may not have the next time.
    if aws s3api get-object ${5:+--region "$5"} --bucket "${place%%/*}" --key "${place#*/}" "$file" >/dev/null; then
        word=$(<"$file")
        if [ "$word" = go ]; then
            exit 0
        elif [ "$word" != "$last" ]; then
            last=$word changed=$SECONDS
        fi
    fi
    if ((SECONDS - changed >= $3)); then
        echo "No sign of life of this job's submitter in $1 for $3 seconds: its steps will not come." >&2
        exit 1
    elif ((SECONDS >= $4)); then
        echo "This job's steps have not come within $4 seconds." >&2
        exit 1
    fi
    sleep "$2"
done
