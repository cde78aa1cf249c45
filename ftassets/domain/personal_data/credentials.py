"""Secrets in a folded text: keys, tokens, private keys, passwords. Prefixes are those that the issuers document for secret scanners."""

import re
from collections.abc import Iterator

from ftassets.domain.personal_data.spans import Span
from ftassets.domain.scripts import MARKS

_BEGIN, _END = r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_])"
_WITH_PREFIX = re.compile(
    _BEGIN
    + "(?:"
    + "|".join(
        [
            r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
            r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}",
            r"gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_-]{20,255}",  # GitLab
            r"sk-[A-Za-z0-9_-]{20,255}|sk_[A-Za-z0-9_]{24,255}|gsk_[A-Za-z0-9]{40,64}|xai-[A-Za-z0-9]{40,128}",  # models' endpoints
            r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,255}|whsec_[A-Za-z0-9+/=]{24,128}",  # Stripe
            r"xox[abeoprs]-[A-Za-z0-9-]{10,255}|xapp-[0-9]-[A-Za-z0-9-]{10,255}",  # Slack
            r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,512}|GOCSPX-[A-Za-z0-9_-]{20,64}",  # Google
            r"(?:hf|api_org)_[A-Za-z0-9]{30,64}|r8_[A-Za-z0-9]{30,64}|pplx-[A-Za-z0-9]{40,64}|nvapi-[A-Za-z0-9_-]{40,96}",  # models
            r"pa-[A-Za-z0-9_-]{43}|jina_[A-Za-z0-9_-]{40,80}|fw_[A-Za-z0-9]{22,48}|tvly-[A-Za-z0-9-]{24,64}|wandb_v1_[A-Za-z0-9_]{40,128}",
            r"npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,255}|rubygems_[0-9a-f]{48}|dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,64}",  # packages
            r"do[por]_v1_[0-9a-f]{64}|nfp_[A-Za-z0-9]{36,48}|HRKU-[A-Za-z0-9_-]{36,64}|fo1_[A-Za-z0-9_-]{40,64}",  # hosts
            r"sb[ps]_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_-]{20,64}|pscale_(?:tkn|pw|oauth)_[A-Za-z0-9=._-]{32,64}",
            r"dapi[0-9a-f]{32}(?:-[0-9])?|hv[sb]\.[A-Za-z0-9_-]{24,256}|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}|pul-[0-9a-f]{40}",
            r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/=]{32,400}|NR(?:AK|II|JS)-[A-Za-z0-9_-]{24,64}|sntry[su]_[A-Za-z0-9+/=_]{40,400}",
            r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}|PMAK-[0-9a-f]{24}-[0-9a-f]{34}",
            r"AGE-SECRET-KEY-1[A-Z0-9]{58}",
            r"AT(?:ATT3|CTT3|BB)[A-Za-z0-9_=-]{24,250}|figd_[A-Za-z0-9_-]{38,64}|pat[A-Za-z0-9]{14}\.[0-9a-f]{64}|sq[apu]_[0-9a-f]{40}",
            r"CCI(?:PAT|PRJ)_[A-Za-z0-9]{22}_[0-9a-f]{40}|bkua_[0-9a-f]{40}|xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}|[ps]k\.eyJ[A-Za-z0-9._-]{40,200}",
            r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}|key-[0-9a-f]{32}|[0-9a-f]{32}-us[0-9]{1,2}",  # SendGrid, Mailgun, Mailchimp
            r"SK[0-9a-f]{32}|AC[0-9a-f]{32}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,43}",  # Twilio, Shopify
            r"EAAA[A-Za-z0-9+/=_-]{56,64}",  # Square
            r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}|[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}",  # Telegram, Discord
            r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}|EAAC[A-Za-z0-9]{30,255}",  # LangSmith, Facebook
            r"lin_api_[A-Za-z0-9]{40}|ntn_[A-Za-z0-9]{40,60}|secret_[A-Za-z0-9]{40,60}",
            r"eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,8192}(?:\.[A-Za-z0-9_-]{0,2048}){0,3}",  # JSON web token
        ]
    )
    + ")"
    + _END
)
PRIVATE_KEY = "PRIVATE KEY"  # what stands before and behind one
_WHOLE = re.compile(r"\S{6,4096}")
_MARK = rf"[A-Z0-9 ]{{0,30}}{PRIVATE_KEY}(?: BLOCK)?-----"
_BODY = r"A-Za-z0-9+/=\s:,-"
_PRIVATE_KEY = re.compile(  # the end may be cut off, also by the next one
    rf"-----BEGIN {_MARK}(?:(?!-----BEGIN )[{_BODY}]){{0,16000}}?(?:-----END {_MARK}|(?=-----BEGIN )|(?![{_BODY}])|\Z)"
)
_HOOK = re.compile(r"hooks\.slack\.com/services/[A-Za-z0-9/]{20,80}|discord(?:app)?\.com/api/webhooks/[0-9]{15,20}/[A-Za-z0-9_-]{50,80}")
_SIGNED = re.compile(r"[?&](?:sig|signature|X-Amz-Signature)=([A-Za-z0-9%+/=_-]{32,512})")  # an address that opens what it names
_AWS = re.compile(r"(?:aws|secret|key)[^\n]{0,40}?(?<![A-Za-z0-9/+=_-])([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=_-])", re.IGNORECASE)
_IN_URL = re.compile(r"://[^\s:/@\"'<>]{0,64}:([^\s/@\"'<>]{3,128})@")
_SENT = re.compile(r"\b(?:bearer|basic)\s{1,3}([A-Za-z0-9_.~+/-]{16,4096}={0,2})", re.IGNORECASE)
_COOKIE = re.compile(r"\bcookie\s{0,2}:\s{0,2}[A-Za-z0-9_.-]{1,64}=([^\s;,\"']{16,4096})", re.IGNORECASE)
_CURL = re.compile(r"\bcurl\b[^\n]{0,200}?\s(?:-u|--user)[\s=]{1,2}[\"']?[^\s:\"']{1,64}:([^\s\"']{3,128})")
_PASSWORDS = (
    r"pass(?:word|wd|phrase)?|pwd|mot de passe|passwort|kennwort|contraseña|senha|wachtwoord|has[lł]o|пароль"
    r"|密码|密碼|パスワ[ー-]ド|비밀번호|كلمة المرور|رمز عبور|گذرواژه|סיסמ[הא]|पासवर्ड|รหัสผ่าน|mật khẩu|şifre"
    r"|parola|κωδικός|heslo|jelszó|salasana|lösenord|kata sandi"
)
_CALLED = (
    rf"(?:{_PASSWORDS}|secret(?:[_ -]?access)?(?:[_ -]?key)?|(?:api|access|account|auth|private|shared|signing|encryption)[_ -]?key"
    r"|(?:api|auth|access|refresh|bot|bearer)[_ -]?token|token|client[_ -]?secret)"
)
_TAGGED = re.compile(rf"<({_CALLED})>\s{{0,4}}([^\s<]{{6,512}})\s{{0,4}}</", re.IGNORECASE)
_KEY = re.compile(rf"(?:.*[^A-Za-z])?{_CALLED}[\s:]*", re.IGNORECASE | re.DOTALL)
# in quotes anything, else what is no call and no attribute of code
_VALUE = r"(?:[\"'“]{1,3}([^\s\"'“”]{SHORTEST,512})[\"'”]|([^\s\"'“”,;<>(){}\[\].]{SHORTEST,512})(?![(\[{\w]|\.\w))"
_NAMED = re.compile(
    rf"(?<![A-Za-z]){_CALLED}[\"'“”]?\s{{0,2}}(?:=>|:=|[:=：]|は|是|为|為)\s{{0,2}}"
    rf"(?:[>|][+-]?\s{{1,16}})?{_VALUE.replace('SHORTEST', '8')}",  # of YAML, on the next line
    re.IGNORECASE,
)
_NETRC = re.compile(r"\b(?:login|user(?:name)?)\s{1,4}\S{1,64}\s{1,4}pass(?:word|wd)?\s{1,4}(\S{6,128})", re.IGNORECASE)
_WIFI = re.compile(r"\bWIFI:[^\n]{0,200}?;P:([^;\n]{3,128});")
_HEX_KEY = re.compile(r"private[_ -]?key\s{0,2}(?:[:=]|is\b)?\s{0,2}[\"']?((?:0x)?[0-9a-f]{64})(?![0-9a-z])", re.IGNORECASE)
_ONE_TIME = "认证码|验证码|驗證碼|認証コ[ー-]ド|인증번호|인증 번호|رمز التحقق|ओटीपी|код подтверждения"
_PINS = rf"(?<![^\W\d_])(?:pin|puk|cvv2?|cvc2?|otp|pass[ -]?code|geheimzahl|пин|пін)|暗証番号|{_ONE_TIME}"
_ASSIGNED = r"(?:\s{0,2}(?:=>|:=|[:=：])\s{0,2}|\s{0,2}(?:は|是|为|為)\s{0,2}|\s{1,2}(?:is|ist|lautet|est|es|è|é|هو|هي|-)\s{1,2})"
_PASSWORD = re.compile(rf"(?<![A-Za-z])(?:{_PASSWORDS})[\"'“”]?{_ASSIGNED}{_VALUE.replace('SHORTEST', '6')}", re.IGNORECASE)
# digits alone are a secret only where a word says so at once; a bare "PIN 4821" only in capitals or as somebody's: connectors have pins
_PIN = re.compile(
    rf"(?:(?:{_PINS})(?:[ _-]?(?:code|number|nummer|no\.?|nr\.?|код))?|(?<![A-Za-z])(?:{_PASSWORDS}))[\"'“”]?{_ASSIGNED}[\"'“]?"
    r"([0-9]{3,12})(?![A-Za-z0-9%]|[.,:/-]?[0-9])",
    re.IGNORECASE,
)
_BARE_PIN = re.compile(
    rf"(?<![A-Za-z])(?:(?:PIN|PUK)(?:[ -][Cc]ode)?|(?i:(?:my|your|his|her|our|their) (?:pin|puk)(?:[ -]code)?)|(?:{_ONE_TIME})) "
    r"([0-9]{4,8})(?![\w%]|[.,:/-]?[0-9])"
)
_PIN_KEY = re.compile(rf"(?:.*[^A-Za-z])?(?:(?:{_PINS})(?:[ _-]?(?:code|number))?|{_PASSWORDS})[\s:]*", re.IGNORECASE | re.DOTALL)
_PIN_LIKE = re.compile("pin|puk|cv[vc]|otp|geheimz|暗証|пин|пін|证码|證碼|認証|인증|التحقق|ओटीपी|подтвержд")
_PIN_HINT = re.compile(rf"(?:{_PINS})(?![A-Za-zа-я])", re.IGNORECASE)
_PHRASES = r"pass[ _-]?phrase|(?:seed|recovery|backup|secret|mnemonic)[ _-]phrase|(?:seed|recovery|backup)_words|mnemonic"
_SMALL = rf"(?:[^\W\d_A-Z][{MARKS}]{{0,4}}){{2,15}}"
_WORDS = rf"{_SMALL}(?:[ -]{_SMALL}){{2,23}}"  # three and more words without a capital
_PHRASE = re.compile(rf"(?<![A-Za-z])(?i:{_PHRASES})[\"'“”]?(?:(?i:{_ASSIGNED})[\"'“]({_WORDS})[\"'”]|\s{{0,2}}[:=]\s{{0,2}}({_WORDS}))")
_PHRASE_KEY = re.compile(rf"(?:.*[^A-Za-z])?(?:{_PHRASES})[\s:]*", re.IGNORECASE | re.DOTALL)
_NAME_HINT = re.compile(  # parts of what stands in `_CALLED`, in lower case
    r"pass|pwd|secret|key|token|mot de|contras|senha|wachtw|kennw|hasł|haslo|парол|密|パス|비밀|كلمة|رمز|گذرواژه|סיסמ"
    r"|पासवर्ड|รหัส|khẩu|şifre|parola|κωδικ|heslo|jelsz|salasana|lösenord|sandi|wifi:"
)
_LONG = re.compile(r"[A-Za-z0-9_+/=.-]{16}")
_DIGIT, _LETTER = re.compile("[0-9]"), re.compile("[A-Za-z]")
_UPPER, _LETTERS = re.compile("[A-Z]"), re.compile("[A-Za-z]{16,512}")
_LONG_WORD = re.compile(r"(?<![A-Za-z_-])[A-Za-z_-]{16}")


