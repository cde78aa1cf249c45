import pytest

from ftassets.config.server_url import server_url


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://lakefs.example.com/below/"])
def test_a_url_loses_its_last_slash_only(url: str) -> None:
    assert server_url("X_URL", url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:6333",
        "ftp://x",
        "http://",
        "https://user:s3cr3t@host",
        "https://s3cr3t@host",
        "http://[::1:x",
        "http://a b",
        "http://a:b",
        "http://a:99999",
        "http://a\n",
    ],
)
def test_other_urls_are_refused_by_the_name_of_their_setting_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="^X_URL is not a URL") as refused:
        server_url("X_URL", url)
    assert "s3cr3t" not in str(refused.value)
