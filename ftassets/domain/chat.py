"""How a prompt becomes a chat: the same for training, evaluation and every client of the endpoint."""


def chat(system_prompt: str, prompt: str) -> list[dict[str, str]]:
    """Messages that ask a model for an answer to a prompt."""
    return [{"role": "system", "content": system_prompt}, {"role": "user", "content": prompt}]