def secrets(text: str) -> Iterator[Span]:
    """SECRET: what has an issuer's prefix, private keys, web tokens, passwords of URLs, and what is called a password, a PIN or a key."""
    if _LONG.search(text):
        for pattern in (_WITH_PREFIX, _HOOK):
            yield from (Span("SECRET", *match.span()) for match in pattern.finditer(text) if _random(match[0]))
        for pattern in (_COOKIE, _SENT, _SIGNED):
            yield from (Span("SECRET", *match.span(1)) for match in pattern.finditer(text) if _may_be_secret(match[1]))
        yield from (Span("SECRET", *match.span(1)) for match in _AWS.finditer(text) if _mixed(match[1]) and match[1] != match[1].lower())
    if PRIVATE_KEY in text:
        yield from (Span("SECRET", *match.span()) for match in _PRIVATE_KEY.finditer(text))
    if "curl" in text:
        yield from (Span("SECRET", *match.span(1)) for match in _CURL.finditer(text))
    if "://" in text and "@" in text:
        yield from (Span("SECRET", *match.span(1)) for match in _IN_URL.finditer(text))
    if may_be_named(text):
        for pattern in (_NAMED, _PASSWORD):
            for match in pattern.finditer(text):
                value = match.lastindex or 0  # the group of quoted or of bare values
                if _may_be_secret(match[value]):
                    yield Span("SECRET", *match.span(value))
        yield from (Span("SECRET", *match.span(2)) for match in _TAGGED.finditer(text) if _may_be_secret(match[2]))
        yield from (Span("SECRET", *match.span(1)) for match in _NETRC.finditer(text) if _mixed(match[1]))
        for pattern in (_PIN, _BARE_PIN, _WIFI, _HEX_KEY):
            yield from (Span("SECRET", *match.span(1)) for match in pattern.finditer(text))
    if may_be_phrase(text):
        yield from (Span("SECRET", *match.span(match.lastindex or 0)) for match in _PHRASE.finditer(text))


