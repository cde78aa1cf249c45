"""W3C trace context: passed from a client to the model server, so that both are in one trace. https://www.w3.org/TR/trace-context/"""

import re

from starlette.datastructures import Headers

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")


def trace_context(headers: Headers) -> dict[str, str]:
    """The headers `traceparent` and `tracestate` of a request; none of them without a valid `traceparent` of version 00.

    They are passed on as they are: the gateway exports no span of its own, and a span that is never exported would cut the trace.
    """
    parent = headers.get("traceparent", "").strip()
    if not _PARENT.fullmatch(parent):
        return {}
    state = ",".join(headers.getlist("tracestate"))
    return {"traceparent": parent} | ({"tracestate": state} if _STATE.fullmatch(state) else {})
