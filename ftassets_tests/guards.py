"""`python -m ftassets_tests.guards [WORD ...]`: take each guard of docs/threat-model.md away, and see its own tests fail.

A guard is a line of the package that keeps something out. For each one this table has the file, the text, what it is replaced
with, and the tests that must fail then. The script works on a copy of the tree. First all named tests must pass as the code
is, then one guard at a time is taken away. It exits with 1 when a removal leaves all of its tests green. With words, only guards
with one of them in their name or file are tried. `test_guards.py` holds the table to the sources, so that it cannot grow old.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ftassets_tests import ROOT

COPIED = (
    "ftassets",
    "ftassets_tests",
    "bench",
    "deploy",
    "docs",
    "examples",
    "pyproject.toml",
    "README.md",
    "dagster.yaml",
    "workspace.yaml",
)
FAILED = 1  # pytest's exit code for failed tests; others mean that they could not be run


@dataclass(frozen=True)
class Guard:
    """What is kept out, the text in `file` (below `ftassets/`) that does it, and the tests (below `ftassets_tests/`) that see it gone."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def of(file: str, *rows: tuple[str, ...]) -> Iterator[Guard]:
    """Guards of one file, each as name, old text, new text, and its tests."""
    for name, old, new, *tests in rows:
        yield Guard(name, file, old, new, tuple(tests))


ATTESTATION = "domain/release/test_attestation.py"
APPROVAL = "domain/release/test_approval.py"
RELEASE = "assets/test_release.py"
ACCEPTED = "assets/_shared/test_accepted.py"
OF_ROWS = "domain/dataset/test_acceptance.py"
OF_TRAINING = "domain/training/test_acceptance.py"
CURATED = "assets/curated_dataset/test_asset.py"
EVENTS = "assets/_shared/test_events.py"
ROUTER = "gateway/test_router.py"
CHECKS = "gateway/test_release_checks.py"
SIGNER = "contract/test_signer.py::TestFolder"
VERSIONS = "backends/artifacts/test_versions.py"
SERVICE = "gate_service/test_app.py"
SERVICE_CHECKS = "gate_service/test_admission.py"

