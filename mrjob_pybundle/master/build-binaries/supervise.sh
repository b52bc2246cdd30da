# The worker, who does the stages, and the supervisor, who sees to it that it ends. Part of no recipe.
# shellcheck shell=bash disable=SC2164

readonly NEEDED_SPACE=$((6 << 30))
# What is kept free for the words on why a build has failed, should it have filled its disk.
readonly RESERVE=$((1 << 20))
# How long after the time limit the machine goes, should this script still be there.
readonly GRACE_SECONDS=600

### The worker: runs stages, and writes down where it is.

worker_main() {
    EXIT_STATUS=''
    trap 'EXIT_STATUS=$?; die "\"$BASH_COMMAND\" ended with exit status $EXIT_STATUS"' ERR
    work
}

run_stages() {
    local name started directory=$PWD
    for name; do
        started=$(date +%s)
        printf '%s %s\n' "$name" "$started" >"$STATE/stage.new"
        mv "$STATE/stage.new" "$STATE/stage"
        printf '==> %s\n' "$name"
        "stage_${name//-/_}"
        cd "$directory"
        printf '%s %s\n' "$name" "$(($(date +%s) - started))" >>"$STATE/stages"
    done
}

die() {
    trap - ERR
    # The innermost reason is the one that says most.
    if [[ ! -e $STATE/message ]]; then
        printf '%s' "$*" >"$STATE/message"
        printf '%s' "${EXIT_STATUS:-1}" >"$STATE/exit_status"
        printf 'mrjob-pybundle: %s\n' "$*" >&2
    fi
    exit 1
}

### The supervisor: time limit, signals, the last report.

supervisor_main() {
    STATUS=1
    make_work_directory
    trap clean_up EXIT
    trap 'stop_work' HUP INT TERM
    date +%s >"$STATE/started"
    printf 'prepare %s\n' "$(cat "$STATE/started")" >"$STATE/stage"
    touch "$STATE/stages" "$STATE/notes" "$LOG"
    printf 'build %s: log at %s/log.txt\n' "$BUILD_ID" "$BUILD_URI"
    if [[ -e $STATE/message ]]; then
        printf 'mrjob-pybundle: %s\n' "$(cat "$STATE/message")" >"$LOG"
        release_claim
    else
        have_it_done
    fi

    if ((STATUS == 0)); then
        last_report SUCCEEDED || true # Published is published: who waits finds the bundle when the cluster has ended.
        printf 'build %s: done\n' "$BUILD_ID"
        return
    fi
    make_room_for_last_words
    explain "$STATUS"
    # Where these go may be full, too.
    { tail -n 50 "$LOG" | cut -c 1-500 >&2; } || true
    last_report FAILED
    return 1
}

# Starts worker, reporter and watchdog, waits for the worker, and gives the claim back. Sets STATUS, to what the worker
# ended with.
have_it_done() {
    local reporter watchdog
    mkfifo "$STATE/reporter"
    exec 8<>"$STATE/reporter"
    report_while_running &
    reporter=$!
    # Its sleep outlives it, and must not hold open what somebody reads to its end.
    shut_down_if_stuck >/dev/null 2>&1 &
    watchdog=$!
    # A process group of its own, so that its whole tree ends at the time limit.
    # /tmp may be a part of the machine's memory, and small.
    mkdir "$WORK/tmp"
    PYBUNDLE_BUILD_WORK=$WORK TMPDIR=$WORK/tmp timeout -k 30 "${TIMEOUT_MINUTES}m" bash "$0" >>"$LOG" 2>&1 </dev/null 8>&- &
    WORKER=$!
    while true; do
        STATUS=0
        wait "$WORKER" || STATUS=$?
        # A signal ends `wait`, not the worker.
        kill -0 "$WORKER" 2>/dev/null || break
    done
    wait "$WORKER" || STATUS=$?
    # What was left running in there, and does not heed a mere request.
    kill -KILL -- "-$WORKER" 2>/dev/null || true
    # The reporter is asked, not killed: a late upload of it must not replace the last report.
    echo stop >&8
    release_claim # which takes as long as what the reporter may be in the middle of
    wait "$reporter" || true
    kill "$watchdog" 2>/dev/null || true
}

