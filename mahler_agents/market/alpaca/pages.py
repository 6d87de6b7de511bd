"""Below Alpaca's market, pages: a path and its parameters in, every page of the answer out, one request each.

The clients' own paging sends all requests of a chain in one call: none of them would be paced, and a failure of the
last would repeat the first.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from alpaca.common.rest import RESTClient

from mahler_agents.alpaca import AlpacaUnsure
from mahler_agents.alpaca.api import AlpacaApi

_MOST_PAGES = 200


async def pages(
    api: AlpacaApi, client: RESTClient, path: str, params: Mapping[str, Any], *, what: str
) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the pages of an answer, in order.

    Raises `AlpacaRefused` and `AlpacaUnsure`; the latter also for an answer that is no page, and for pages that do not
    end: a chain cut short would look like a whole one.
    """
    token: Any = None
    seen: set[str] = set()
    for _ in range(_MOST_PAGES):
        page = await one_page(api, client, path, {**params, **({"page_token": token} if token else {})}, what=what)
        yield page
        token = page.get("next_page_token")
        if not token:
            return
        if not isinstance(token, str) or token in seen:
            break
        seen.add(token)
    raise AlpacaUnsure(what, "its pages do not end")


async def one_page(
    api: AlpacaApi, client: RESTClient, path: str, params: Mapping[str, Any], *, what: str
) -> Mapping[str, Any]:
    """Return the answer to one request, which must be an object."""

    def call() -> Any:
        return client.get(path, dict(params))

    answer = await api.get(call, what=what)
    if not isinstance(answer, dict):
        raise AlpacaUnsure(what, f"the answer is not an object but {type(answer).__name__}")
    return answer
