"""Has the fork server at a socket run `python WORDS` as this process: `fork_client.py SOCKET WORDS...`.

Signals are passed on, and the exit status or the deadly signal comes back. The client imports little: its start is
what a test pays.
"""

import _socket
import json
import os
import signal
import sys


def is_open(number):  # type: ignore[no-untyped-def]
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


streams = [number for number in range(3) if is_open(number)]  # before anything else is opened under their numbers
umask = os.umask(0)
os.umask(umask)
asked = {
    "argv": sys.argv[2:],
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "umask": umask,
    "ignores_interrupts": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
    "open": streams,
}
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
server.connect(sys.argv[1])
text = json.dumps(asked).encode()
text = b"%d\n%s" % (len(text), text)
descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in streams)
rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)] if streams else []
sent = server.sendmsg([text], rights)
while sent < len(text):
    sent += server.send(text[sent:])


def line_after(told):  # type: ignore[no-untyped-def]
    """Returns what the server says up to the end of a line; ends this process if the server has gone without it."""
    while b"\n" not in told:
        more = server.recv(100)
        if not more:
            os._exit(os.EX_UNAVAILABLE)
        told += more
    return told


told = line_after(b"")
process, _, told = told.partition(b"\n")
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda received, frame: os.kill(int(process), received))
for number in streams:
    os.close(number)  # readers at the other end of a pipe see its end when the process ends, not later
status = int(line_after(told))
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
    os.kill(os.getpid(), -status)
os._exit(status)
