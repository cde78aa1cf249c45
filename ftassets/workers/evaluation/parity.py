"""One candidate as base and adapter, as its merged copy and as its server answers: token by token."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftassets.domain.chat import Asked, chat
from ftassets.domain.evaluation.parity import Agreement, ParityJob
from ftassets.domain.release.version import TOKENIZER_FILES
from ftassets.durable import write_durably
from ftassets.workers.adapters import put_on
from ftassets.workers.chat_template import answer_ids, prompt_ids
from ftassets.workers.evaluation.generate import load
from ftassets.workers.process import Report

_NEW_TOKENS = 16  # per timed answer
_ROUNDS = 3

_Predicted = tuple[list[int], list[float]]  # most likely token, and the log probability of a token, at each place of an answer


def compare(job: ParityJob, report: Report) -> Agreement:
    """Write the job's output and return it. One model at a time is in memory.

    Base and adapter read the merged copy's answers, so that one other token does not change all that follow. Each model reads them
    through its own tokenizer and chat template.
    """
    tokenizer, model = load(job.merged)
    report(f"parity: {len(job.rows)} prompts through the merged copy")
    merged = [_predict(model, tokenizer, job.system_prompt, row.asked, row.merged) for row in job.rows]
    merged_ms = _milliseconds(model, tokenizer, job)
    server = [_same(answer_ids(tokenizer, row.merged), answer_ids(tokenizer, row.server)) for row in job.rows]
    del model

    trained_with, model = _training_stack(job)
    comparable = trained_with.get_vocab() == tokenizer.get_vocab()  # else the numbers of tokens mean different things
    report("parity: the same answers through base and adapter")
    adapter: list[tuple[int, int]] = []
    gaps: list[float] = []
    for row, (likely, logprobs) in zip(job.rows, merged, strict=True):
        if comparable:
            best, theirs = _predict(model, trained_with, job.system_prompt, row.asked, row.merged, likely)
            adapter.append(_same(likely, best))
            gaps += [abs(one - other) for one, other in zip(logprobs, theirs, strict=True)]
        else:
            adapter.append((0, len(likely)))
    found = Agreement(
        adapter=adapter,
        server=server,
        logprob_gap=sum(gaps) / len(gaps) if gaps else None,
        tokenizer_same=comparable and _same_texts(trained_with, tokenizer),
        adapter_ms=_milliseconds(model, trained_with, job),
        merged_ms=merged_ms,
    )
    write_durably(job.output, found.model_dump_json(indent=2))
    return found


def _training_stack(job: ParityJob) -> tuple[Any, Any]:
    """Base and adapter as they were trained; the tokenizer in the adapter's folder if it has one, else the base's.

    All weights of a version without an adapter were trained: its merged copy, with the base's tokenizer.
    """
    from transformers import AutoTokenizer

    if job.adapter is None:
        return AutoTokenizer.from_pretrained(job.base, trust_remote_code=False), load(job.merged)[1]
    tokenizer, base = load(job.base)
    if _has_tokenizer(job.adapter):
        tokenizer = AutoTokenizer.from_pretrained(job.adapter, trust_remote_code=False)
    return tokenizer, put_on(base, job.adapter).eval()


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).exists() for name in TOKENIZER_FILES)


def _same_texts(one: Any, other: Any) -> bool:
    """Whether two tokenizers of one vocabulary write chats and special tokens alike."""
    return one.chat_template == other.chat_template and one.special_tokens_map == other.special_tokens_map


def _same(one: Sequence[int], other: Sequence[int]) -> tuple[int, int]:
    """Positions with the same token, and positions: a token that is missing is another one."""
    return sum(a == b for a, b in zip(one, other, strict=False)), max(len(one), len(other))


def _predict(model: Any, tokenizer: Any, system_prompt: str, asked: Asked, answer: str, of: Sequence[int] | None = None) -> _Predicted:
    """The most likely token at each place of an answer and behind its end, and the log probabilities of the tokens `of`, else of these."""
    import torch

    said = answer_ids(tokenizer, answer)
    ids = torch.tensor([prompt_ids(tokenizer, chat(system_prompt, asked)) + said], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0, -(len(said) + 1) :].float()
    best = logits.argmax(-1)
    wanted = best if of is None else torch.tensor(of, device=model.device)
    return best.tolist(), logits.log_softmax(-1).gather(1, wanted[:, None])[:, 0].tolist()


def _milliseconds(model: Any, tokenizer: Any, job: ParityJob) -> float:
    """Per new token of one request, its prompt included: the best of a few rounds, for other programs can only slow one down."""
    import torch

    ids = torch.tensor([prompt_ids(tokenizer, chat(job.system_prompt, job.rows[0].asked))], device=model.device)
    settings = {"max_new_tokens": _NEW_TOKENS, "min_new_tokens": _NEW_TOKENS, "do_sample": False, "pad_token_id": 0}
    times = []
    for _ in range(_ROUNDS + 1):  # the first warms up
        begin = time.perf_counter()
        with torch.inference_mode():
            model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings)
        times.append(time.perf_counter() - begin)
    return min(times[1:]) * 1000 / _NEW_TOKENS
