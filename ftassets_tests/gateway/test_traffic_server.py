"""A gateway whose traffic log is on a PostgreSQL server that goes away."""

import pytest

from ftassets.config.profiles import TRAFFIC_URL, traffic_log
from ftassets_tests.gateway.conftest import Running


@pytest.fixture(autouse=True)
def url(postgres, monkeypatch) -> str:
    url = postgres.account()
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    monkeypatch.setenv(TRAFFIC_URL, url)
    return url


def test_without_the_server_nothing_is_answered_and_with_it_again(postgres, serving_a: Running, caplog):
    assert serving_a.ask("before").status_code == 200
    postgres.stop()
    try:
        whole, stream = serving_a.ask("lost"), serving_a.ask("lost", stream=True)
        said = serving_a.client.post("/v1/feedback", json={"id": whole.headers["x-request-id"], "rating": "up"})
    finally:
        postgres.start()
    assert (whole.status_code, whole.json()["error"]["code"], whole.headers["retry-after"]) == (503, "not_recorded", "5")
    assert "see that it runs" in whole.json()["error"]["message"]
    assert "[DONE]" not in stream.text
    assert "not_recorded" in stream.text
    assert said.status_code == 503
    assert 'ftassets_unrecorded_total{loop="support"' in (metrics := serving_a.client.get("/metrics").text)
    assert [line.split()[-1] for line in metrics.splitlines() if line.startswith("ftassets_unrecorded_total")] == ["2.0"]
    assert "pass%2F" not in caplog.text + whole.text + stream.text
    assert serving_a.ask("after", stream=True).text.endswith("data: [DONE]\n\n")
    assert [row.prompt for row in traffic_log(serving_a.home).exchanges("support")] == ["before", "after"]
    assert not serving_a.home.traffic_db.exists()
