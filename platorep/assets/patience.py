"""Repeats requests when the Hub is busy, and resumes downloads after a broken connection.

The Hub's client waits and asks again by itself for some requests and not for others. Here are the limits for all of
them: a request is sent at most `TRIES` times, each wait is at most `LONGEST_WAIT`, and a file goes on where it stopped.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from platorep.core.errors import AssetError


log = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 5
"""Number of times that a request is sent before it fails."""

FIRST_WAIT = 1.0
"""Seconds before the second request; each further wait is twice as long, or as long as the Hub asks for."""

LONGEST_WAIT = 120.0
"""Seconds. If the Hub asks for a longer wait, the request fails."""

BUSY = (408, 429, 500, 502, 503, 504)
"""Statuses of temporary failures."""


def persistently(request: Callable[[], T], what: str, tries: int = TRIES) -> T:
    """Returns the result of `request`, which is repeated while the Hub is busy or the connection breaks.

    Requests are not repeated if the Hub cannot be reached: the cache is used instead, and no model has to wait.

    Args:
        request: the request; raises the errors of the Hub's client.
        what: its name in the log.
        tries: largest number of attempts.

    Raises:
        AssetError: the Hub asks to wait longer than `LONGEST_WAIT`.
        Exception: the error of the last attempt, or any permanent failure.
    """
    wait = FIRST_WAIT
    for number in range(1, tries + 1):
        prepare_client()
        try:
            return request()
        except Exception as error:
            if number == tries or not may_pass(error):
                raise
            seconds = max(wait, seconds_asked(getattr(error, "response", None)) or 0)
            log.warning(
                "%s: %s; trying again in %.0f s (%d of %d)", what, first_line(error), seconds, number + 1, tries
            )
        time.sleep(seconds)
        wait *= 2
    raise AssertionError("unreachable")


def may_pass(error: BaseException) -> bool:
    """Whether a failure is temporary: the Hub is busy, or an established connection broke."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx

    if isinstance(error, HfHubHTTPError):
        return error.response is not None and error.response.status_code in BUSY
    return isinstance(error, httpx.TransportError) and not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))


def seconds_asked(response: Any) -> float | None:
    """The wait that an answer asks for by its headers `Retry-After` or `ratelimit`."""
    from huggingface_hub.utils import parse_ratelimit_headers

    if response is None:
        return None
    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isdigit() else None


def first_line(error: BaseException) -> str:
    """The first non-blank line of an error, cut at 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


def prepare_client() -> None:
    """Applies the limits of this module to all further requests of the Hub's client.

    The client resumes a file after its connection was closed and not after it was reset, and waits as long as it is
    told. Its progress bars are left to terminals.
    """
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars

    if constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not sys.stderr.isatty() and not are_progress_bars_disabled():
        disable_progress_bars()
    hooks = get_session().event_hooks
    if _examine not in hooks["response"]:
        get_session().event_hooks = {**hooks, "response": [*hooks["response"], _examine]}


def _examine(response: Any) -> None:
    """Called by the client with every answer, before its body is read."""
    from huggingface_hub.utils import httpx

    seconds = seconds_asked(response) if response.status_code in BUSY else None
    if seconds is not None and seconds > LONGEST_WAIT:
        raise AssetError(
            f"the Hub answered {response.status_code} to {response.request.url.path} and asks to wait {seconds:.0f} s, "
            "more "
            f"than the {LONGEST_WAIT:.0f} s that are waited here. Log in (`hf auth login`) for a higher limit, or "
            "start "
            "again later: what is fetched stays."
        )

    class Resumable(httpx.SyncByteStream):
        """A body that reports a broken connection by the error after which the client resumes."""

        def __init__(self, body: Any) -> None:
            self.body = body

        def __iter__(self) -> Any:
            try:
                yield from self.body
            except httpx.NetworkError as error:
                raise httpx.RemoteProtocolError(str(error)) from error

        def __getattr__(self, name: str) -> Any:
            return getattr(self.body, name)

        def close(self) -> None:
            self.body.close()

    response.stream = Resumable(response.stream)
