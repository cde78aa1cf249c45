"""Who may take traffic, who gets it, and how it is taken away."""

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from ftassets.backends.artifacts.version_folder import file_digests
from ftassets.backends.serving.base import Refused, ServingError
from ftassets.backends.signer.folder import FolderSigner
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.domain.release.attestation import statement
from ftassets.gateway.model_hosts.base import HostError
from ftassets.gateway.server import CannotServe
from ftassets.testing.releases import attest, make_version, released
from ftassets.testing.thread_host import run_gateway_in_thread
from ftassets_tests.gateway.conftest import LOOPS, Clock, Running
from ftassets_tests.gateway.test_chat import wait_until


def weights(serving) -> dict[str, int]:
    return serving.state("support").weights


# what may take traffic


def edit_weights(home, digest):
    (home.versions / digest / "merged" / "model.safetensors").write_text("x")


def add_file(home, digest):
    (home.versions / digest / "merged" / "generation_config.json").write_text("{}")


def edit_settings(home, digest):
    path = home.versions / digest / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "generation": {**manifest["generation"], "temperature": 2.0}}))


def edit_weights_and_manifest(home, digest):
    edit_weights(home, digest)
    path = home.versions / digest / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "files": file_digests(home.versions / digest)}))


def sign_with_foreign_key(home, digest):
    attest(home, "support", digest, keys=home.root / "foreign")


def sign_for_other_loop(home, digest):
    home.releases.joinpath("support", f"{digest}.dsse.json").write_bytes(attest(home, "other", digest).read_bytes())


def sign_another_version(home, digest):
    envelope = attest(home, "support", make_version(home, "another"))
    envelope.replace(home.releases / "support" / f"{digest}.dsse.json")


def sign_failed_verdict(home, digest):
    attest(home, "support", digest, verdict="FAIL")


def sign_no_verdict(home, digest):
    attest(home, "support", digest, verdicts={})


def sign_without_verdicts(home, digest):
    payload = statement("support", digest, {"merged/model.safetensors": "0" * 64}, {})
    home.releases.joinpath("support", f"{digest}.dsse.json").write_bytes(FolderSigner(home.keys).sign(payload))


def edit_envelope(home, digest):
    path = home.releases / "support" / f"{digest}.dsse.json"
    envelope = json.loads(path.read_text())
    envelope["payload"] = envelope["payload"][:-8] + "AAAAAAAA"
    path.write_text(json.dumps(envelope))


def remove_envelope(home, digest):
    (home.releases / "support" / f"{digest}.dsse.json").unlink()


def remove_version(home, digest):
    shutil.rmtree(home.versions / digest)


TAMPERINGS = [
    (edit_weights, "model.safetensors is missing or was changed"),
    (add_file, "generation_config.json is missing or was changed"),
    (edit_settings, "generation settings are not the attested ones"),
    (edit_weights_and_manifest, "describes version"),
    (sign_with_foreign_key, "not signed by the release key"),
    (sign_for_other_loop, "for loop 'other'"),
    (sign_another_version, "is for version"),
    (sign_failed_verdict, "other than PASS"),
    (sign_no_verdict, "holds no verdict"),
    (sign_without_verdicts, "not a release statement"),
    (edit_envelope, "was changed afterwards"),
    (remove_envelope, "no release attestation"),
    (remove_version, "no readable manifest"),
]


@pytest.mark.parametrize(("tamper", "why"), TAMPERINGS, ids=lambda value: getattr(value, "__name__", ""))
def test_version_that_is_not_what_was_attested_gets_no_traffic(gateway, tamper, why):
    digest = released(gateway.home, "a")
    tamper(gateway.home, digest)
    with pytest.raises(Refused, match=why):
        gateway.start(digest)
    assert gateway.serving.state("support").phase == "idle"
    assert gateway.ask().status_code == 503
    assert not gateway.serving.journal()


