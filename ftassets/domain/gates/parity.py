"""The server must be the model that was trained."""

from typing import TYPE_CHECKING

from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.gates.evidence import mean_evidence
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, verdict_of
from ftassets.domain.mean_bounds import mean_upper_bound
from ftassets.domain.statistics import Pairs, mcnemar_p
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue()  # a prompt's share of agreeing tokens
_OTHER_TOKENIZER = (
    "tokenizer or chat template of the merged copy are not those of training: train again, or copy them from the training stack"
)


def evaluate_parity(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a parity gate.

    PASS when tokenizers are the same, the server keeps the form of answers, and the mean share of agreeing tokens, a prompt each,
    has a lower confidence bound of at least `at_least`, for base and adapter and for the server. FAIL when one of three goes wrong: an
    upper bound of either is below it, or the server loses the form; each is tested at a third of the level (Bonferroni). Time per token
    is only reported.
    """
    threshold, found = gate.at_least or 0.0, report.parity
    if found is None or not found.prompts:
        text = "parity was not measured: materialize eval_report again" if found is None else "there was no prompt to compare"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, text)
    shares, alpha = (found.adapter_shares, found.server_shares), 1 - gate.confidence
    adapter, server = (mean_evidence(each, (0.0, 1.0), threshold, gate.confidence) for each in shares)
    bound, upper = min(adapter.lower, server.lower), min(mean_upper_bound(each, 1 - alpha / 3) for each in shares)
    lost = mcnemar_p(Pairs(found.valid_lost, found.valid_server - found.valid_merged + found.valid_lost, found.prompts))
    broken = [] if found.tokenizer_same else [_OTHER_TOKENIZER]
    if lost < alpha:
        have = f"{amount(found.valid_server, 'answer has', 'answers have')} it, {found.valid_merged} of the merged copy"
        broken.append(f"the server loses the form the task asks for: {have}")
    failed = not found.tokenizer_same or lost < alpha / 3 or upper < threshold
    verdict = verdict_of(bound >= threshold and not broken, failed)
    text = (
        f"tokens agree with the merged copy's: base and adapter {adapter.value:.4f}, lower bound {adapter.lower:.4f}; the server "
        f"{server.value:.4f}, lower bound {server.lower:.4f}; both need {threshold:g}, on {found.prompts} prompts; a token takes "
        f"{found.adapter_ms / found.merged_ms:.2f} times as long with an adapter that is not merged"
    )
    weaker = min(adapter, server, key=lambda each: each.lower)
    return GateResult.of(
        gate, verdict, min(adapter.value, server.value), bound, threshold, found.prompts, "; ".join([*broken, text]),
        rows_needed=weaker.rows_needed, fail_bound=upper, unit="prompts",
    )  # fmt: skip


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of prompts that the gate needs cannot be planned."""
    return "how many tokens that agree is not known before the first report"
