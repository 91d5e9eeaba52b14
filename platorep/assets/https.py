"""Brings an archive from its project's own page by HTTPS."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from platorep.assets.download import archive_pattern
from platorep.core.errors import AssetError


CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
"""How long to wait for a connection, and for the next bytes."""

TRIES = 4
"""How often a file is asked for, when the transfer breaks off or the answer is 429, 502, 503 or 504."""

PATIENCE = 30
"""Most seconds to wait between two tries, whatever the server asks for."""


def download_url(address: str, folder: Path, watch: Callable[[], None]) -> Path:
    """Downloads a file into `folder` under the name that the address ends in; a broken transfer is resumed.

    Args:
        address: https://…, or http://… of this machine.
        folder: where to write.
        watch: called a few times a second.

    Raises:
        AssetError: no connection, or an answer other than the file.
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
                if not target.exists():  # not broken off, but never begun
                    raise AssetError(f"cannot be reached ({_reason(error)})") from error
                broken = error
            except requests.RequestException as error:
                raise AssetError(f"cannot be had ({_reason(error)})") from error
    raise AssetError(
        f"the transfer broke off {TRIES} times, last after {target.stat().st_size} bytes ({_reason(broken)})"
    )


def url_problem(address: str, seconds: float = 5.0) -> str | None:
    """Why an address cannot be had, by one request for its headers; None if it can."""
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
    # answers that ask for patience are asked for again; a connection that is refused is not: the next source is tried
    counts: dict[str, Any] = {"total": None, "connect": 0, "read": 0, "redirect": 10, "status": TRIES - 1}
    retry = Patient(**counts, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504))
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return session


def _write(answer: Any, target: Path, watch: Callable[[], None]) -> None:
    """Appends what the server sends of the rest, or writes the whole; a body that is too short is a broken transfer."""
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
    """An error of requests in a few words: an answer's status, or the innermost cause without the connection's repr."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.status_code} {response.reason}"
    reason = getattr(error.args[0], "reason", error) if error.args else error
    words = re.sub(r"^.*?(?:object at 0x[0-9a-f]+>|port=[0-9]+\))+: ", "", str(reason))
    return f"{type(error).__name__}: {words[:160]}"
