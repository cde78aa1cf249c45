"""One normal form of an answer for the traffic log, whether it came as a whole or in pieces.

Text is stored as it is. Calls of tools are stored as the JSON list of them in OpenAI's form, after a part `{"type": "text", ...}` if there
is text too. What a model thinks before it answers is passed to the client and not stored.
"""

from typing import Any

from pydantic_core import to_json

_MOST_TOKENS = 2**31 - 1
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


class Answer:
    """What came of an answer so far. Fields that OpenAI's API does not have, or has otherwise, are left out."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[Any, dict[str, str]] = {}

    def take(self, message: Any) -> bool:
        """Add a message or a piece of one (a delta); whether it says anything, thoughts included."""
        if not isinstance(message, dict):
            return False
        text, thinks = _texts(message.get("content"))
        refusal = message.get("refusal")
        refusal = refusal if isinstance(refusal, str) else ""
        self._text.append(text)
        self._refusal.append(refusal)
        calls = message.get("tool_calls")
        called = [self._call(number, call) for number, call in enumerate(calls)] if isinstance(calls, list) else []
        if isinstance(function := message.get("function_call"), dict):  # what a call was before there were tools
            called.append(self._call(0, {"function": function}))
        thinks = thinks or any(message.get(name) for name in _THOUGHTS)
        return bool(text or refusal) or any(called) or thinks

    def logged(self) -> str:
        """The answer in its normal form."""
        text = "".join(self._text) or "".join(self._refusal)
        if not self._calls:
            return text
        calls = [
            {
                **({"id": call["id"]} if call["id"] else {}),
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in self._calls.values()
        ]
        return to_json([*([{"type": "text", "text": text}] if text else []), *calls]).decode()

    def _call(self, number: int, call: Any) -> bool:
        """Add a call or a piece of one, which is known by its index, else by its place."""
        if not isinstance(call, dict):
            return False
        index = call.get("index")
        known = self._calls.setdefault(index if isinstance(index, int) else number, {"id": "", "name": "", "arguments": ""})
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):  # some servers send the object itself
            arguments = to_json(arguments).decode()
        for name, value in (("id", call.get("id")), ("name", function.get("name"))):
            if isinstance(value, str) and value:  # some repeat them with each piece
                known[name] = value
        known["arguments"] += arguments or ""
        return bool(arguments or function.get("name"))


def tokens(usage: Any, name: str) -> int | None:
    """A count of tokens as a server reports it; None for what is not a count."""
    value = usage.get(name) if isinstance(usage, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS else None


def _texts(content: Any) -> tuple[str, bool]:
    """The text of a content, and whether a part of it is a thought."""
    if isinstance(content, str):
        return content, False
    if not isinstance(content, list):
        return "", False
    parts = [part for part in content if isinstance(part, dict)]
    texts = [part["text"] for part in parts if part.get("type") in ("text", "output_text") and isinstance(part.get("text"), str)]
    return "".join(texts), any(part.get("type") in _THOUGHTS for part in parts)
