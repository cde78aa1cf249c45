"""What a client may ask for: the fields of OpenAI's chat API that count here."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_INT32 = 2**31 - 1
MOST_MESSAGES = 4000
MOST_PARTS = 1000  # of a message
MOST_TOOLS = 512


class TextPart(BaseModel):
    """A piece of a message; the models we serve read text."""

    type: Literal["text"] = Field(description="Always text.")
    text: str = Field(description="The text.")


Parts = Annotated[list[TextPart], Field(max_length=MOST_PARTS, fail_fast=True)]


class Message(BaseModel):
    """One message; what else it holds is the engine's business."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(description="Who speaks.")
    content: str | Parts | None = Field(None, description="Text, or a list of text parts.")

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """What a stream says besides the answer; other fields have no effect."""

    include_usage: bool | None = Field(None, description="Whether the last chunk has the token counts.")


Stop = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


Tools = Annotated[list[dict[str, Any]], Field(max_length=MOST_TOOLS, fail_fast=True)]


class ChatRequest(BaseModel):
    """The fields that count. Others of the OpenAI API are accepted and have no effect, as `transformers serve` has it."""

    model: str = Field(max_length=100, description="Name of the loop.")
    messages: list[Message] = Field(
        min_length=1, max_length=MOST_MESSAGES, fail_fast=True, description="The conversation. One message of role user must have text."
    )
    stream: bool | None = Field(False, description="Whether the answer comes as server-sent events.")
    stream_options: StreamOptions | None = Field(None, description="What a stream says besides the answer.")
    user: str | None = Field(None, max_length=500, description="Who asks: the same user stays on the same version. Stored as a hash only.")
    temperature: float | None = Field(None, ge=0, le=2, description="Default: the version's own.")
    max_tokens: int | None = Field(
        None, ge=1, le=_INT32, description="Longest answer in tokens. Default: the version's own. Cut to the model's limit."
    )
    max_completion_tokens: int | None = Field(None, ge=1, le=_INT32, description="The same; counts before max_tokens.")
    top_p: float | None = Field(None, gt=0, le=1, description="Passed to the model server.")
    frequency_penalty: float | None = Field(None, ge=-2, le=2, description="Passed to the model server.")
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1, description="Passed to the model server.")
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = Field(None, description="Passed to the model server.")
    tools: Tools | None = Field(None, description="Passed to the model server.")
    n: Literal[1] | None = Field(None, description="One answer only.")

    @model_validator(mode="after")
    def _has_prompt(self) -> "ChatRequest":
        if not self.prompt.strip():
            raise ValueError("no message of role user has text")
        return self

    @property
    def longest(self) -> int | None:
        """Longest answer that the client wants, in tokens."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def own_system_prompt(self) -> str | None:
        """The client's instruction instead of the loop's: the first message of the role system or developer."""
        return next((message.text for message in self.messages if message.role in ("system", "developer")), None)

    @property
    def prompt(self) -> str:
        """Text of the last user message."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")
