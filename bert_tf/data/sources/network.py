"""Whether a server can be reached, found out in seconds: a download would wait for minutes."""

import threading
import urllib.error
import urllib.request

_SECONDS = 8


def status_of(url, headers=None, seconds=_SECONDS):
    """Returns the HTTP status (int) that a server answers with, None if it cannot be reached.

    Proxies are those of the environment (HTTPS_PROXY), and the answer never takes longer than
    `seconds`, whichever of name, connection and server is slow.
    """
    found = []

    def ask():
        try:
            request = urllib.request.Request(url, headers=headers or {})
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                found.append(answer.status)
        except urllib.error.HTTPError as e:
            found.append(e.code)
        except (OSError, ValueError):
            pass

    thread = threading.Thread(target=ask, daemon=True)  # a name server may take longer
    thread.start()
    thread.join(seconds)
    return found[0] if found else None