def test_each_raise_is_checked_again_and_lowering_reads_no_weights(serving_a):
    candidate = released(serving_a.home, "b")
    serving_a.start(candidate, 20)
    edit_weights(serving_a.home, candidate)
    with pytest.raises(Refused, match="was changed"):
        serving_a.serving.ramp("support", 100, 60, "test", "up")
    assert weights(serving_a.serving)[candidate] == 20
    serving_a.serving.ramp("support", 5, 60, "test", "down")
    assert weights(serving_a.serving)[candidate] == 5
    remove_envelope(serving_a.home, candidate)
    with pytest.raises(Refused, match="no release attestation"):
        serving_a.serving.ramp("support", 2, 60, "test", "down")
    serving_a.serving.rollback("support", "test", "out")
    assert candidate not in weights(serving_a.serving)


def test_staged_version_never_gets_traffic(serving_a):
    staged = make_version(serving_a.home, "no attestation")
    url = serving_a.serving.stage("support", staged, 60)
    direct = httpx.post(f"{url}/chat/completions", json={"messages": [{"role": "user", "content": "hello"}]})
    assert direct.json()["choices"][0]["message"]["content"] == f"{staged} hello"
    with ThreadPoolExecutor(4) as pool:
        answered = set(pool.map(lambda i: serving_a.ask(user=f"u{i}").headers["x-ftassets-version"], range(100)))
    assert answered == {serving_a.serving.state("support").production}
    with pytest.raises(Refused, match="no release attestation"):
        serving_a.start(staged, 5)
    serving_a.serving.unstage("support", staged)
    wait_until(lambda: staged in {digest for digest, _ in serving_a.host.stopped})
    assert [transition.action for transition in serving_a.serving.journal()] == ["start", "stage", "unstage"]


def test_staging_refuses_changed_files_and_unstaging_keeps_production(serving_a):
    staged = make_version(serving_a.home, "s")
    edit_weights(serving_a.home, staged)
    with pytest.raises(Refused, match="was changed"):
        serving_a.serving.stage("support", staged, 60)
    production = serving_a.serving.state("support").production
    serving_a.serving.stage("support", production, 60)
    serving_a.serving.unstage("support", production)
    assert serving_a.ask().status_code == 200


# who gets it


def test_a_start_that_waited_while_production_changed_is_refused(serving_a):
    home, production = serving_a.home, serving_a.serving.state("support").production
    slow, quick = make_version(home, "slow"), make_version(home, "quick")
    for version in (slow, quick):
        attest(home, "support", version, compared_with=production)
    serving_a.serving.stage("support", quick, 60)  # its server is up already
    make_app = serving_a.host.make_app

    def slowly(folder):
        time.sleep(1.0 if folder.name == slow else 0.0)
        return make_app(folder)

    serving_a.host.make_app = slowly
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(serving_a.start, slow, 20)
        time.sleep(0.3)
        serving_a.start(quick, 100)
        with pytest.raises(ServingError, match="production of support changed meanwhile"):
            late.result(20)
    assert weights(serving_a.serving) == {quick: 100}


def test_split_is_sticky_and_only_adds_users_when_it_grows(serving_a):
    candidate = released(serving_a.home, "b")
    users = [f"user {i}" for i in range(150)]

    def chosen() -> set[str]:
        return {user for user in users if serving_a.ask(user=user).headers["x-ftassets-version"] == candidate}

    serving_a.start(candidate, 5)
    groups = [chosen()]
    for weight in (20, 50, 100):
        serving_a.serving.ramp("support", weight, 60, "test", "next step")
        groups.append(chosen())
    assert groups[0] < groups[1] < groups[2] < groups[3] == set(users)
    assert 45 < len(groups[2]) < 105
    state = serving_a.serving.state("support")
    assert (state.production, state.phase) == (candidate, "serving")
    assert [transition.action for transition in serving_a.serving.journal()] == ["start", "start", "ramp", "ramp", "promote"]
    assert {row.weight for row in serving_a.rows() if row.version == candidate} == {5.0, 20.0, 50.0, 100.0}


def test_second_candidate_waits(serving_a):
    serving_a.start(released(serving_a.home, "b"), 20)
    with pytest.raises(ServingError, match="under way: it ends first"):
        serving_a.start(released(serving_a.home, "c"), 20)


