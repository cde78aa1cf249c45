"""What a client may ask for: the fields of OpenAI's chat API that count here."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ftassets.domain.clients import ClientKey

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
    """The fields of OpenAI's chat API. What becomes of each depends on the model server; a name that is not among them is refused."""

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
    top_p: float | None = Field(None, gt=0, le=1, description="Sample from the likeliest tokens with this probability together.")
    frequency_penalty: float | None = Field(None, ge=-2, le=2, description="Make tokens less likely by how often they stand there.")
    presence_penalty: float | None = Field(None, ge=-2, le=2, description="Make tokens less likely that stand there.")
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(None, description="Make tokens more or less likely.")
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1, description="Seed of the sampling.")
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = Field(None, description="Texts at which the answer ends.")
    tools: Tools | None = Field(None, description="Functions that the model may call.")
    tool_choice: str | dict[str, Any] | None = Field(None, description="Whether a tool must be called, and which.")
    parallel_tool_calls: bool | None = Field(None, description="Whether several tools may be called at once.")
    functions: Tools | None = Field(None, description="What tools were called before.")
    function_call: str | dict[str, Any] | None = Field(None, description="What tool_choice was called before.")
    response_format: dict[str, Any] | None = Field(None, description="Text, JSON, or JSON of a schema.")
    logprobs: bool | None = Field(None, description="Whether the answer has the tokens' log probabilities.")
    top_logprobs: int | None = Field(None, ge=0, le=20, description="How many of the likeliest tokens have theirs.")
    reasoning_effort: str | None = Field(None, max_length=20, description="How much the model thinks first.")
    verbosity: str | None = Field(None, max_length=20, description="How long answers are.")
    web_search_options: dict[str, Any] | None = Field(None, description="Search the web first.")
    moderation: dict[str, Any] | None = Field(None, description="Have the answer checked.")
    modalities: list[str] | None = Field(None, max_length=10, description="Kinds of the answer: text.")
    audio: dict[str, Any] | None = Field(None, description="How a spoken answer sounds.")
    prediction: dict[str, Any] | None = Field(None, description="What the answer will probably be, to have it faster.")
    service_tier: str | None = Field(None, max_length=50, description="How soon it is answered, and at which price.")
    store: bool | None = Field(None, description="Whether OpenAI stores the answer. The traffic log does in any case.")
    metadata: Any = Field(None, description="For OpenAI's store.")
    safety_identifier: Any = Field(None, description="For OpenAI's rules of use.")
    prompt_cache_key: Any = Field(None, description="For OpenAI's cache of prompts.")
    prompt_cache_retention: Any = Field(None, description="For OpenAI's cache of prompts.")
    prompt_cache_options: Any = Field(None, description="For OpenAI's cache of prompts.")
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


@dataclass(frozen=True)
class Received:
    """What a client asked, as validated and as it came, by whom, and when."""

    ask: ChatRequest
    content: dict[str, Any]
    size: int  # bytes of the body
    name: str
    client: ClientKey | None
    own_id: str | None
    at: float
    began: float
