"""The server must be the model that was trained."""

from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.parity import Parity
from ftassets.domain.gates.evidence import tested
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, verdict_of
from ftassets.domain.mean_bounds import mean_upper_bound, pair_p_values, weighted_p_values
from ftassets.domain.power import DRAWS, POWER, smallest
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
    adapter, server = (tested(each, (0.0, 1.0), threshold, gate.confidence) for each in shares)
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
    needed = _prompts_needed(found, threshold, alpha) if verdict is Verdict.NOT_ENOUGH_DATA else None
    return GateResult.of(
        gate, verdict, min(adapter.value, server.value), bound, threshold, found.prompts, "; ".join([*broken, text]),
        rows_needed=needed, fail_bound=upper, unit="prompts",
    )  # fmt: skip


def _prompts_needed(found: Parity, threshold: float, alpha: float) -> int | None:
    """Prompts with which the gate PASSes or FAILs in 80 % of cases, if these prompts are what all are like; None above `ROWS_LIMIT`.

    All that decides is drawn together: both shares of a prompt, and whether the server loses or wins its form. FAIL is at a third of
    `alpha`, as in `evaluate_parity`. Good to about 0.02.
    """
    pairs, counts = np.unique(np.column_stack([found.adapter_shares, found.server_shares]), axis=0, return_counts=True)
    won = found.valid_server - found.valid_merged + found.valid_lost
    forms = np.array([won, found.valid_lost, found.prompts - won - found.valid_lost]) / found.prompts

    def enough(n: int) -> bool:
        rng = np.random.default_rng(0)
        drawn, (gained, lost, _) = rng.multinomial(n, counts / counts.sum(), size=DRAWS), rng.multinomial(n, forms, size=DRAWS).T
        p_form = pair_p_values(lost, gained, n, 0.0)
        passes, fails = p_form >= alpha, p_form < alpha / 3
        for values in pairs.T:
            passes &= weighted_p_values(values, drawn, threshold, 0.0) < alpha
            fails |= weighted_p_values(-values, drawn, -threshold, -1.0) < alpha / 3
        return bool(np.mean(passes | fails) >= POWER)

    return smallest(enough, found.prompts + 1, figures=40)


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of prompts that the gate needs cannot be planned."""
    return "how many tokens that agree is not known before the first report"
