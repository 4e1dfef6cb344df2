#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Shows what a client and a server say to each other before TLS.

    wiretap.py PORT         # of the server, on 127.0.0.1

Prints the port it listens on, takes one connection, passes everything on in
both directions, and prints each line that was sent in clear, with "C: " or
"S: " in front; it is silent from the TLS handshake on.  Some clients (openssl
s_client -starttls) do not show this part themselves.
"""
import selectors
import socket
import sys


class Side:
    def __init__(self, sock, mark):
        self.sock, self.mark, self.line = sock, mark, b""


def show(side, data):
    """True if TLS begins here: a handshake record, in place of a line."""
    if not side.line and data[:1] == b"\x16":
        return True
    *lines, side.line = (side.line + data).split(b"\n")
    for line in lines:
        print(side.mark, line.rstrip(b"\r").decode("ascii", "backslashreplace"), flush=True)
    return False


def main(port):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        inner, _ = listener.accept()
    client, server = Side(inner, "C:"), Side(socket.create_connection(("127.0.0.1", port)), "S:")
    clear = True
    with client.sock, server.sock, selectors.DefaultSelector() as ready:
        ready.register(client.sock, selectors.EVENT_READ, (client, server))
        ready.register(server.sock, selectors.EVENT_READ, (server, client))
        while True:
            for key, _ in ready.select():
                near, far = key.data
                data = near.sock.recv(65536)
                if not data:
                    return
                if clear and show(near, data):
                    clear = False
                far.sock.sendall(data)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except ConnectionError:
        pass