def test_a_ramp_moves_the_candidate_that_was_meant(serving_a):
    candidate, other = released(serving_a.home, "b"), "f" * 64
    serving_a.start(candidate, 20)
    with pytest.raises(ServingError, match=f"{other[:12]} is not the candidate of support, {candidate[:12]} is"):
        serving_a.serving.ramp("support", 100, 60, "test", "next step", other)
    assert weights(serving_a.serving)[candidate] == 20
    assert serving_a.serving.ramp("support", 50, 60, "test", "next step", candidate).weight == 50


def test_by_policy_a_newer_candidate_takes_the_place_and_users_are_held_back_after_a_promotion(home, host):
    policy = LOOPS["support"].rollout.model_copy(update={"on_newer": "supersede", "hold_back": 5, "hold_back_for": 100.0})
    loops = {**LOOPS, "support": LOOPS["support"].model_copy(update={"rollout": policy})}
    clock = Clock()
    with run_gateway_in_thread(home, loops, host, clock) as (serving, url), httpx.Client(base_url=url, timeout=30) as client:
        here = Running(home, serving, url, host, client, clock)
        old, middle, new = (released(home, name) for name in "abc")
        users = [f"user {i}" for i in range(120)]

        def answering() -> set[str]:
            return {here.ask(user=user).headers["x-ftassets-version"] for user in users}

        here.start(old)
        attest(home, "support", new, compared_with=old)
        here.start(middle, 20)
        here.start(new, 20)
        assert weights(serving) == {new: 20, old: 80}
        assert serving.newest("support", 1)[0].reason == f"because; in place of {middle[:12]}, whose rollout ends here"
        assert serving.state("support").rejected == ()
        serving.ramp("support", 100, 60, "test", "next step")
        assert weights(serving) == {new: 95, old: 5}
        assert answering() == {new, old}
        assert {row.weight for row in here.rows() if row.version == old} == {5.0}

        async def gone(digest: str, folder: Path) -> None:
            raise HostError(f"{digest[:12]} does not start again")

        host.start = gone
        host.kill(old)
        wait_until(lambda: answering() == {new})  # a server that is away: its users get production
        clock.now += 100
        wait_until(lambda: weights(serving) == {new: 100})
        assert serving.newest("support", 1)[0].reason == "the time of holding users back is up"


# how it is taken away


def load(running, seconds_after: float, act) -> tuple[list[tuple[float, int, str]], float, float]:
    """Requests of 8 clients (sent, status, version) while `act` happens; and when it began and ended."""
    stop = threading.Event()
    seen: list[tuple[float, int, str]] = []

    def client(number: int) -> None:
        with httpx.Client(base_url=running.url, timeout=30, trust_env=False, verify=False) as connection:
            while not stop.is_set():
                body = {"model": "support", "messages": [{"role": "user", "content": "wait 0.1"}], "stream": number % 2 == 0}
                sent = time.monotonic()
                reply = connection.post("/v1/chat/completions", json=body)
                seen.append((sent, reply.status_code, reply.headers.get("x-ftassets-version", "")))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    began = time.monotonic()
    act()
    ended = time.monotonic()
    time.sleep(seconds_after)
    stop.set()
    for thread in threads:
        thread.join()
    return seen, began, ended


def test_rollback_of_a_canary_holds_for_the_next_request_and_fails_none(serving_a):
    candidate = released(serving_a.home, "b")
    serving_a.start(candidate, 50)
    seen, began, ended = load(serving_a, 1.5, lambda: serving_a.serving.rollback("support", "test", "bad"))
    assert {status for _, status, _ in seen} == {200}
    assert any(version == candidate for sent, _, version in seen if sent < began)
    assert all(version != candidate for sent, _, version in seen if sent > ended)
    assert serving_a.host.stopped == [(candidate, 0)], "it had answered what it was asked before"
    assert len(serving_a.rows()) == len(seen)