GUARDS = (
    *of(
        "backends/signer/trust.py",
        (
            "a signature of no trusted key",
            "if by is None:",
            "if False:",
            f"{SIGNER}::test_a_foreign_key_is_refused_even_under_our_key_id",
            f"{ROUTER}::test_version_that_is_not_what_was_attested_gets_no_traffic",
        ),
        ("an envelope of another payload type", "if parsed.payload_type != PAYLOAD_TYPE:", "if False:", "backends/signer/test_trust.py"),
        (
            "a revocation whose reason cannot be read counts",
            'reason = "no reason can be read"',
            "continue",
            "backends/signer/test_trust.py",
        ),
        (
            "signing with a revoked key",
            "if (why := self._revoked().get(signer.public_key.keyid)) is not None:",
            "if (why := self._revoked().get(signer.public_key.keyid)) and False:",
            f"{SIGNER}::test_a_revoked_key_verifies_no_more_and_signs_no_more",
        ),
        (
            "a private key from the environment written down",
            "public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)",
            "public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) + signer.private_bytes",
            "backends/signer/test_environment.py::test_a_key_from_the_environment_is_never_written_down_and_the_gateway_needs_none",
        ),
    ),
    *of(
        "backends/signer/base.py",
        (
            "what a revoked key signed",
            "if signed.revoked is not None:",
            "if False:",
            f"{SIGNER}::test_a_revoked_key_verifies_no_more_and_signs_no_more",
        ),
    ),
    *of(
        "backends/signer/folder.py",
        ("a second private key where only verifying was set up", "if self._known():", "if False:", "backends/signer/test_folder.py"),
        ("the private key readable by others", "new.private_bytes, 0o600)", "new.private_bytes, 0o644)", "backends/signer/test_folder.py"),
    ),
    *of(
        "domain/release/statement.py",
        (
            "a statement that is not in-toto",
            'if content["_type"] != STATEMENT_TYPE:',
            "if False:",
            f"{ATTESTATION}::test_another_kind_of_statement_is_refused",
        ),
    ),
    *of(
        "domain/release/attestation.py",
        (
            "a statement that is not a release",
            "if kind != PREDICATE_TYPE:",
            "if False:",
            f"{ATTESTATION}::test_another_kind_of_statement_is_refused",
        ),
        (
            "the attestation of another loop",
            'if predicate.get("loop") != loop:',
            "if False:",
            f"{ATTESTATION}::test_anything_else_is_refused_with_its_reason",
            f"{ROUTER}::test_version_that_is_not_what_was_attested_gets_no_traffic",
        ),
        (
            "the attestation of another version",
            'if predicate.get("version") != version:',
            "if False:",
            f"{ATTESTATION}::test_anything_else_is_refused_with_its_reason",
            f"{ROUTER}::test_version_that_is_not_what_was_attested_gets_no_traffic",
        ),
        (
            "other generation settings than the attested ones",
            'if predicate.get("generation") != dict(generation):',
            "if False:",
            f"{ATTESTATION}::test_other_generation_settings_are_another_version",
            f"{ROUTER}::test_version_that_is_not_what_was_attested_gets_no_traffic",
        ),
        (
            "files that are not the attested ones",
            "if attested.get(name) != files.get(name):",
            "if False:",
            f"{ATTESTATION}::test_only_the_attested_files_pass",
        ),
        (
            "an adopted version in a loop that has production",
            "if not first:",
            "if False:",
            f"{ATTESTATION}::test_an_adoption_counts_for_the_first_version_of_a_loop_alone",
        ),
        (
            "an adoption that names no person and reason",
            'if not predicate.get("by") or not predicate.get("reason"):',
            "if False:",
            f"{ATTESTATION}::test_an_adoption_counts_only_when_somebody_answers_for_it",
        ),
        ("an attestation without verdicts", "elif not verdicts:", "elif False:", f"{ATTESTATION}::test_no_verdict_is_no_pass"),
        (
            "a verdict other than PASS",
            "if any(verdict != PASS for verdict in verdicts.values()):",
            "if False:",
            f"{ATTESTATION}::test_one_verdict_that_is_not_pass_refuses",
            f"{ROUTER}::test_version_that_is_not_what_was_attested_gets_no_traffic",
        ),
        (
            "a verdict other than PASS without an override",
            'why.append("the attestation holds a verdict other than PASS")',
            "pass",
            f"{ATTESTATION}::test_one_verdict_that_is_not_pass_refuses",
        ),
        (
            "an override that does not cover the attested verdicts",
            'why += override_objections(override, loop, version, str(predicate.get("report_digest")), verdicts, now)',
            "pass",
            f"{ATTESTATION}::test_an_override_of_something_else_forgives_nothing",
            f"{CHECKS}::test_an_override_is_in_the_journal_and_raises_only_until_it_ends",
        ),
        (
            "an attestation without an end",
            "if not isinstance(expires, int | float):",
            "if False:",
            f"{ATTESTATION}::test_a_statement_without_an_end_raises_nothing",
        ),
        (
            "an expired attestation",
            "elif not now < expires:",
            "elif False:",
            f"{ATTESTATION}::test_an_expired_statement_raises_nothing_and_keeps_everything",
            f"{CHECKS}::test_an_expired_release_neither_starts_nor_grows_and_everything_else_goes_on",
        ),
    ),
    *of(
        "domain/release/approval.py",
        (
            "a person the loop file does not name",
            "if role is None:",
            "if False:",
            f"{APPROVAL}::test_a_refusal_says_what_the_loop_file_needs",
        ),
        (
            "a role that may not approve or override",
            "if role not in allowed:",
            "if False:",
            f"{APPROVAL}::test_only_a_known_person_with_a_named_role_may",
            "cli/test_releases.py::test_who_may_not_or_says_nothing_is_refused_and_nothing_is_written",
        ),
        (
            "a signed role that the person does not have",
            "return [] if role == said.role else [",
            "return [] if True else [",
            f"{APPROVAL}::test_an_approval_counts_by_the_rules_of_today",
            f"{CHECKS}::test_a_loop_that_proposes_starts_nothing_without_a_valid_yes",
        ),
        (
            "an approval of a person who may no longer",
            ' + _not_entitled(approval, rules, "approve")',
            "",
            f"{APPROVAL}::test_an_approval_counts_by_the_rules_of_today",
            f"{CHECKS}::test_a_loop_that_proposes_starts_nothing_without_a_valid_yes",
        ),
        (
            "an override of a person who may no longer",
            'return _not_entitled(override, rules, "override")',
            "return []",
            f"{APPROVAL}::test_who_may_approve_may_not_override",
            f"{RELEASE}::test_an_override_that_does_not_count_releases_nothing",
        ),
        (
            "an approval or override for another loop",
            "if said.loop != loop:",
            "if False:",
            f"{APPROVAL}::test_an_approval_is_for_one_version_on_one_report",
            f"{ATTESTATION}::test_an_override_of_something_else_forgives_nothing",
        ),
        (
            "an approval or override for another version",
            "if said.version != version:",
            "if False:",
            f"{APPROVAL}::test_an_approval_is_for_one_version_on_one_report",
            f"{ATTESTATION}::test_an_override_of_something_else_forgives_nothing",
        ),
        (
            "an approval or override for another report",
            "if said.report_digest != report_digest:",
            "if False:",
            f"{APPROVAL}::test_an_approval_is_for_one_version_on_one_report",
            f"{ATTESTATION}::test_an_override_of_something_else_forgives_nothing",
        ),
        (
            "an override taken for an approval",
            "if found != kind:",
            "if False:",
            f"{APPROVAL}::test_statements_come_back_as_they_were_and_not_as_each_other",
        ),
        (
            "an expired override",
            "if now >= override.expires_at:",
            "if False:",
            f"{APPROVAL}::test_every_verdict_but_pass_must_be_named_as_it_is",
            f"{CHECKS}::test_an_override_is_in_the_journal_and_raises_only_until_it_ends",
        ),
        (
            "an override that is silent about a failing gate",
            "if verdict != PASS and override.gates.get(gate) != verdict:",
            "if False:",
            f"{APPROVAL}::test_every_verdict_but_pass_must_be_named_as_it_is",
            f"{RELEASE}::test_an_override_that_does_not_count_releases_nothing",
        ),
        (
            "an override of a milder verdict than the one there is",
            "override.gates.get(gate) != verdict:",
            "gate not in override.gates:",
            f"{APPROVAL}::test_every_verdict_but_pass_must_be_named_as_it_is",
            f"{CHECKS}::test_an_override_is_in_the_journal_and_raises_only_until_it_ends",
        ),
        (
            "an override of a gate that was never evaluated",
            "set(evaluated) & ",
            "",
            f"{APPROVAL}::test_only_named_and_evaluated_gates_are_forgiven",
            f"{RELEASE}::test_an_override_forgives_no_gate_that_was_not_evaluated",
        ),
    ),
    *of(
        "backends/control/releases.py",
        (
            "an approval whose key was revoked",
            'read_approval(self.payload(loop.name, version, "approval"))',
            'read_approval(self.read(loop.name, version, "approval").payload)',
            f"{CHECKS}::test_an_approval_whose_key_was_revoked_does_not_count",
        ),
        (
            "an override whose key was revoked",
            'read_override(self.payload(loop, version, "override"))',
            'read_override(self.read(loop, version, "override").payload)',
            f"{RELEASE}::test_an_override_whose_key_was_revoked_releases_nothing",
        ),
        (
            "an approval that does not fit version, report and rules",
            "if why := approval_objections(approval, loop.name, version, report_digest, loop.release):",
            "if why := []:",
            f"{CHECKS}::test_a_loop_that_proposes_starts_nothing_without_a_valid_yes",
        ),
    ),
    *of(
        "cli/commands/release.py",
        (
            "an approval of what could not start anyway",
            "if why := objections(payload, loop.name, digest, manifest.files, manifest.generation, time.time()):",
            "if why := []:",
            "cli/test_releases.py::test_what_could_not_start_anyway_is_not_approved",
        ),
    ),
    *of(
        "backends/artifacts/version_folder.py",
        (
            "weights in a format that can run code",
            'FORBIDDEN = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}',
            "FORBIDDEN: set[str] = set()",
            f"{VERSIONS}::test_formats_that_can_run_code_are_refused",
            f"{SERVICE_CHECKS}::test_a_pickle_is_refused_even_when_it_came_later",
        ),
        (
            "a manifest edited to fit other files",
            "if manifest.digest != digest:",
            "if False:",
            f"{VERSIONS}::test_a_manifest_that_was_edited_to_fit_names_another_version",
        ),
        (
            "a file that was changed, added or removed",
            "if found.get(name) != manifest.files.get(name):",
            "if False:",
            f"{VERSIONS}::test_any_damage_is_found",
            f"{ROUTER}::test_version_that_is_not_what_was_attested_gets_no_traffic",
        ),
    ),
    *of(
        "assets/release.py",
        (
            "a report with a gate that was not evaluated or failed",
            "if why := still_blocked(refused, evaluated, override):",
            "if why := {}:",
            f"{RELEASE}::test_a_report_that_would_pass_is_refused_while_its_check_did_not_run",
        ),
        (
            "a verdict that the stored report does not give",
            "if failed and override is None:",
            "if False:",
            f"{RELEASE}::test_a_check_that_passed_is_not_believed_against_the_report",
        ),
        (
            "other gates than those of the report",
            "if not same_policy(loop, report):",
            "if False:",
            f"{RELEASE}::test_a_looser_policy_after_the_report_is_refused",
        ),
        (
            "a report whose decision was not counted against the error budget",
            "if not counted(report, loop.release.bad_promotions_a_year):",
            "if False:",
            f"{RELEASE}::test_an_error_budget_that_was_set_or_lowered_after_the_report_is_refused",
        ),
        (
            "a report of an older adapter",
            "if accepted_candidate(context.instance, artifacts, dataset_store, loop).id != report.candidate:",
            "if False:",
            f"{RELEASE}::test_an_adapter_newer_than_the_report_is_refused",
        ),
        (
            "an older report that passed",
            "if made_by(context.instance, report_key) != report.run_id:",
            "if False:",
            f"{RELEASE}::test_an_older_report_that_passed_is_not_taken_up_again",
        ),
        (
            "a version in the report that is not accepted",
            "if why := adapter_refusals(artifacts, dataset_store, report.candidate, loop.name):",
            "if why := {}:",
            f"{RELEASE}::test_a_version_that_was_trained_on_a_refused_dataset_is_not_released",
            f"{RELEASE}::test_a_version_whose_loss_did_not_fall_is_not_released",
            f"{RELEASE}::test_a_version_of_another_loop_is_not_released",
        ),
        (
            "a report that names another dataset than its version",
            "if manifest.dataset_commit != report.dataset_commit:",
            "if False:",
            f"{RELEASE}::test_a_report_that_names_another_dataset_than_the_version_was_trained_on_is_refused",
        ),
        (
            "a report against another production",
            "if now_serving != (None if report.production_is_base else report.production) and now_serving != report.candidate:",
            "if False:",
            f"{RELEASE}::test_another_production_than_the_report_compared_with_is_refused",
        ),
        (
            "a version that changed after its evaluation",
            "manifest = verify(artifacts, report.candidate)",
            (
                "from ftassets.backends.artifacts.versions import load_manifest\n"
                "            manifest = load_manifest(artifacts, report.candidate)"
            ),
            f"{RELEASE}::test_a_version_that_was_changed_after_its_evaluation_is_refused",
        ),
        (
            "a report made with other generation settings",
            "if manifest.generation != report.generation:",
            "if False:",
            f"{RELEASE}::test_a_report_made_with_other_generation_settings_is_refused",
        ),
        (
            "an attestation that would not let the version start",
            "if why_not := _why_sign(releases, loop.name, manifest, digest):",
            "if why_not := []:",
            f"{RELEASE}::test_evidence_that_is_too_old_to_start_with_is_not_released",
        ),
        (
            "an override by the wrong role, or that does not cover the report",
            ('    if why:\n        raise _refused("the override does not cover this report"'),
            ('    if False:\n        raise _refused("the override does not cover this report"'),
            f"{RELEASE}::test_an_override_that_does_not_count_releases_nothing",
        ),
        (
            "an override by the wrong role at release",
            "why = entitled(override, loop.release) + ",
            "why = ",
            f"{RELEASE}::test_an_override_that_does_not_count_releases_nothing",
        ),
    ),
    *of(
        "backends/artifacts/reports.py",
        (
            "a report that was edited",
            "if digest_of(content) != digest:",
            "if False:",
            f"{RELEASE}::test_a_report_that_was_edited_is_refused",
        ),
    ),
    *of(
        "assets/_shared/events.py",
        (
            "a gate that was not evaluated",
            'why[name] = "not evaluated"',
            "pass",
            f"{EVENTS}::test_not_evaluated",
            f"{EVENTS}::test_a_gate_the_policy_has_and_the_run_had_not",
        ),
        (
            "a verdict that no run produced",
            "elif found.target_materialization_data is None or record is None or not record.run_id:",
            "elif found.target_materialization_data is None:",
            f"{EVENTS}::test_a_verdict_by_hand_that_claims_the_report",
        ),
        (
            "a verdict that names no report",
            'why[name] = "the verdict was not produced by a run"',
            "pass",
            f"{EVENTS}::test_a_verdict_reported_by_hand",
        ),
        (
            "the verdict of an older report",
            "elif found.target_materialization_data.storage_id != records[0].storage_id:",
            "elif False:",
            f"{EVENTS}::test_an_older_report_s_verdict",
            f"{EVENTS}::test_a_report_by_hand_makes_the_verdicts_old",
        ),
        ("a failed gate", "elif not found.passed:", "elif False:", f"{EVENTS}::test_a_failed_gate_whatever_its_severity"),
    ),
    *of(
        "domain/acceptance.py",
        (
            "a check that was never decided",
            "return failed | {name: UNDECIDED for name in needed if name not in checks}",
            "return failed",
            "domain/test_acceptance.py",
        ),
    ),
    *of(
        "domain/dataset/acceptance.py",
        (
            "a dataset with too few rows",
            "Check(passed=curated.preflight.verdict is not SizeVerdict.REFUSED,",
            "Check(passed=True,",
            f"{OF_ROWS}::test_too_few_rows_refuse_the_dataset",
        ),
        (
            "a dataset that lost rows",
            "passed=collected == curated.rows + len(curated.dropped),",
            "passed=True,",
            f"{OF_ROWS}::test_rows_that_got_lost_refuse_the_dataset",
        ),
        (
            "a dataset with copies, personal data or answers of another form",
            "return Check(passed=not bad,",
            "return Check(passed=True,",
            f"{OF_ROWS}::test_rows_that_curation_should_have_dropped_refuse_the_dataset",
        ),
        (
            "a dataset that leaks into its own test rows or the golden set",
            "return Check(passed=not leaks,",
            "return Check(passed=True,",
            f"{OF_ROWS}::test_a_row_near_a_golden_row_or_one_of_another_split_refuses_the_dataset",
        ),
    ),
    *of(
        "domain/training/acceptance.py",
        (
            "a version whose loss rose",
            "return Check(passed=fell,",
            "return Check(passed=True,",
            f"{OF_TRAINING}::test_the_loss_must_fall_or_stay_near_a_low_start",
        ),
        (
            "a version with a missing part",
            "Check(passed=not missing, sentence=files)",
            "Check(passed=True, sentence=files)",
            f"{OF_TRAINING}::test_a_missing_part_refuses_the_version",
        ),
        (
            "a version whose manifest has no losses",
            "if first is None or last is None:",
            "first, last = first or 1.0, last or 0.5\n    if False:",
            OF_TRAINING,
        ),
    ),
    *of(
        "assets/curated_dataset/asset.py",
        (
            "a refused dataset on main",
            "if refused:  # its rows",
            "if False:  # its rows",
            f"{CURATED}::test_a_refused_dataset_is_set_aside_and_the_next_one_starts_from_what_was_accepted",
        ),
    ),
    *of(
        "assets/_shared/accepted.py",
        (
            "seed and golden rows that an event by hand names",
            'return store.last_change("main", *paths)',
            "return required(instance, node(loop, name))",
            f"{ACCEPTED}::test_what_people_wrote_is_taken_from_main_whatever_events_say",
        ),
        (
            "a dataset that an event by hand names",
            'commit = store.last_change("main", index_path(loop))',
            "commit = made",
            f"{ACCEPTED}::test_an_event_by_hand_brings_no_other_dataset_in",
        ),
        (
            "a refused dataset",
            "if commit is None or commit in refused:",
            "if commit is None:",
            f"{ACCEPTED}::test_a_dataset_on_main_is_refused_by_the_verdicts_in_its_index",
        ),
        (
            "a dataset without verdicts",
            "return refusals(checks, OF_DATASET) if checks else",
            "return refusals(checks, OF_DATASET if checks else ()) if True else",
            f"{ACCEPTED}::test_a_dataset_of_a_release_that_stored_no_verdicts_is_not_accepted_until_it_is_curated_again",
        ),
        (
            "a version of another kind or loop as candidate",
            "if manifest.kind not in TRAINED or manifest.loop != loop:",
            "if False:",
            f"{ACCEPTED}::test_an_event_by_hand_makes_no_other_version_a_candidate",
        ),
        (
            "a version whose training was refused",
            "return refusals(version_checks(manifest), OF_VERSION) | trained_on_refusals(store, manifest, loop)",
            "return trained_on_refusals(store, manifest, loop)",
            f"{ACCEPTED}::test_a_newer_adapter_that_was_refused_is_passed_over_and_named",
        ),
        (
            "a version that was trained on a refused dataset",
            "if refused := dataset_refusals(store, commit, loop):",
            "if refused := {}:",
            f"{ACCEPTED}::test_an_adapter_is_refused_with_its_dataset",
        ),
        (
            "a version that was trained on other rows than its dataset has",
            "if manifest.dataset_hash not in (None, read_index(store, commit, loop).content_hash):",
            "if False:",
            f"{ACCEPTED}::test_a_version_that_is_gone_or_trained_on_other_rows_is_refused",
        ),
    ),
    *of(
        "assets/eval_report/measuring.py",
        (
            "an evaluation of a version that was trained on a refused dataset",
            "if refused := trained_on_refusals(store, manifest, loop.name):",
            "if refused := {}:",
            f"{SERVICE}::test_a_version_that_was_trained_on_a_refused_dataset_is_a_400",
        ),
    ),
    *of(
        "gateway/router.py",
        (
            "a version without an attestation",
            'raise Refused(f"version {digest[:12]} has no release attestation for loop {loop}: materialize its release first") from error',
            "from ftassets.domain.release.statement import write_statement\n"
            '            return write_statement("urn:ftassets:release:v1", {}, {"adopted": True, "by": ""})',
            f"{ROUTER}::test_version_that_is_not_what_was_attested_gets_no_traffic",
        ),
        (
            "an attestation with objections",
            "if why := objections(signed.payload, loop, digest, manifest.files, manifest.generation, raised_at, first):",
            "if why := []:",
            f"{ROUTER}::test_version_that_is_not_what_was_attested_gets_no_traffic",
            f"{CHECKS}::test_an_expired_release_neither_starts_nor_grows_and_everything_else_goes_on",
        ),
        (
            "more traffic for a version of a revoked key",
            "if not revoked_counts:",
            "if False:",
            f"{CHECKS}::test_production_of_a_revoked_key_serves_on_through_a_restart_but_nothing_of_it_is_raised",
        ),
        (
            "a start without any check",
            (
                "        await asyncio.to_thread(self._check_raised, loop, digest)\n\n"
                "        async def decide(state: EndpointState) -> _Given:\n"
                "            if state.production"
            ),
            ("        async def decide(state: EndpointState) -> _Given:\n            if state.production"),
            f"{ROUTER}::test_version_that_is_not_what_was_attested_gets_no_traffic",
        ),
        (
            "a start by what was true before its server was up",
            "said = await asyncio.to_thread(self._check_evidence, loop, digest)  # its server",
            "said: list[str] = []  # its server",
            f"{CHECKS}::test_a_release_that_expires_while_the_server_starts_gains_nothing",
        ),
        (
            "a raise by what was true before its server was up",
            "            if weight > state.weight:\n",
            "            if False:\n",
            f"{CHECKS}::test_a_release_that_expires_while_the_server_starts_gains_nothing",
        ),
        (
            "changed files when traffic is raised",
            ("        self._verified(digest)\n        self._check_evidence(loop, digest)"),
            ("        self._check_evidence(loop, digest)"),
            f"{ROUTER}::test_each_raise_is_checked_again_and_lowering_reads_no_weights",
        ),
        (
            "a canary taken for a version that was production",
            "each.state.production == digest for",
            "digest in (each.state.production, each.state.candidate) for",
            f"{CHECKS}::test_a_canary_that_was_never_production_is_no_version_to_go_back_to",
        ),
        (
            "old evidence when traffic is raised",
            "self._check_attested(loop, manifest, self._clock())",
            "self._check_attested(loop, manifest, None)",
            f"{CHECKS}::test_an_expired_release_neither_starts_nor_grows_and_everything_else_goes_on",
        ),
        (
            "a version compared with another production",
            "if production and compared != production:",
            "if False:",
            f"{CHECKS}::test_a_version_compared_with_another_production_gets_no_share",
        ),
        (
            "a start in mode propose without approval",
            'if self.loops[loop].mode == "propose":',
            "if False:",
            f"{CHECKS}::test_a_loop_that_proposes_starts_nothing_without_a_valid_yes",
        ),
        (
            "a raise that is not checked again",
            "        if raises:\n",
            "        if False:\n",
            f"{ROUTER}::test_each_raise_is_checked_again_and_lowering_reads_no_weights",
        ),
        (
            "a lowered weight for a version without signature",
            ("            else:\n                await asyncio.to_thread(self._check_signature, loop, digest)"),
            ("            else:\n                pass"),
            f"{ROUTER}::test_each_raise_is_checked_again_and_lowering_reads_no_weights",
        ),
        (
            "a renewed lease for a version of a revoked key",
            "await asyncio.to_thread(self._check_signature, loop, state.candidate)",
            "pass",
            f"{CHECKS}::test_production_of_a_revoked_key_serves_on_through_a_restart_but_nothing_of_it_is_raised",
        ),
        (
            "a rollback to a version without signature",
            'await asyncio.to_thread(self._check_signature, loop, back.production or "")',
            "pass",
            f"{ROUTER}::test_rollback_to_a_standby_without_its_signature_is_refused",
        ),
        (
            "a damaged version after a restart",
            "self._blocked[loop, digest] = str(error)",
            "pass",
            f"{ROUTER}::test_damaged_production_without_a_standby_answers_nobody",
            f"{ROUTER}::test_damaged_production_gives_way_to_the_standby_when_the_gateway_starts",
        ),
        (
            "a server for a damaged version",
            "for v in state.running if (loop, v) not in self._blocked}",
            "for v in state.running}",
            f"{ROUTER}::test_damaged_production_without_a_standby_answers_nobody",
        ),
        (
            "traffic to a damaged version whose server is up all the same",
            "if not self.answers(loop, version):",
            "if not route.url:",
            f"{ROUTER}::test_damaged_production_answers_nobody_even_where_another_loop_keeps_its_server_up",
        ),
        (
            "staging changed files",
            ("        await asyncio.to_thread(self._verified, digest)\n"),
            "",
            f"{ROUTER}::test_staging_refuses_changed_files_and_unstaging_keeps_production",
        ),
        (
            "production that changed while a start waited",
            "if state.production != before.production:",
            "if False:",
            f"{ROUTER}::test_a_start_that_waited_while_production_changed_is_refused",
        ),
        (
            "all traffic before each gateway has a server",
            "if self.peers and (missing := await",
            "if not self.peers and (missing := await",
            "gateway/test_peers.py::test_what_is_wrong_with_a_version_on_one_machine_leaves_it_to_the_others",
        ),
        (
            "a rollback that waits for the database",
            "self._owed.setdefault(loop, []).append(move)\n        self._show(loop)",
            "self._owed.setdefault(loop, []).append(move)",
            "gateway/test_peers.py::test_a_rollback_without_the_database_is_in_force_where_it_was_asked_for_and_at_all_once_it_is_back",
        ),
        (
            "a loop that does not exist",
            "if loop not in self._states:",
            "if False:",
            "backends/serving/test_gateway.py",
            "contract/test_serving.py",
        ),
    ),
    *of(
        "domain/rollout/endpoint.py",
        (
            "traffic for a staged version",
            ("            return self.standby\n        return self.production"),
            ("            return self.standby\n        return next(iter(self.staged), self.production)"),
            "domain/rollout/test_endpoint.py",
            f"{ROUTER}::test_staged_version_never_gets_traffic",
        ),
        (
            "a second candidate during a rollout",
            "if self.candidate and self.candidate != digest:",
            "if False:",
            "domain/rollout/test_endpoint.py",
            f"{ROUTER}::test_second_candidate_waits",
        ),
        (
            "a canary that nobody watches",
            "if self.candidate and self.lease_until is not None and now >= self.lease_until:",
            "if False:",
            "domain/rollout/test_endpoint.py",
            f"{ROUTER}::test_lease_that_nobody_renews_ends_the_canary",
        ),
        ("a weight outside of 1 to 100 percent", "if not 0 < weight <= 100:", "if False:", "domain/rollout/test_endpoint.py"),
    ),
    *of(
        "backends/control/postgres.py",
        (
            "a change decided without knowing the one before",
            "== after else None",
            "is not None else None",
            "contract/test_control.py::TestPostgres::test_a_line_that_is_to_follow_another_is_refused_behind_a_newer_one",
        ),
    ),
    *of(
        "gateway/admin.py",
        (
            "the admin API without its token",
            'if scope["type"] == "http" and not hmac.compare_digest(given, self._expected):',
            "if False:",
            f"{ROUTER}::test_admin_api_needs_the_token",
        ),
    ),
    *of(
        "gateway/admin_bodies.py",
        (
            "names of versions that are no digest",
            'StringConstraints(pattern=r"^[0-9a-f]{64}$")',
            "StringConstraints()",
            f"{ROUTER}::test_nonsense_is_refused_by_the_admin_api",
        ),
        (
            "unknown fields of the admin API",
            'model_config = ConfigDict(extra="forbid")',
            "model_config = ConfigDict()",
            f"{ROUTER}::test_nonsense_is_refused_by_the_admin_api",
        ),
    ),
    *of(
        "gateway/shadow_copies.py",
        (
            "copies that do not fit are dropped",
            "if self._number[route.version] >= MOST or self._bytes + received.size > MOST_BYTES:",
            "if self._number[route.version] < 0:",
            "gateway/test_shadow_copies.py::test_a_slow_candidate_delays_nobody_and_what_does_not_fit_is_dropped",
        ),
        (
            "what comes after the phase does not count",
            "if now is None or now.version != route.version:",
            "if now is None and route.version == '':",
            "gateway/test_shadow_copies.py::test_what_comes_after_the_phase_does_not_count",
        ),
    ),
    *of(
        "gateway/engines.py",
        (
            "a control token in a client's text",
            'read = await self._context.escaped(route.version, body["messages"], body.get("tools"))',
            'read = type("Read", (), {"messages": body["messages"], "tools": body.get("tools")})',
            "gateway/test_chat.py::test_a_text_with_a_control_token_is_answered_and_reaches_the_engine_as_text",
        ),
    ),
    *of(
        "workers/chat_template.py",
        (
            "a control token in a text that is trained or evaluated on",
            "asked = _escape(tokenizer).chat(asked)",
            "pass",
            "workers/test_chat_template.py::test_hostile_tools_calls_and_results_are_read_as_text_on_all_paths",
        ),
        (
            "a control token in a taught answer",
            "_escape(tokenizer).answer(trimmed(answer)) + end",
            "trimmed(answer) + end",
            "workers/test_chat_template.py::test_no_text_of_a_user_is_read_as_a_control_token_on_any_path",
        ),
    ),
    *of(
        "domain/dataset/curation/topic_cap.py",
        (
            "a topic that one user alone has feedback on",
            "if beyond := ranked(pool.rows, topic)[cap:]:",
            "if False:",
            "domain/dataset/curation/test_steps.py::test_one_user_alone_on_a_new_topic_is_capped_whatever_the_task",
        ),
    ),
    *of(
        "gateway/entrance.py",
        (
            "a request of a web page",
            'if "origin" in headers:',
            "if False:",
            "gateway/test_entrance.py::test_a_web_page_is_refused",
        ),
        (
            "a request under a name that somebody else made to mean this machine",
            "if self._hosts is not None and not _is_own(host, self._hosts):",
            "if False:",
            "gateway/test_entrance.py::test_on_loopback_another_s_name_is_refused",
        ),
    ),
    *of(
        "gateway/problems.py",
        (
            "a body that a web page can send unasked",
            'if kind != "application/json":',
            "if False:",
            "gateway/test_entrance.py::test_the_running_gateway_refuses_what_a_web_page_can_send",
        ),
    ),
    *of(
        "gateway/server.py",
        (
            "the admin API on another address than loopback",
            '_listen("127.0.0.1", admin_port)',
            "_listen(bind, admin_port)",
            "gateway/test_server.py",
        ),
    ),
    *of(
        "gate_service/app.py",
        (
            "a request to the gate service without its key",
            'if not hmac.compare_digest(request.headers.get("authorization", "").encode("latin-1"), expected):',
            "if False:",
            f"{SERVICE}::test_without_the_key_nothing_is_looked_at",
        ),
    ),
    *of(
        "assets/eval_report/measuring.py",
        (
            "a report whose decision is not counted against the error budget",
            "return Evaluation(within_budget(artifacts, control, loop, report, time.time()), rows, answers)",
            "return Evaluation(report, rows, answers)",
            "assets/eval_report/test_asset.py::test_a_report_is_a_decision_that_counts_against_the_budget_and_says_so",
        ),
    ),
    *of(
        "domain/gates/error_budget.py",
        (
            "more levels in a year than the budget has",
            "level = _rounded(min(wanted, max(PART * min(left, SAVED * per_year), LEAST)))",
            "level = wanted",
            "domain/gates/test_error_budget.py::test_the_levels_of_any_365_days_never_exceed_the_budget",
        ),
    ),
    *of(
        "gate_service/condition.py",
        (
            "a wish of the caller that loosens the loop's policy",
            "if policy is None or wanted >= policy:",
            "if True:",
            "gate_service/test_condition.py",
            f"{SERVICE}::test_the_caller_cannot_loosen_the_policy",
        ),
    ),
    *of(
        "gate_service/evaluation.py",
        (
            "the loop's own gates left out of the answer",
            "results = evaluate_gates(loop.gates, report)",
            "results: list[GateResult] = []",
            f"{SERVICE}::test_latency_that_cannot_be_measured_rejects",
            f"{SERVICE}::test_a_gate_that_only_the_report_can_decide_rejects_and_says_so",
        ),
        (
            "a version whose files changed, given to the gate service",
            "        verify(artifacts, job.version)",
            "        pass",
            "gate_service/test_evaluation.py",
        ),
    ),
    *of(
        "gate_service/admission.py",
        (
            "a pickle given to the gate service",
            "if refused := sorted(name for name in here | manifest.files.keys() if Path(name).suffix.lower() in FORBIDDEN):",
            "if refused := []:",
            f"{SERVICE_CHECKS}::test_a_pickle_is_refused_even_when_it_came_later",
        ),
        (
            "a version of another loop given to the gate service",
            "if manifest.loop not in (None, loop):",
            "if False:",
            f"{SERVICE_CHECKS}::test_a_version_of_another_loop_is_refused",
        ),
        (
            "an incomplete version given to the gate service",
            "if missing := [name for name in wanted_parts(manifest.kind) if name not in here or name not in manifest.files]:",
            "if missing := []:",
            f"{SERVICE_CHECKS}::test_a_version_without_its_adapter_is_refused",
            f"{SERVICE_CHECKS}::test_an_untuned_base_is_no_candidate",
        ),
        (
            "a path outside of the folder of versions",
            'if parent != versions or not re.fullmatch(r"[0-9a-f]{64}", beginning):',
            "if False:",
            f"{SERVICE_CHECKS}::test_anything_else_is_refused",
        ),
        (
            "a branch that is named like a commit",
            "if known != commit:",
            "if False:",
            f"{SERVICE_CHECKS}::test_a_branch_that_looks_like_a_commit_is_refused",
        ),
        (
            "a golden set of another loop",
            "if request.loop not in (None, name):",
            "if False:",
            f"{SERVICE_CHECKS}::test_loop_and_golden_set_must_agree",
        ),
    ),
    *of(
        "assets/drift_report/reference.py",
        (
            "vectors of two embedders compared",
            "if known is None or same_space(known.reference, embedder):",
            "if True:",
            "assets/drift_report/test_asset.py",
        ),
    ),
    *of(
        "assets/query_embeddings.py",
        (
            "another model behind the name of an embedder",
            "if cosine < SAME:",
            "if False:",
            "assets/test_query_embeddings.py::test_another_model_behind_the_same_name_embeds_everything_again_and_says_so",
        ),
    ),
    *of(
        "backends/embedder/base.py",
        (
            "vectors that are zero or not finite",
            "if bad := int(np.sum(~np.isfinite(norms) | (norms < 1e-12))):",
            "if bad := 0:",
            "backends/embedder/test_openai.py",
        ),
    ),
    *of(
        "backends/embedder/sentence_transformers.py",
        (
            "weights of an embedder that may run code",
            'if weights and ".safetensors" not in weights:',
            "if False:",
            "backends/embedder/test_sentence_transformers.py::test_weights_that_may_run_code_are_refused",
        ),
    ),
    *of(
        "backends/vector_store/qdrant.py",
        (
            "a forgotten request in the vectors of an earlier embedder",
            "for name in self._names(loop).values():",
            "for name in list(self._names(loop).values())[:1]:",
            "contract/test_vector_store.py",
        ),
    ),
)


