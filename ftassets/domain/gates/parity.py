"""The server must be the model that was trained."""

from typing import TYPE_CHECKING

from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.parity import Parity
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, rows_to_tell, verdict_of
from ftassets.domain.statistics import Pairs, mcnemar_p, mean_lower_bound

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue()  # a prompt's share of agreeing tokens


def evaluate_parity(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a parity gate.

    PASS when tokenizers are the same, the server keeps the form of answers, and the mean share of agreeing tokens, a prompt each,
    has a lower confidence bound of at least `at_least`, for base and adapter and for the server. Time per token is only reported.
    """
    threshold, found = gate.at_least or 0.0, report.parity
    if found is None or not found.prompts:
        text = "parity was not measured: materialize eval_report again" if found is None else "there was no prompt to compare"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, text)
    forms = (found.adapter_shares, found.server_shares)
    adapter, server = (sum(shares) / len(shares) for shares in forms)
    adapter_bound, server_bound = (mean_lower_bound(shares, gate.confidence) for shares in forms)
    value, bound = min(adapter, server), min(adapter_bound, server_bound)
    broken = [text for text in (_other_tokenizer(found), _lost_form(found, gate.confidence)) if text]
    verdict = Verdict.FAIL if broken else verdict_of(bound >= threshold, value >= threshold)
    text = (
        f"tokens agree with the merged copy's: base and adapter {adapter:.4f}, lower bound {adapter_bound:.4f}; the server "
        f"{server:.4f}, lower bound {server_bound:.4f}; both need {threshold:g}, on {found.prompts} prompts; a token takes "
        f"{found.adapter_ms / found.merged_ms:.2f} times as long with an adapter that is not merged"
    )
    needed = rows_to_tell(found.prompts, value, bound, threshold)
    said = "; ".join([*broken, text])
    return GateResult.of(gate, verdict, value, bound, threshold, found.prompts, said, rows_needed=needed, unit="prompts")


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of prompts that the gate needs cannot be planned."""
    return "how many tokens that agree is not known before the first report"


def _other_tokenizer(found: Parity) -> str | None:
    if found.tokenizer_same:
        return None
    return "tokenizer or chat template of the merged copy are not those of training: train again, or copy them from the training stack"


def _lost_form(found: Parity, confidence: float) -> str | None:
    """Whether the server significantly loses the form of answers: more prompts lost than won, by the exact McNemar test."""
    won = found.valid_server - found.valid_merged + found.valid_lost
    if mcnemar_p(Pairs(found.valid_lost, won, found.prompts)) >= 1 - confidence:
        return None
    return f"the server loses the form the task asks for: {found.valid_server} answers have it, {found.valid_merged} of the merged copy"