# Before the last report, after which others may claim anew: whoever claimed this build may be gone by now.
release_claim() {
    # Another author's by now, if this build was given up for dead.
    timeout 120 aws s3 cp --only-show-errors ${CACHE_REGION:+--region "$CACHE_REGION"} "$CLAIM_URI" "$STATE/claim.json" \
        2>/dev/null || return 0
    grep -qF "\"$BUILD_ID\"" "$STATE/claim.json" || return 0
    timeout 120 aws s3 rm --only-show-errors ${CACHE_REGION:+--region "$CACHE_REGION"} "$CLAIM_URI" \
        || echo 'the claim on this bundle is left to whoever finds it: it names a build that has ended'
}

# Where there is room for a build. Without any, a place for the message that says so.
make_work_directory() {
    local parent available=0
    for parent in /mnt /var/tmp; do
        as_root mkdir -p "$parent/pybundle-build" || continue
        available=$(df --output=avail -B1 "$parent/pybundle-build" | tail -n 1)
        if ((available >= NEEDED_SPACE)); then
            WORK=$parent/pybundle-build/$BUILD_ID
            as_root rm -rf "$WORK"
            as_root mkdir "$WORK"
            as_root chown "$(id -u):$(id -g)" "$WORK"
            name_places
            mkdir "$STATE"
            head -c $RESERVE /dev/zero >"$WORK/reserve"
            return
        fi
    done
    WORK=$(mktemp -d)
    name_places
    mkdir "$STATE"
    printf 'a build needs %d MiB, but /mnt and /var/tmp have less (%d MiB)' \
        $((NEEDED_SPACE >> 20)) $((available >> 20)) >"$STATE/message"
}

stop_work() {
    printf 'stopped by a signal' >"$STATE/stopped"
    [[ -z ${WORKER:-} ]] || kill "$WORKER" 2>/dev/null || true
}

# Sets IS_FULL: whether there was none.
make_room_for_last_words() {
    IS_FULL=''
    (($(df --output=avail -B1 "$WORK" | tail -n 1) >= RESERVE)) || IS_FULL=yes
    rm -f "$WORK/reserve"
}

# explain STATUS: makes sure that there is a message, whatever ended the worker.
explain() {
    local status=$1 stage
    stage=$(cut -d ' ' -f 1 "$STATE/stage")
    if [[ -e $STATE/stopped ]]; then
        printf 'stopped by a signal in stage %s' "$stage" >"$STATE/message"
    elif ((status == 124 || (status == 137 && SECONDS >= $(limit_seconds 0)))); then
        printf 'time limit of %s minutes reached in stage %s' "$TIMEOUT_MINUTES" "$stage" >"$STATE/message"
    elif [[ -n $IS_FULL ]]; then
        printf 'the disk of the build cluster is full (%s)' "$WORK" >"$STATE/message"
    elif [[ ! -s $STATE/message ]]; then
        printf 'the build ended with exit status %s in stage %s' "$status" "$stage" >"$STATE/message"
    else
        return 0
    fi
    printf '%s' "$status" >"$STATE/exit_status"
    printf 'mrjob-pybundle: %s\n' "$(cat "$STATE/message")" >>"$LOG"
}

# The last resort against a step that runs for ever at its owner's expense. Only on a machine that is ours alone.
shut_down_if_stuck() {
    local limit
    limit=$(limit_seconds "$GRACE_SECONDS")
    trap - EXIT ERR HUP INT TERM
    exec 8>&-
    while ((SECONDS < limit)); do
        sleep 5
        kill -0 $$ 2>/dev/null || return 0
    done
    if machine_is_ours; then
        # Machines have been met on which it did nothing for hours.
        while true; do
            as_root shutdown -h now || true
            sleep 60
        done
    fi
}

# An EC2 instance, seen from its own root and not from a container, is one that goes when the build has ended.
machine_is_ours() {
    grep -qi amazon /sys/devices/virtual/dmi/id/{sys_vendor,bios_version} 2>/dev/null \
        && [[ $(as_root readlink /proc/1/ns/mnt) == "$(readlink /proc/self/ns/mnt)" ]]
}

# limit_seconds MORE: the time limit, which may be a fraction of minutes, and MORE seconds.
limit_seconds() {
    awk -v minutes="$TIMEOUT_MINUTES" -v more="$1" 'BEGIN { print int(minutes * 60 + more) }'
}

# The cluster ends with this script, and nobody waits for gigabytes of files to be removed from a disk that goes, too.
clean_up() {
    if [[ -n $WORK ]] && ! machine_is_ours; then
        as_root rm -rf "$WORK"
    fi
}