def test_rollback_to_the_standby_holds_for_the_next_request_and_fails_none(serving_a):
    old = serving_a.serving.state("support").production
    serving_a.start(released(serving_a.home, "b"), 50)
    serving_a.serving.ramp("support", 100, 60, "test", "promote")
    seen, began, ended = load(serving_a, 1.0, lambda: serving_a.serving.rollback("support", "test", "bad"))
    assert {status for _, status, _ in seen} == {200}
    assert {version for sent, _, version in seen if sent > ended} == {old}
    with pytest.raises(ServingError, match="nothing to roll back to"):
        serving_a.serving.rollback("support", "test", "again")


def test_rollback_to_a_standby_without_its_signature_is_refused(serving_a):
    old, new = serving_a.serving.state("support").production, released(serving_a.home, "b")
    serving_a.start(new, 50)
    serving_a.serving.ramp("support", 100, 60, "test", "promote")
    remove_envelope(serving_a.home, old)
    with pytest.raises(Refused, match="no release attestation"):
        serving_a.serving.rollback("support", "test", "bad")
    assert weights(serving_a.serving) == {new: 100}


def test_rollback_does_not_wait_for_a_server_that_starts(serving_a):
    serving_a.start(released(serving_a.home, "b"), 20)
    make_app, slow = serving_a.host.make_app, make_version(serving_a.home, "slow")

    def slowly(folder):
        time.sleep(2)
        return make_app(folder)

    serving_a.host.make_app = slowly
    with ThreadPoolExecutor(1) as pool:
        staging = pool.submit(serving_a.serving.stage, "support", slow, 60)
        time.sleep(0.3)
        serving_a.serving.rollback("support", "test", "bad")
        assert not staging.done()
        staging.result(20)


def test_lease_that_nobody_renews_ends_the_canary(serving_a):
    candidate = released(serving_a.home, "b")
    serving_a.start(candidate, 20, lease=30)
    serving_a.clock.now += 29
    serving_a.serving.renew("support", 30)
    serving_a.clock.now += 29
    time.sleep(1.2)
    assert candidate in weights(serving_a.serving)
    serving_a.clock.now += 2
    wait_until(lambda: candidate not in weights(serving_a.serving))
    wait_until(lambda: serving_a.serving.journal()[-1].action == "expire")  # what takes traffic away is in effect before it is written
    assert serving_a.serving.journal()[-1].by == "lease"
    with pytest.raises(ServingError, match="no candidate"):
        serving_a.serving.renew("support", 30)


# restarts


def test_restart_keeps_state_and_number_of_the_journal(home, host):
    with run_gateway_in_thread(home, LOOPS, host) as (serving, _):
        production, candidate = released(home, "a"), released(home, "b")
        serving.start("support", production, 100, 60, "test", "first")
        serving.start("support", candidate, 20, 60, "test", "second")
        before, journal = serving.state("support"), serving.journal()
    with run_gateway_in_thread(home, LOOPS, host) as (serving, _):
        assert serving.state("support") == before
        assert serving.journal() == journal
        serving.rollback("support", "test", "third")
        assert serving.journal(2)[0].number == 3
    assert not host.stopped or [digest for digest, _ in host.stopped] == [candidate]


def test_canary_whose_lease_ran_out_while_the_gateway_was_down_gets_no_traffic(home, host):
    with run_gateway_in_thread(home, LOOPS, host) as (serving, _):
        serving.start("support", released(home, "a"), 100, 60, "test", "first")
        serving.start("support", released(home, "b"), 99, 0.5, "test", "second")
    time.sleep(0.5)
    with run_gateway_in_thread(home, LOOPS, host) as (serving, _):
        assert serving.state("support").phase == "serving"


def test_damaged_production_gives_way_to_the_standby_when_the_gateway_starts(home, host):
    with run_gateway_in_thread(home, LOOPS, host) as (serving, _):
        old, new = released(home, "a"), released(home, "b")
        serving.start("support", old, 100, 60, "test", "first")
        serving.start("support", new, 50, 60, "test", "second")
        serving.ramp("support", 100, 60, "test", "third")
    edit_weights(home, new)
    with run_gateway_in_thread(home, LOOPS, host) as (serving, _):
        assert weights(serving) == {old: 100}
        last = serving.journal()[-1]
        assert (last.action, last.by) == ("rollback", "gateway")
        assert "was changed" in last.reason


