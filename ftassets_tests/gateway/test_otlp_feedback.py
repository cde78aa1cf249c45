"""Evaluations of OpenTelemetry as feedback, sent as its own exporter would write them."""

from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets_tests.gateway.conftest import Running

AT = 999_999  # seconds: just before the gateway's clock


def export(*evaluations: dict[str, Any], event: str = "gen_ai.evaluation.result", at: int = AT) -> dict[str, Any]:
    """What an exporter posts, from protobuf's own classes."""
    request = ExportLogsServiceRequest()
    logs = request.resource_logs.add().scope_logs.add()
    for attributes in evaluations:
        record = logs.log_records.add(time_unix_nano=at * 10**9, event_name=event)
        for name, value in attributes.items():
            field = record.attributes.add(key=f"gen_ai.{name}").value
            if isinstance(value, float):
                field.double_value = value
            else:
                field.string_value = value
    return dict(MessageToDict(request))


def thumb(answer: str, label: str = "down", name: str = "user_feedback", **more: Any) -> dict[str, Any]:
    return {"evaluation.name": name, "evaluation.score.label": label, "response.id": answer, **more}


def send(gateway: Running, body: dict[str, Any]) -> Any:
    answer = gateway.client.post("/v1/logs", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_thumbs_and_corrections_of_people_are_stored_once(serving_a: Running) -> None:
    first, second = (serving_a.ask(words).json()["id"] for words in ("one", "two"))
    body = export(
        thumb(first, **{"evaluation.explanation": "wrong lamp"}),
        {"evaluation.name": "human_correction", "evaluation.explanation": '{"intent": "dim"}', "response.id": second},
    )
    assert send(serving_a, body) == {}
    assert send(serving_a, body) == {}
    log = SqliteTrafficLog(serving_a.home.traffic_db)
    found = log.feedback_on([first, second])
    assert (found[first].rating, found[first].comment, found[first].correction) == ("down", "wrong lamp", None)
    assert (found[second].rating, found[second].correction) == (None, '{"intent": "dim"}')
    events = log.feedback_events([first, second])
    assert [len(each) for each in events.values()] == [1, 1]


def test_what_is_no_word_of_a_person_on_a_known_answer_is_rejected_and_the_rest_taken(serving_a: Running) -> None:
    known = serving_a.ask().json()["id"]
    rejected = {
        "of which nothing says that a person gave it": [thumb(known, name="toxicity"), thumb(known, name="Relevance")],
        "has no answer of this name": [thumb("chatcmpl-unknown"), thumb("otel:x")],
        "neither a thumb up nor a thumb down": [thumb(known, "so so")],
        "it has neither traceId and spanId nor gen_ai.response.id": [{"evaluation.name": "user_feedback", "evaluation.score.value": 1.0}],
    }
    for why, evaluations in rejected.items():
        said = send(serving_a, export(*evaluations, thumb(known, "up")))["partialSuccess"]
        assert said["rejectedLogRecords"] == len(evaluations)
        assert why in said["errorMessage"]
    said = send(serving_a, export({"request.model": "x"}, event="other"))["partialSuccess"]
    assert said["rejectedLogRecords"] == 1
    assert SqliteTrafficLog(serving_a.home.traffic_db).feedback_on([known])[known].rating == "up"


def test_a_time_that_is_not_there_or_ahead_is_the_gateway_s(serving_a: Running) -> None:
    known = serving_a.ask().json()["id"]
    send(serving_a, export(thumb(known), at=9_999_999_999))
    [event] = SqliteTrafficLog(serving_a.home.traffic_db).feedback_events([known])[known]
    assert event.at == serving_a.clock.now


def test_other_bodies_are_refused_as_everywhere(serving_a: Running) -> None:
    assert serving_a.client.post("/v1/logs", json={}).status_code == 422
    assert serving_a.client.post("/v1/logs", content=b"\x0a\x00", headers={"content-type": "application/x-protobuf"}).status_code == 415
    assert send(serving_a, {"resourceLogs": []}) == {}
    assert send(serving_a, {"resourceLogs": [{"scopeLogs": [{"logRecords": [{}]}]}]})["partialSuccess"]["rejectedLogRecords"] == 1
