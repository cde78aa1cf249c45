"""Chats as tokens: the one place where prompts and taught answers are made of a tokenizer's chat template.

A model server renders a request with `apply_chat_template(messages, tools=..., add_generation_prompt=True)`. Training and evaluation use
the same call, so that a version reads in production the tokens it was trained and evaluated on. A control token in a text of a user is
broken first, here and in the gateway.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ftassets.domain.chat import Asked, Chat, chat, trimmed
from ftassets.domain.dataset.control_tokens import ControlTokens, Escape, escape_of, template_markers
from ftassets.errors import InvalidInput

_MARK = "<<answer>>"
SYSTEM, USER = "be brief 4711", "how are you 0815"
FOLD_SYSTEM = (
    "{%- if messages and messages[0]['role'] == 'system' -%}"
    "{%- if messages | length > 1 and messages[1]['role'] == 'user' -%}"
    "{%- set messages = [{'role': 'user', 'content': messages[0]['content'] + '\\n\\n' + messages[1]['content']}] + messages[2:] -%}"
    "{%- else -%}"
    "{%- set messages = [{'role': 'user', 'content': messages[0]['content']}] + messages[1:] -%}"
    "{%- endif -%}"
    "{%- endif -%}"
)


class NoTemplate(InvalidInput):
    """A chat template cannot write a conversation; the message names what it does not take."""


class Taught(NamedTuple):
    """Token ids of a prompt with its answer, and where the answer begins; what the template writes behind it is taught too."""

    ids: list[int]
    start: int


def prompt_text(tokenizer: Any, asked: Chat) -> str:
    """The text a model continues. Raises NoTemplate if the template does not take the conversation."""
    return _render(tokenizer, asked, add_generation_prompt=True)


def prompt_ids(tokenizer: Any, asked: Chat) -> list[int]:
    """The token ids of that text. Raises NoTemplate."""
    return ids_of(tokenizer, prompt_text(tokenizer, asked))


def taught(tokenizer: Any, system_prompt: str, asked: Asked, answer: str) -> Taught:
    """Prompt and answer as they follow each other in production: the prompt's own tokens, then those of the answer and its end.

    Raises NoTemplate if the template does not take the conversation, or writes no answer.
    """
    prompt = prompt_ids(tokenizer, chat(system_prompt, asked))
    # rendered with a mark: a template may strip an answer, and its text may occur in the prompt too
    whole = _render(tokenizer, chat(system_prompt, asked, _MARK), add_generation_prompt=False)
    _, found, end = whole.rpartition(_MARK)
    if not found:
        raise NoTemplate("the chat template leaves the assistant's answer out: take a base model with a template for conversations")
    return Taught(prompt + ids_of(tokenizer, _escape(tokenizer).answer(trimmed(answer)) + end), len(prompt))


def stop_ids(tokenizer: Any, named: int | Sequence[int] | None) -> list[int]:
    """Ids of the tokens at which generation stops: those `named` by a generation configuration, the tokenizer's end of text, and the
    special token that its template writes behind an answer, which training teaches. Some families name only one of them."""
    ids = [*(named if isinstance(named, Sequence) else [named]), tokenizer.eos_token_id]
    try:
        end = _render(tokenizer, chat("", Asked.of(USER), _MARK), add_generation_prompt=False).rpartition(_MARK)[2]
    except NoTemplate:  # it takes no chat at all: whoever renders one says so
        end = ""
    special = {each for each, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids.append(next((each for each in ids_of(tokenizer, end) if each in special), None))
    return list(dict.fromkeys(each for each in ids if each is not None))


def with_system_role(tokenizer: Any) -> str | None:
    """The tokenizer's chat template, changed if it takes no system message: then that is written at the head of the first user message.

    A version's template is served with it, so all clients read the same. None without a template. Raises NoTemplate if there is no way.
    """
    template = tokenizer.chat_template
    if not isinstance(template, str):
        return None if template is None else _default_of(template)
    for candidate in (template, FOLD_SYSTEM + template):
        if writes_system(tokenizer, candidate):
            return candidate
    raise NoTemplate("the chat template writes neither a system message nor a user's: take an instruction-tuned base model")


def _default_of(templates: dict[str, str]) -> str | None:
    return templates.get("default")


def writes_system(tokenizer: Any, template: str | None = None) -> bool:
    """Whether a chat template, the tokenizer's own if none is given, writes a system message and the user's."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    try:
        text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
    except Exception:  # whatever a template raises: most say that the role is not supported
        return False
    return SYSTEM in text and USER in text


def _escape(tokenizer: Any) -> Escape:
    """What breaks the tokenizer's control tokens in texts, as the gateway does it for the files of a version."""
    added = tokenizer.added_tokens_decoder.values()
    special = tuple(dict.fromkeys([*(str(token) for token in added if token.special), *tokenizer.all_special_tokens]))
    template = tokenizer.chat_template
    text = "\n".join(template.values()) if isinstance(template, dict) else template or ""
    return escape_of(ControlTokens(special, template_markers(text, special, tuple(map(str, added)))))


def _render(tokenizer: Any, asked: Chat, add_generation_prompt: bool) -> str:
    asked = _escape(tokenizer).chat(asked)
    try:
        return tokenizer.apply_chat_template(asked.messages, tools=asked.tools, tokenize=False, add_generation_prompt=add_generation_prompt)
    except Exception as error:  # templates raise errors of their own, and Jinja's where they miss a field
        raise NoTemplate(f"the chat template does not take this conversation: {type(error).__name__}: {error}") from error


def answer_ids(tokenizer: Any, answer: str) -> list[int]:
    """Token ids of an answer, none of them a control token."""
    return ids_of(tokenizer, _escape(tokenizer).answer(answer))


def ids_of(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text that a template wrote, its control tokens included."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]