def is_called_secret(label: str, value: str) -> bool:
    """Whether a whole text is a password, a PIN or a key because it is called one, as the value of `client_secret` in JSON."""
    if value.isdecimal():
        return 3 <= len(value) <= 12 and _PIN_KEY.fullmatch(label) is not None
    if _PHRASE_KEY.fullmatch(label) and re.fullmatch(_WORDS, value):
        return True
    return _WHOLE.fullmatch(value) is not None and _may_be_secret(value) and _KEY.fullmatch(label) is not None


def may_be_named(text: str) -> bool:
    """Whether a text could call something a password, a PIN or a key; quick."""
    low = text.lower()
    return _NAME_HINT.search(low) is not None or (_PIN_LIKE.search(low) is not None and _PIN_HINT.search(low) is not None)


def may_be_phrase(text: str) -> bool:
    """Whether a text could hold a passphrase of plain words; quick."""
    low = text.lower()
    return "phrase" in low or "mnemonic" in low or "_words" in low


def may_be_letters(text: str) -> bool:
    """Whether a text could hold a secret without a digit: a word of 16 characters; quick."""
    return _LONG_WORD.search(text) is not None


def _random(value: str) -> bool:
    """Whether a value may be random: sk-fade-in-and-out-of-sight is a name in a style sheet."""
    return not value.startswith("sk-") or _DIGIT.search(value) is not None


def _may_be_secret(value: str) -> bool:
    """Whether a value that is called a secret is one: not a plain word, nor a name in a program.

    Of letters alone it has 16 of both cases, a quarter of them in each at least, or 24 of one case.
    """
    if _LETTERS.fullmatch(value) is None:
        return _mixed(value)
    share = len(_UPPER.findall(value)) / len(value)
    return 0.25 <= share <= 0.75 or (share in (0.0, 1.0) and len(value) >= 24)


def _mixed(value: str) -> bool:
    """Whether a value has letters and digits: a plain word is not taken for a password."""
    return _DIGIT.search(value) is not None and _LETTER.search(value) is not None
