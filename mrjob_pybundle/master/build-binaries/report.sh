# The report in S3: the log, and what the build is at. Part of no recipe.
# shellcheck shell=bash

# Whoever waits reads of a new stage at once; of a log that grows, less often: an upload starts the AWS CLI twice, which
# takes its seconds from the compiler.
readonly LOOK_SECONDS=3
readonly LOG_SECONDS=10
# Even if there is nothing new: whoever waits takes a longer silence for death, and asks EMR.
readonly SIGN_OF_LIFE_SECONDS=30

report_while_running() {
    local stage='' size=0 reported=0 new_stage new_size silence
    trap - EXIT ERR HUP INT
    while kill -0 $$ 2>/dev/null; do
        new_stage=$(cat "$STATE/stage") new_size=$(stat -c %s "$LOG") silence=$((SECONDS - reported))
        if [[ $new_stage != "$stage" ]] \
            || { [[ $new_size != "$size" ]] && ((silence >= LOG_SECONDS)); } \
            || ((silence >= SIGN_OF_LIFE_SECONDS)); then
            # A report that gets lost is made up for by the next one; the build goes on.
            upload_report RUNNING || true
            stage=$new_stage size=$new_size reported=$SECONDS
        fi
        if read -r -t "$LOOK_SECONDS" -u 8; then
            return 0
        fi
    done
}

# last_report STATE: no other makes up for this one.
last_report() {
    local pause
    for pause in 2 8 30 0; do
        if upload_report "$1"; then
            return 0
        fi
        sleep "$pause"
    done
    echo 'the last report could not be written'
    return 1
}

# upload_report STATE: the log, then the status that says how much of the log there is.
upload_report() {
    local snapshot=$STATE/log.snapshot status=$STATE/status.json
    cp "$LOG" "$snapshot"
    status_json "$1" "$(stat -c %s "$snapshot")" >"$status"
    upload_as 'text/plain; charset=utf-8' "$snapshot" "$BUILD_URI/log.txt" \
        && upload_as application/json "$status" "$BUILD_URI/status.json"
}

upload_as() {
    timeout 120 aws s3 cp --only-show-errors ${CACHE_REGION:+--region "$CACHE_REGION"} --content-type "$1" "$2" "$3"
}

# status_json STATE LOG_SIZE
status_json() {
    local stage since name seconds note separator=''
    read -r stage since <"$STATE/stage"
    printf '{"state":"%s","stage":"%s","stage_started":%s,"started":%s,"log_size":%s,"stages":{' \
        "$1" "$stage" "$since" "$(cat "$STATE/started")" "$2"
    while read -r name seconds; do
        printf '%s"%s":%s' "$separator" "$name" "$seconds"
        separator=,
    done <"$STATE/stages"
    printf '},"notes":['
    separator=''
    while read -r note; do
        printf '%s"%s"' "$separator" "$(json_text "$note")"
        separator=,
    done <"$STATE/notes"
    printf ']'
    if [[ $1 == FAILED ]]; then
        printf ',"exit_status":%s,"message":"%s"' \
            "$(cat "$STATE/exit_status" 2>/dev/null || echo 1)" "$(json_text "$(cat "$STATE/message")")"
    fi
    printf '}\n'
}

# What stands between the quotes of a JSON string, on one line.
json_text() {
    printf '%s' "$1" | tr -s '[:cntrl:]' ' ' | sed 's/[\\"]/\\&/g'
}
