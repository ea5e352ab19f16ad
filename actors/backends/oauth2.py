"""A token by the client credentials of OAuth 2.0 (RFC 6749, section 4.4)."""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

import aiohttp

from actors.recipes.tables import OAuth2

from .answer import HttpAnswer, read
from .facts import with_facts
from .proxies import proxy_for

SHARE_OF_LIFE = 0.8  # after which a token is renewed
_HIDDEN = "…"


async def ask_for_token(rule: OAuth2, timeout_s: float) -> HttpAnswer:
    """Ask the token endpoint, in a session that has nothing of the service's own.

    Raises what aiohttp raises.
    """
    optional = {"scope": rule.scope, "audience": rule.audience}
    form = {"grant_type": "client_credentials"}
    form |= {name: text for name, text in optional.items() if text is not None}
    headers = {"Accept": "application/json"}
    if rule.send == "basic":
        headers["Authorization"] = _basic(rule)
    else:
        form |= {"client_id": rule.client_id, "client_secret": rule.client_secret}
    async with (
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy_for(rule.url),
        ) as session,
        session.post(
            rule.url, data=form, headers=headers, allow_redirects=False
        ) as response,
    ):
        return HttpAnswer(
            response.status, response.headers, await read(response, response.content)
        )


def token_in(answer: HttpAnswer) -> dict[str, Any] | None:
    """Return the token that an answer gives; None if it gives none."""
    token = with_facts(answer).get("access_token")
    is_one = isinstance(token, str) and token.isprintable() and token
    return {"token": token} if is_one else None


def without(answer: HttpAnswer, token: str) -> HttpAnswer:
    """Return an answer in which the token is hidden, if the service repeats it."""
    hidden = answer.body.replace(token.encode(), _HIDDEN.encode())
    if b"\\" in hidden:
        hidden = _escaped(token).sub(_HIDDEN.encode(), hidden)
    named = {k: v for k, v in answer.headers.items() if token in v}
    if named:
        headers: Any = answer.headers  # aiohttp's; upper and lower case are alike
        headers = headers.copy()
        headers.update({k: v.replace(token, _HIDDEN) for k, v in named.items()})
        answer = answer._replace(headers=headers)
    return answer._replace(body=hidden)


def lasts_s(answer: HttpAnswer, at_most_s: int) -> int:
    """For how long its token is used; less than the answer says."""
    try:
        told_s = float(with_facts(answer)["expires_in"])
    except (KeyError, TypeError, ValueError):
        return at_most_s
    return int(max(1, min(told_s * SHARE_OF_LIFE, at_most_s)))


@lru_cache(maxsize=16)
def _escaped(token: str) -> re.Pattern[bytes]:
    r"""The token as JSON may have it, too: `/` as `\/`, and `+` as `\u002b`."""
    forms = (rf"(?:\\?{re.escape(each)}|\\u(?i:{ord(each):04x}))" for each in token)
    return re.compile("".join(forms).encode())


def _basic(rule: OAuth2) -> str:
    """Each part is written as in a form first (section 2.3.1)."""
    pair = f"{quote_plus(rule.client_id)}:{quote_plus(rule.client_secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
