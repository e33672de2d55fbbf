"""Who a lease belongs to, and whether that process is surely gone."""

import os
import secrets
import socket


def own_name() -> str:
    """`host:pid:token`; the token tells two lives of one process number apart."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


def is_gone(owner: str, *, me: str) -> bool:
    """True when `owner` was a process of this machine that does not run any more; any doubt is False.

    Only for a store that processes of one machine share: elsewhere an equal host name proves nothing.
    """
    try:
        host, number, _ = owner.rsplit(":", 2)
        my_host, my_number, _ = me.rsplit(":", 2)
        if host != my_host or number == my_number:
            # Our own number may be an application that this process is just replacing.
            return False
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OSError):
        return False
    return False
