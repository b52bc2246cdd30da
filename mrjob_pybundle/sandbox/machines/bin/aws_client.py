"""Has the resident AWS CLI (``resident_aws.py``) run one call as if it were this process: SOCKET ARGUMENT…

Sends the arguments, the environment, the working directory and the standard streams, passes signals on, and ends as the
call does. When this process is killed, the call is, too.
"""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def main() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as resident:
        directory, _, name = sys.argv[1].rpartition("/")
        # A socket's address has little room for long paths.
        place = os.open(directory, os.O_PATH)
        resident.connect(f"/proc/self/fd/{place}/{name}")
        umask = os.umask(0)
        os.umask(umask)
        ignored = [number for number in PASSED_ON if signal.getsignal(number) is signal.SIG_IGN]
        call = {"arguments": sys.argv[2:], "environment": dict(os.environ), "umask": umask, "ignored": ignored}
        message = json.dumps(call).encode()
        here = os.open(".", os.O_PATH)
        # A signal that comes before the call would get lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        for number in PASSED_ON:
            if number not in ignored:
                signal.signal(number, lambda number, _: resident.send(bytes([number])))
        socket.send_fds(resident, [len(message).to_bytes(8, "big")], [here, 0, 1, 2])
        resident.sendall(message)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        answer = resident.recv(2)
    if len(answer) != 2:
        sys.exit("aws: the sandbox that this node belongs to has ended")
    exit_status, ended_by = answer
    if ended_by:
        signal.signal(ended_by, signal.SIG_DFL)
        os.kill(os.getpid(), ended_by)
    sys.exit(exit_status)


main()
