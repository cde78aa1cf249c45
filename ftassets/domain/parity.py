"""Whether training stack, merged copy and model server are the same model: what was compared, in counts."""

from pydantic import BaseModel, ConfigDict


class Parity(BaseModel):
    """One candidate seen through its three forms, on the same prompts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompts: int
    adapter_tokens: int  # tokens of the merged copy's answers, each predicted again by base and adapter
    adapter_agree: int  # ... with the same most likely token
    logprob_gap: float  # mean absolute difference of the tokens' log probabilities, in nats
    server_tokens: int  # tokens of the merged copy's answers and the server's, position by position
    server_agree: int
    valid_merged: int  # answers in the form the task asks for
    valid_server: int
    tokenizer_same: bool  # tokenizer and chat template beside the adapter are those of the merged copy
    adapter_ms: float  # per token, base and adapter
    merged_ms: float
