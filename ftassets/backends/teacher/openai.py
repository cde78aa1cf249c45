"""A teacher behind any endpoint that speaks OpenAI's chat completions."""

from ftassets.backends.model_client.openai import OpenAIEndpoint
from ftassets.backends.teacher.base import Teacher, TeacherError, TeacherRefused
from ftassets.config.loop import TeacherSettings

TIMEOUT = (10.0, 180.0)  # seconds to connect, and between two reads: a large model thinks before its first byte
TRIES = 5
LONGEST_WAIT = 60  # seconds, whatever Retry-After says


class OpenAITeacher(Teacher):
    """Asks one question a call; a busy endpoint is asked again, slower each time or as it says."""

    def __init__(self, settings: TeacherSettings, backoff: float = 1.0, timeout: tuple[float, float] = TIMEOUT) -> None:
        """`backoff` is the first pause in seconds, doubled each time. Raises TeacherError when the key is not in the environment."""
        self._settings = settings
        self._endpoint = OpenAIEndpoint("teacher", settings.url, settings.api_key_env, TeacherError, TRIES, backoff, LONGEST_WAIT, timeout)

    def ask(self, prompt: str) -> str:
        body = {"model": self._settings.model, "messages": [{"role": "user", "content": prompt}]}
        response = self._endpoint.post(body)
        if response.status_code != 200:
            said = self._endpoint.said(response)
            raise self._failed(f"answered {response.status_code}{said}{_ADVICE.get(response.status_code, '')}")
        try:
            choice = response.json()["choices"][0]
            text, refusal = choice["message"].get("content"), choice["message"].get("refusal")
            filtered = choice.get("finish_reason") == "content_filter"
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise self._failed(f"did not answer with a chat completion ({type(error).__name__})") from None
        if refusal or filtered or not isinstance(text, str) or not text.strip():
            why = refusal or ("its content filter held the answer back" if filtered else "its answer is empty")
            raise TeacherRefused(f"the teacher refused: {self._endpoint.clean(str(why))[:300]}")
        return text

    def _failed(self, what: str) -> TeacherError:
        return TeacherError(self._endpoint.clean(f"the teacher at {self._endpoint.url} {what}"))


_ADVICE = {
    401: " (is the key the right one?)",
    403: " (may this key use the model?)",
    404: " (are url and model right? the url ends before /chat/completions)",
    429: f" (asked {TRIES} times: try later, or lower rows_per_class)",
}