@pytest.mark.parametrize("tamper", [edit_weights, remove_envelope, sign_with_foreign_key, remove_version])
def test_damaged_production_without_a_standby_answers_nobody(home, host, tamper):
    with run_gateway_in_thread(home, LOOPS, host) as (serving, _):
        digest = released(home, "a")
        serving.start("support", digest, 100, 60, "test", "first")
    tamper(home, digest)
    with run_gateway_in_thread(home, LOOPS, host) as (serving, url):
        reply = httpx.post(f"{url}/v1/chat/completions", json={"model": "support", "messages": [{"role": "user", "content": "x"}]})
        assert reply.status_code == 503
        assert digest[:12] in reply.json()["error"]["message"]
        assert serving.health()["status"] == "degraded"
        assert not serving.health()["versions"].get(digest, {}).get("ready")


def test_damaged_production_answers_nobody_even_where_another_loop_keeps_its_server_up(home, host):
    with run_gateway_in_thread(home, LOOPS, host) as (serving, _):
        digest = released(home, "a")
        attest(home, "other", digest)
        for loop in LOOPS:
            serving.start(loop, digest, 100, 60, "test", "first")
    remove_envelope(home, digest)  # the one of `support`
    with run_gateway_in_thread(home, LOOPS, host) as (_, url):
        body = {"messages": [{"role": "user", "content": "x"}]}
        asked = {loop: httpx.post(f"{url}/v1/chat/completions", json={"model": loop, **body}) for loop in ("other", "support")}
    assert (asked["other"].status_code, asked["support"].status_code) == (200, 503)
    assert "not those of the release" in asked["support"].text
    assert "no release attestation" in (SqliteTrafficLog(home.traffic_db).exchanges("support")[-1].error or "")


def test_two_gateways_on_one_home_are_refused(gateway):
    with pytest.raises(CannotServe, match="another gateway serves"), run_gateway_in_thread(gateway.home, LOOPS, gateway.host):
        pass


# the admin API


def test_admin_api_needs_the_token(gateway):
    admin = json.loads((gateway.home.gateway / "address.json").read_text())["admin"]
    token = (gateway.home.keys / "admin.token").read_text()
    assert (gateway.home.keys / "admin.token").stat().st_mode & 0o777 == 0o600
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": token}, {"authorization": f"Bearer {token}x"}):
        assert httpx.get(f"{admin}/admin/v1/loops/support", headers=headers).status_code == 401
        assert httpx.post(f"{admin}/admin/v1/loops/support/rollback", headers=headers, json={}).status_code == 401
    assert httpx.get(f"{admin}/admin/v1/loops/support", headers={"authorization": f"Bearer {token}"}).status_code == 200
    assert gateway.client.get("/admin/v1/loops/support").status_code == 404, "not on the public side"
    for other in ("", "/v1", "/admin", "/admin/v2"):
        assert httpx.get(f"{admin}{other}/loops/support", headers={"authorization": f"Bearer {token}"}).status_code == 404
    assert admin.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("start", {"digest": "../../etc", "weight": 5, "lease": 1, "by": "x", "reason": "x"}),
        ("start", {"digest": "a" * 64, "weight": -1, "lease": 1, "by": "x", "reason": "x"}),
        ("start", {"digest": "a" * 64, "weight": 5, "lease": -1, "by": "x", "reason": "x"}),
        ("ramp", {"weight": 101, "lease": 1, "by": "x", "reason": "x"}),
        ("rollback", {"by": "x"}),
        ("stage", {"digest": "A" * 64, "seconds": 3}),
        ("rollback", {"by": "x", "reason": "x", "force": True}),
    ],
)
def test_nonsense_is_refused_by_the_admin_api(gateway, verb, body):
    admin = json.loads((gateway.home.gateway / "address.json").read_text())["admin"]
    headers = {"authorization": f"Bearer {(gateway.home.keys / 'admin.token').read_text()}"}
    assert httpx.post(f"{admin}/admin/v1/loops/support/{verb}", headers=headers, json=body).status_code == 422
