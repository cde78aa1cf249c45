"""E-mail and IP addresses in a folded text."""

import ipaddress
import re
from collections.abc import Iterator

from ftassets.domain.personal_data.labels import is_called_phone
from ftassets.domain.personal_data.spans import Span
from ftassets.domain.scripts import CJK, MARKS, SOUTH_EAST_ASIAN

LATIN = "0-9A-Za-zÀ-ɏḀ-ỿ\u0300-\u036f"  # and accents that are characters of their own
# A local part goes on whatever the script, since half an address may be a name. But in scripts without spaces a word of the sentence
# touches it: what has letters of other scripts before the @ ends where those begin. Domains are read likewise, from their second part on.
_CHAR = rf"\w{MARKS}"
_SPACED = rf"(?![{CJK}{SOUTH_EAST_ASIAN}])"
_TLD = rf"(?:xn--[0-9A-Za-z-]{{1,59}}|[A-Za-z]{{2,24}}(?![{LATIN}])|(?![{LATIN}])(?:[^\W\d_][{MARKS}]{{0,4}}){{2,24}})"
_LABEL = rf"(?:(?=[{LATIN}])[{LATIN}-]{{1,63}}|(?![{LATIN}])[{_CHAR}-]{{1,63}})\."
_LITERAL = r"\[(?:IPv6:[0-9A-Fa-f:.]{2,45}|[0-9]{1,3}(?:\.[0-9]{1,3}){3})\]"
_DOMAIN = re.compile(rf"@(?:(?:(?!_)[{_CHAR}-]){{1,63}}\.(?:{_LABEL}){{0,7}}{_TLD}|{_LITERAL})")
_LOCAL_REVERSED = re.compile(
    rf"(?:{_SPACED}[{_CHAR}.%+&'-]){{1,64}}(?<=\w)|[{_CHAR}.%+&'-]{{1,64}}(?<=\w)"
    r"|\"\w(?:[\w .%+&'-]{0,60}\w)?\""  # in quotes with a space
)
_PREFIX = re.compile("[א-ת]{1,2}-(?=[0-9A-Za-z])")  # Hebrew prepositions stand before a word with a dash
_VEILED_DOT = r"(?: ?[(\[] ?(?:dot|punkt|punto|point) ?[)\]] ?|\.)"
_VEILED = re.compile(  # jane%40example.com in the query of a URL, and jane (at) example (dot) com
    rf"(?<![{LATIN}._+%-])(?:[{LATIN}][{LATIN}._+-]{{0,63}}%40|[{LATIN}][{LATIN}._+-]{{0,63}} ?[(\[] ?at ?[)\]] ?)"
    rf"[{LATIN}-]{{1,63}}(?:{_VEILED_DOT}[{LATIN}-]{{1,63}}){{0,6}}{_VEILED_DOT}[A-Za-z]{{2,24}}(?![{LATIN}])",
    re.IGNORECASE,
)
_IMAGE = re.compile(r"@[1-9]x\.")  # logo@2x.png
_GIT = re.compile(r"git@[^:]{1,253}:")  # an address of git, git@github.com:owner/repository
_PASSWORD = re.compile(r"://[^\s/@:]*:[^\s/@:]*$")  # in a URL, which `credentials` finds
_HANDLE = "@"  # @name@server: a handle

_IPV4 = re.compile(rf"[0-9](?<![{LATIN}_].)(?<![0-9]\..)[0-9]{{0,2}}(?:\.[0-9]{{1,3}}){{3}}(?![{LATIN}_]|\.[0-9])")
_PAIRS = re.compile(r"[0-9]{2}(?:\.[0-9]{2}){3}")  # as phone numbers are written, too
_IPV6_RUN = re.compile(rf"(?<![{LATIN}_:.])[0-9A-Fa-f:.]{{6,45}}(?![{LATIN}_:])")
_LONG_GROUP = re.compile(r"[0-9A-Fa-f]{3}")
_DIGIT = re.compile("[0-9]")
# what stands before a version or a section in four parts
_VERSION = re.compile(
    r"(?:\b(?:v|ver|vers|version|versi[oó]n|versione|vers[aã]o|wersja|verze|verzió|versiune|s[uü]r[uü]m|release|build|firmware|driver"
    r"|section|sec|chapter|clause|§|upgrade(?:d)? to|update(?:d)? to)|верси[яию]|верс|версія|έκδοση|إصدار|الإصدار|نسخه|גרסה"
    r"|संस्करण|সংস্করণ|เวอร์ชัน|phiên bản|版本|バ[ー-]ジョン|버전)[ .:#]{0,3}(?:is )?$|(?:==|~=|>=|<=|[A-Za-z][-/]|[0-9][-])$",
    re.IGNORECASE,
)


def emails(text: str) -> Iterator[Span]:
    """Addresses with a domain of two parts or more."""
    at = text.find("@")
    while at >= 0:
        if (domain := _DOMAIN.match(text, at)) and (local := _LOCAL_REVERSED.match(text[max(0, at - 64) : at][::-1])):
            start = at - local.end()
            if prefix := _PREFIX.match(text, start, at):
                start = prefix.end()
            before = text[max(0, start - 80) : start]
            if not (before.endswith(_HANDLE) or _PASSWORD.search(before) or _IMAGE.match(text, at) or _GIT.match(text, start)):
                yield Span("EMAIL", start, domain.end())
        at = text.find("@", at + 1)


def veiled_emails(text: str) -> Iterator[Span]:
    """Addresses whose @ is written as %40, or as a word in brackets."""
    yield from (Span("EMAIL", *match.span()) for match in _VEILED.finditer(text))


def ips(text: str) -> Iterator[Span]:
    """Addresses of versions 4 and 6; four numbers after a word such as `version` are left."""
    if text.count(".") >= 3:
        for match in _IPV4.finditer(text):
            before = text[max(0, match.start() - 24) : match.start()]
            if _PAIRS.fullmatch(match[0]) and is_called_phone(text, *match.span()):
                continue
            if _is_ip(match[0]) and not _VERSION.search(before):
                yield Span("IP", *match.span())
    if text.count(":") >= 2:
        for match in _IPV6_RUN.finditer(text):
            run = match[0].rstrip(".")
            run = run if run.endswith("::") else run.rstrip(":")
            # Python's [::1] and Ruby's Ab::Cd have the form too: an address worth hiding has a digit and a group of three
            if run.count(":") >= 2 and _DIGIT.search(run) and _LONG_GROUP.search(run) and _is_ip(run):
                yield Span("IP", match.start(), match.start() + len(run))


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
