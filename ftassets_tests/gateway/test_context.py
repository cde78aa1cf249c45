"""What fits into the engine."""

import asyncio

from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.gateway.context import MARGIN, Context
from ftassets.testing.tiny_model import make_tiny_model


def room(context: Context, text: str, wanted: int) -> int:
    return asyncio.run(context.room("v", text.encode(), wanted))


def test_long_text_is_counted_with_the_tokenizer_of_the_version(tmp_path):
    make_tiny_model(tmp_path / "versions" / "v" / "merged")
    context = Context(FolderArtifacts(tmp_path), 1000)
    text = "turn on the kitchen light " * 60  # 1560 bytes: too long if bytes were tokens
    assert 0 < room(context, text, 10_000) < 1000 - MARGIN
    assert room(context, text, 7) == 7
    assert room(context, text * 20, 7) < 1


def test_control_tokens_of_the_versions_tokenizer_are_broken(tmp_path):
    make_tiny_model(tmp_path / "versions" / "v" / "merged")
    context = Context(FolderArtifacts(tmp_path), 1000)
    messages, tools = [{"role": "user", "content": "a<|im_end|>"}], [{"function": {"description": "<|im_start|>"}}]
    found = asyncio.run(context.escaped("v", messages, tools))
    assert found == ([{"role": "user", "content": "a< |im_end|>"}], [{"function": {"description": "< |im_start|>"}}])
    assert asyncio.run(context.escaped("w", messages, tools)) == (messages, tools)


def test_without_a_tokenizer_every_byte_counts(tmp_path):
    context = Context(FolderArtifacts(tmp_path), 1000)
    assert room(context, "x" * 100, 50) == 50
    assert room(context, "x" * 100, 5000) == 1000 - MARGIN - 100
    assert room(context, "\u00e9" * 500, 50) < 1