def occurrences(guard: Guard) -> int:
    """How often the text of a guard is in its file; once, or the table is out of date."""
    path = ROOT / "ftassets" / guard.file
    return path.read_text().count(guard.old) if path.exists() else 0


@contextmanager
def without(guard: Guard, tree: Path) -> Iterator[None]:
    """The tree with one guard taken away, for a while. Raises SyntaxError when what is left is not Python."""
    path = tree / "ftassets" / guard.file
    kept, times = path.read_text(), path.stat()
    changed = kept.replace(guard.old, guard.new)
    compile(changed, str(path), "exec")
    path.write_text(changed)
    try:
        yield
    finally:
        path.write_text(kept)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # the compiled file counts again


def run(tree: Path, tests: Sequence[str], *options: str) -> tuple[int, list[str]]:
    """Exit code of pytest on tests of the tree, and its last lines."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=no", "-rfE", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"}
    found = subprocess.run(
        [*command, *(f"ftassets_tests/{test}" for test in tests)], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    return found.returncode, (found.stdout + found.stderr).strip().splitlines()


def first_failure(lines: Sequence[str]) -> str:
    """The test that saw the guard gone, as pytest names it."""
    failed = [line.split(" - ")[0].split(maxsplit=1)[1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return failed[0].removeprefix("ftassets_tests/") if failed else ""


def main(words: Sequence[str]) -> int:
    """Try the guards whose name or file has one of the words; 0 when each removal is seen by one of its tests."""
    chosen = [guard for guard in GUARDS if not words or any(word in f"{guard.name} {guard.file}" for word in words)]
    with tempfile.TemporaryDirectory(prefix="ftassets-guards-") as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, tree / name)
        code, lines = run(tree, sorted({test for guard in chosen for test in guard.tests}))
        if code:
            print("\n".join([*lines, "these tests must pass before a guard is taken away"]))
            return 1
        unseen = 0
        for guard in chosen:
            with without(guard, tree):
                code, lines = run(tree, guard.tests, "-x")
            caught = code == FAILED
            unseen += not caught
            print(f"{'caught' if caught else 'NOT SEEN'} | {guard.name} | {guard.file} | {first_failure(lines) or lines[-1]}", flush=True)
    print(f"{len(chosen) - unseen} of {len(chosen)} guards are seen by their own tests when they are taken away")
    return 1 if unseen else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
