"""`python -m bench.generators.http_engine PORT`: a model server without a model, as cheap as Python has it.

A question gets a fixed completion at once, a streamed one `PIECES` pieces, one after the other. Whoever asks with `WAITS` in the question
gets nothing until it leaves. `GET /working` says how many questions are being answered.
"""

import asyncio
import re
import sys
from typing import cast

import uvloop

PIECES, FIRST, BETWEEN = 20, 0.02, 0.025  # seconds to the first piece, and between two: 40 tokens a second
WAITS = b"wait for ever"

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')
_USAGE = b'{"prompt_tokens":7,"completion_tokens":20,"total_tokens":27}'
_COMPLETION = (
    b'{"id":"engine-1","object":"chat.completion","created":1,"model":"merged","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"{\\"intent\\": \\"HassTurnOn\\", \\"name\\": \\"kitchen light\\"}"},"finish_reason":"stop"}],"usage":' + _USAGE + b"}"
)
_PIECE = b'{"id":"engine-1","object":"chat.completion.chunk","created":1,"model":"merged","choices":[%s]%s}'
_WORD = _PIECE % (b'{"index":0,"delta":{"role":"assistant","content":"word "},"finish_reason":null}', b"")
_LAST = _PIECE % (b'{"index":0,"delta":{},"finish_reason":"stop"}', b"")
_COUNTS = _PIECE % (b"", b',"usage":' + _USAGE)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Engine(asyncio.Protocol):
    """One connection."""

    working = 0  # of all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has no subclass of it
        self._read = b""
        self._at_work = False
        self._stream: asyncio.Task[None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None:
            self._stream.cancel()
        self._ends()

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            length = int(found[1]) if (found := _LENGTH.search(self._read, 0, end)) else 0
            if len(self._read) < end + 4 + length:
                return
            head, body, self._read = self._read[:end], self._read[end + 4 : end + 4 + length], self._read[end + 4 + length :]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            return self._whole(b'{"working": %d}' % Engine.working)
        if WAITS in body:
            self._begins()
        elif _STREAM.search(body):
            self._begins()
            self._stream = asyncio.create_task(self._pieces())
        else:
            self._whole(_COMPLETION)

    def _whole(self, body: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async def _pieces(self) -> None:
        self._transport.write(_HEAD)
        await asyncio.sleep(FIRST)
        for number in range(PIECES):
            await asyncio.sleep(BETWEEN if number else 0)
            self._chunk(_WORD)
        self._chunk(_LAST)
        self._chunk(_COUNTS)
        self._chunk(b"[DONE]")
        self._transport.write(b"0\r\n\r\n")
        self._ends()

    def _chunk(self, data: bytes) -> None:
        event = b"data: " + data + b"\n\n"
        self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))

    def _begins(self) -> None:
        self._at_work = True
        Engine.working += 1

    def _ends(self) -> None:
        Engine.working -= self._at_work
        self._at_work = False


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Engine, "127.0.0.1", int(sys.argv[1]), backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
