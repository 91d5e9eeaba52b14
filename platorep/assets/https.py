"""Downloads an archive from the page of its project by HTTPS."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from platorep.assets.download import archive_pattern
from platorep.core.errors import AssetError


CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
"""Seconds to wait for a connection, and for the next bytes."""

TRIES = 4
"""Number of requests for a file if the transfer breaks off or the answer is 429, 502, 503 or 504."""

PATIENCE = 30
"""Longest wait in seconds between two requests, whatever the server asks for."""


def download_url(address: str, folder: Path, watch: Callable[[], None]) -> Path:
    """Downloads a file into `folder` under the last part of its URL; broken transfers are resumed.

    Args:
        address: https://…, or http://… of this machine.
        folder: the folder to write to.
        watch: called a few times per second.

    Raises:
        AssetError: there is no connection, or the answer is not the file.
    """
    import requests

    target = folder / archive_pattern("url", address)
    with _session() as session:
        for _ in range(TRIES):
            size = target.stat().st_size if target.exists() else 0
            try:
                headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
                with session.get(
                    address, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
                ) as answer:
                    answer.raise_for_status()
                    _write(answer, target, watch)
                return target
            except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError) as error:
                if not target.exists():  # the transfer did not begin
                    raise AssetError(f"cannot be reached ({_reason(error)})") from error
                broken = error
            except requests.RequestException as error:
                raise AssetError(f"cannot be fetched ({_reason(error)})") from error
    raise AssetError(
        f"the transfer broke off {TRIES} times, last after {target.stat().st_size} bytes ({_reason(broken)})"
    )


def url_problem(address: str, seconds: float = 5.0) -> str | None:
    """Requests the headers of a URL; returns the reason if it is not available, else None."""
    import requests

    try:
        answer = requests.head(address, timeout=seconds, allow_redirects=True)
        answer.raise_for_status()
    except requests.RequestException as error:
        return _reason(error)
    return None


def _session() -> Any:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    class Patient(Retry):
        def get_retry_after(self, response: Any) -> float | None:
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, PATIENCE)

    session = requests.Session()
    # requests are repeated if the server is busy, but not if it refuses the connection: then the next source is tried
    retry = Patient(
        total=None,
        connect=0,
        read=0,
        redirect=10,
        status=TRIES - 1,
        backoff_factor=0.5,
        status_forcelist=(429, 502, 503, 504),
    )
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return session


def _write(answer: Any, target: Path, watch: Callable[[], None]) -> None:
    """Appends the rest of a file or writes all of it; a body that is too short is a broken transfer."""
    import requests

    resumed = answer.status_code == 206
    with open(target, "ab" if resumed else "wb") as out:
        for block in answer.iter_content(1 << 16):
            out.write(block)
            watch()
    start = int(answer.headers.get("Content-Range", "bytes 0-").split()[1].partition("-")[0]) if resumed else 0
    length = answer.headers.get("Content-Length")
    if length is not None and target.stat().st_size != start + int(length):
        raise requests.exceptions.ChunkedEncodingError("the transfer ended early")


def _reason(error: Exception) -> str:
    """A short description of an error: the status of an answer, or the innermost cause without object reprs."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.status_code} {response.reason}"
    reason = getattr(error.args[0], "reason", error) if error.args else error
    words = re.sub(r"^.*?(?:object at 0x[0-9a-f]+>|port=[0-9]+\))+: ", "", str(reason))
    return f"{type(error).__name__}: {words[:160]}"
