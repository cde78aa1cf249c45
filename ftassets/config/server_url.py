"""Where a server of the production profile is, as a setting names it."""

from urllib.parse import urlsplit

from ftassets.errors import ConfigurationError


def server_url(setting: str, url: str) -> str:
    """The URL without trailing slashes. Raises ConfigurationError if it is invalid or has a user or password: URLs are logged and shown."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ConfigurationError(f"{setting} is not a URL such as https://host.example.com:1234, without user or password in it")
    return url.rstrip("/")
