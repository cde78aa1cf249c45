"""Where a server of the production profile is, as a setting names it."""

from urllib.parse import urlsplit

from ftassets.errors import ConfigurationError


def server_url(setting: str, url: str) -> str:
    """The URL without trailing slashes. Raises ConfigurationError if it is invalid or has a user or password: URLs are logged and shown."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:  # brackets without an IPv6 address, a port that is not a number
        good = False
    if not good or not url.isprintable() or " " in url:
        raise ConfigurationError(f"{setting} is not a URL such as https://host.example.com:1234, without user or password in it")
    return url.rstrip("/")
