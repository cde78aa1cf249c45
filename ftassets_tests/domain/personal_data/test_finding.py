"""Personal data and secrets: found where form, checksum and the words around them say so, in any script, and nothing else is."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.personal_data.finding import find
from ftassets.domain.personal_data.spans import Span, redact

FOUND = [
    ("EMAIL", "jane.doe+news@mail.example.co.uk"),
    ("EMAIL", "o'brien@example.com"),
    ("EMAIL", "jürgen@müller.de"),
    ("CARD", "4111111111111111"),
    ("CARD", "4111 1111 1111 1111"),
    ("CARD", "5500-0000-0000-0004"),
    ("CARD", "3782 822463 10005"),
    ("CARD", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ("IBAN", "GB82WEST12345698765432"),
    ("IBAN", "DE89 3704 0044 0532 0130 00"),
    ("IBAN", "nl91abna0417164300"),
    ("SSN", "219-09-9999"),
    ("SSN", "219 09 9999"),
    ("IP", "192.168.10.25"),
    ("IP", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
    ("IP", "2001:db8::8a2e:370:7334"),
    ("IP", "fe80::1"),
    ("PHONE", "+46 (0)8 928 571 38"),
    ("PHONE", "+447700900123"),
    ("PHONE", "0041 79 123 45 67"),
    ("PHONE", "(555) 234-5678"),
    ("PHONE", "555.234.5678 ext. 12"),
    ("PHONE", "5552345678"),
    ("PHONE", "01.84.17.61.18"),
    ("PHONE", "07700 900123"),
]

HARMLESS = [
    "4111 1111 1111 1112",  # Luhn fails
    "1234567890123456",  # no issuer
    "1700000000123",  # milliseconds since 1970
    "GB82WEST12345698765433",  # mod 97 fails
    "ZZ89370400440532013000",  # no such country
    "000-12-3456",
    "219-00-9999",
    "300.1.2.3",
    "1.2.3",
    "std::vector<int>",
    "items[::1]",
    "12:30:45",
    "2024-01-15 10:30",
    "01.02.2024 10:30",
    "between 2019 and 2020, or 2019-2020",
    "0.123456789",
    "3.14159265358979",
    "order 723 813 266",
    "one @ two",
    "@handle",
    "user@localhost",
    "75 % of 12,500,000",
]


@pytest.mark.parametrize(("kind", "value"), FOUND)
@pytest.mark.parametrize("text", ["{}", "please use {}, thanks", "({})", "it is {}. Bye", "{}\n{}"])
def test_finds_the_whole_value_wherever_it_stands(kind: str, value: str, text: str) -> None:
    whole = text.replace("{}", value)
    assert [(span.kind, whole[span.start : span.end].strip("()")) for span in find(whole)] == [(kind, value.strip("()"))] * text.count("{}")


@pytest.mark.parametrize("text", HARMLESS)
def test_leaves_what_only_looks_like_it(text: str) -> None:
    assert find(text) == []
    assert find(f"I say {text} here") == []


@pytest.mark.parametrize("text", ["call me on 467 3395", "my fax: 72 128 827", "72-12-88-27 is her mobile"])
def test_groups_of_digits_are_a_phone_number_where_the_words_say_so(text: str) -> None:
    assert [span.kind for span in find(text)] == ["PHONE"]


@pytest.mark.parametrize("text", ["call me 2024-01-15", "phone me in 2019-2020", "text me on 24 12 2024"])
def test_a_date_is_no_phone_number_even_there(text: str) -> None:
    assert find(text) == []


def test_a_card_among_other_numbers() -> None:
    text = "order 12 4111 1111 1111 1111 2"
    assert [(span.kind, text[span.start : span.end]) for span in find(text)] == [("CARD", "4111 1111 1111 1111")]


def test_a_phone_number_in_an_address_is_the_address() -> None:
    assert redact("write 5552345678@example.com", find("write 5552345678@example.com")) == "write <EMAIL>"


def test_of_overlapping_spans_the_longest_then_the_earliest_counts() -> None:
    text = "abcdefghij"
    assert redact(text, [Span("A", 0, 4), Span("B", 3, 8), Span("C", 7, 9)]) == "abc<B>ij"
    assert redact(text, [Span("B", 2, 5), Span("A", 0, 3)]) == "<A>defghij"


def test_kinds_replace_the_values() -> None:
    text = "mail bob@example.com or call +46 8 928 571 38 about DE89 3704 0044 0532 0130 00"
    assert redact(text, find(text)) == "mail <EMAIL> or call <PHONE> about <IBAN>"


VALUES = st.sampled_from([value for _, value in FOUND])

PIECES = st.one_of(VALUES, st.text(max_size=8), st.sampled_from(["1", "4111 ", "+", "(", "-", ".", "@", ":", " ", '"', "\\", "call "]))

TEXTS = st.lists(PIECES, min_size=1, max_size=8).map("".join)


@settings(deadline=None)
@given(TEXTS)
def test_spans_are_in_order_inside_the_text_and_apart(text: str) -> None:
    edges = [edge for span in find(text) for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    assert all(0 <= span.start < span.end <= len(text) for span in find(text))


@settings(deadline=None)
@given(st.text())
def test_a_text_without_finds_is_returned_as_it_is(text: str) -> None:
    assert redact(text, []) == text


HOSTILE = ["1", "4", "4 ", "4444 ", "5555-", "11 ", "12.", "1.1.1.1.", "+1", "(1", "0123 ", "call 555 ", "2020-", "@", "a@", "a@a.", "a.b-"]

HOSTILE += [
    "a@a.aa ",
    "\u0e49@",
    "ก่@ก่.ก่",
    'a "@',
    "%.@",
    ":",
    "1:",
    "fe80:",
    ".:",
    "GB11 ",
    "de89",
    "GB29NWBK",
    "-",
    ".",
    "a",
    "A1",
    "é",
    "٣",
    "4" * 19 + "-",
    "1" * 15 + "(",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_time_is_linear_in_hostile_texts(piece: str) -> None:
    """100 kB take about 0.1 CPU-seconds; a pattern that backtracks takes minutes."""
    text = piece * (100_000 // len(piece))
    start = time.process_time()
    find(text)
    assert time.process_time() - start < 2


@settings(deadline=None)
@given(st.lists(st.sampled_from([*"14 0-.@:+(aG", "GB29"]), min_size=1, max_size=12).map("".join))
def test_time_is_linear_in_any_repeated_piece(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    start = time.process_time()
    find(text)
    assert time.process_time() - start < 1


def whole(text: str, kind: str, value: str) -> None:
    spans = find(text)
    assert [(span.kind, text[span.start : span.end]) for span in spans] == [(kind, value)], text


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("PHONE", "13812345678"),
        ("PHONE", "090-1234-5678"),
        ("PHONE", "010-1234-5678"),
        ("CARD", "4111111111111111"),
        ("CARD", "4111 1111 1111 1111"),
        ("IBAN", "DE89370400440532013000"),
        ("IP", "192.168.10.25"),
        ("EMAIL", "li.wei@example.com"),
    ],
)
@pytest.mark.parametrize("text", ["我的联系方式，{}，请回复", "連絡先は「{}」です", "연락처는 {}입니다", "ติดต่อ {} ค่ะ"])
def test_texts_without_spaces(kind: str, value: str, text: str) -> None:
    whole(text.replace("{}", value), kind, value)


def test_an_address_in_another_script() -> None:
    whole("write to 用户@例子.中国 please", "EMAIL", "用户@例子.中国")


@pytest.mark.parametrize(
    "value",
    [
        "मार्कर@उदाहरण.भारत",
        "ผู้ใช้@ตัวอย่าง.ไทย",
        "வாடிக்கையாளர்@எடுத்துக்காட்டு.இந்தியா",
        "مُستخدم@مِثال.مصر",
        "सुनील@example.in",  # part of it has marks
        "नाम.उपनाम@example.com",
        "ดี.มาก@example.com",
        "zoe\u0308@mu\u0308ller.de",
        "иван2@example.com",  # two scripts
        "सुनील123@example.in",
        "bob@my비즈.com",
        '"marker zed"@example.com',
        "marker.zed@[192.168.1.1]",
        "marker.zed@[IPv6:2001:db8::1]",
    ],
)
@pytest.mark.parametrize("text", ["{}", "mail {} please", "<{}>", "mail: {}, thanks"])
def test_an_address_is_found_whole(text: str, value: str) -> None:
    assert redact(text.replace("{}", value), find(text.replace("{}", value))) == text.replace("{}", "<EMAIL>")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("我的邮箱是123456@qq.com谢谢", "我的邮箱是<EMAIL>谢谢"),
        ("ติดต่อbob@example.comค่ะ", "ติดต่อ<EMAIL>ค่ะ"),
        ("שלח ל-bob@example.com", "שלח ל-<EMAIL>"),
        ('{"a":"@b.com"} ["x","@b.com"] "a" "@b.com"', '{"a":"@b.com"} ["x","@b.com"] "a" "@b.com"'),
        ("x@[12, 34] and decorated@my_module.task", "x@[12, 34] and decorated@my_module.task"),
    ],
)
def test_words_around_an_address_stay(text: str, left: str) -> None:
    assert redact(text, find(text)) == left


@pytest.mark.parametrize("text", ["电话{}谢谢", "電話{}まで", "전화{}로", "โทร{}ค่ะ", "טלפון-{}"])
@pytest.mark.parametrize("value", ["13812345678", "+81 90 1234 5678", "０９０－１２３４－５６７８"])
def test_a_number_that_touches_words(text: str, value: str) -> None:
    whole(text.replace("{}", value), "PHONE", value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("PHONE", "+49\u00a030\u00a01234567"),
        ("PHONE", "+49–30–1234567"),
        ("PHONE", "+49  30  1234567"),
        ("PHONE", "+49\u300030\u30001234567"),
        ("PHONE", "030/1234567"),
        ("PHONE", "030 / 123 45 67"),
        ("PHONE", "030 – 1234567"),
        ("PHONE", "٠٥٠ ١٢٣ ٤٥٦٧"),
        ("PHONE", "۰۹۱۲۳۴۵۶۷۸۹"),
        ("PHONE", "०९८७६ ५४३२१०"),
        ("PHONE", "０３０１２３４５６７"),
        ("PHONE", "+972\u200b-52\u200b-1234567"),
        ("CARD", "4111\u00a01111\u00a01111\u00a01111"),
        ("CARD", "4111–1111–1111–1111"),
        ("CARD", "4111  1111  1111  1111"),
        ("CARD", "４１１１　１１１１　１１１１　１１１１"),
        ("CARD", "٤١١١١١١١١١١١١١١١"),
        ("IBAN", "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000"),
        ("IBAN", "ＤＥ８９３７０４００４４０５３２０１３０００"),
        ("IP", "١٩٢.١٦٨.١٠.٢٥"),
        ("EMAIL", "ｂｏｂ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
        ("SSN", "219–09–9999"),
    ],
)
def test_other_digits_letters_and_separators(kind: str, value: str) -> None:
    whole(f"it is {value} thanks", kind, value)


@pytest.mark.parametrize("before", ["\\n", "\\t", "\\\\n", "\\u000a", "\\\\\\\\n"])
def test_escapes_hide_nothing_and_touch_nothing(before: str) -> None:
    assert redact(f"phone:{before}415-555-2671", find(f"phone:{before}415-555-2671")) == f"phone:{before}<PHONE>"


def test_an_escaped_character_is_replaced_whole() -> None:
    text = "to bob\\u0040example.com\\nok"
    assert redact(text, find(text)) == "to <EMAIL>\\nok"


@pytest.mark.parametrize(
    "text",
    [
        "order no. 0301234567",
        "Bestellnummer 030/1234567",
        "part 555-234-5678 please",
        "订单号13812345678还没到",
        "注文番号03-1234-5678",
        "заказ 8 (912) 345-67-89",
        "version 10.0.1.7",
        "版本1.2.3.4有问题",
        "numpy==1.2.3.4",
        "code 0301234567",
        "AB-0301234567",
        "0301234567-A",
        "#0301234567",
        "it costs 12 345 678 EUR",
        "call me on 12.06.2024 10:30",
        "Nature (2019) 571 205-210",
        "at most 2147483647, or 4294967295",
        "the digits 0123456789",
        "ISBN 978-3-16-148410-0",
        "@anna_b and @bob@mastodon.social",
        "git clone git@github.com:a/b.git",
        "logo@2x.png",
        "id 550e8400-e29b-41d4-a71f-446655440000",
    ],
)
def test_numbers_of_parts_orders_versions_and_handles_are_left(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "my order is late, 030/1234567",
        "Phone:\n467 3395",
        "area code 030 1234567",
        "mein Handy: 12345678",
        "my number is 12 34 56 78",
        "мой номер 12345678",
        "我的号码是12345678",
        "电话：1234567",
    ],
)
def test_the_nearest_word_of_the_clause_decides(text: str) -> None:
    assert [span.kind for span in find(text)] == ["PHONE"]


def test_the_name_of_a_text_counts_as_a_word_before_it() -> None:
    assert [span.kind for span in find("12345678", "phone number")] == ["PHONE"]
    assert find("0301234567", "order id") == []
    assert find("12345678") == []


SECRETS = [
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "sk-proj-" + "aB3_" * 12,
    "sk_live_" + "aB3d" * 6,
    "xoxb-123456789012-123456789012-" + "aB3d" * 6,
    "AIza" + "aB3-d" * 7,
    "hf_" + "aB3d" * 9,
    "hf_" + "CJXDCGLmlZGEONYlgCtjfIZSOcMzCPVNPk",  # issuers' tokens may have no digit
    "api_org_" + "CJXDCGLmlZGEONYlgCtjfIZSOcMzCPVNPk",
    "dckr_pat_" + "aB-d" * 7,
    "nvapi-" + "aB_d" * 16,
    "pplx-" + "aBcd" * 12,
    "pa-" + "aB3d" * 10 + "xyz",
    "dp.pt." + "aBcd" * 10,
    "EAAA" + "aB_d" * 15,
    "sntrys_" + "aBcd" * 20,
    "ATATT3" + "aB-d" * 46,
    "AGE-SECRET-KEY-1" + "QPZRY" * 11 + "QPZ",
    "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",  # of Bitcoin's own page on the format
    "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn\nygWyF0==\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("value", SECRETS)
@pytest.mark.parametrize("text", ["use {} here", "密钥{}泄露", '{"key": "{}"}', "KEY={}"])
def test_secrets_are_found_whole(value: str, text: str) -> None:
    whole(text.replace("{}", value), "SECRET", value)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password: hunter2x!", "password: <SECRET>"),
        ('{"api_key": "9f8e7d6c5b4a"}', '{"api_key": "<SECRET>"}'),
        ("postgres://app:s3cretpw@db.example/x", "postgres://app:<SECRET>@db.example/x"),
        ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer <SECRET>"),
        ("-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEF", "<SECRET>"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----", "<SECRET>"),
        ("<password>hunter2X!</password>", "<password><SECRET></password>"),
        ("curl -u bob:S3cretPw1 https://x.org", "curl -u bob:<SECRET> https://x.org"),
        ("رمز عبور: Abc12345", "رمز عبور: <SECRET>"),
        ("mật khẩu: Abc12345", "mật khẩu: <SECRET>"),
        ("Set-Cookie: JSESSIONID=0A1B2C3D4E5F60718293A4B5; Path=/", "Set-Cookie: JSESSIONID=<SECRET>; Path=/"),
        ("cookie: theme=dark; a=b", "cookie: theme=dark; a=b"),
        ("<token>the token of 2024</token>", "<token>the token of 2024</token>"),
        ("lsv2_pt_0123456789abcdef0123456789abcdef_0123456789", "<SECRET>"),
        ("mein Passwort ist geheim und lang1", "mein Passwort ist geheim und lang1"),
        ("secret = sha256(data1234)", "secret = sha256(data1234)"),
        ("password = os.environ['PG_1']", "password = os.environ['PG_1']"),
        ("class sk-fade-in-and-out-of-sight", "class sk-fade-in-and-out-of-sight"),
        ("the token is base64-encoded", "the token is base64-encoded"),
        ("commit 3f786850e387550fdab836ed7e6dc881de23001b", "commit 3f786850e387550fdab836ed7e6dc881de23001b"),
        ("the key 3f786850e387550fdab836ed7e6dc881de23001b", "the key 3f786850e387550fdab836ed7e6dc881de23001b"),
        ("my aws key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY谢谢", "my aws key <SECRET>谢谢"),
        (
            "https://a.blob.core.windows.net/c?sv=1&sig=aB3d%2FaB3daB3daB3daB3daB3daB3daB3daB3daB3d%3D",
            "https://a.blob.core.windows.net/c?sv=1&sig=<SECRET>",
        ),
        ("password: hunter2", "password: <SECRET>"),
        ("machine x login a password Zx9kQ2mP7v", "machine x login a password <SECRET>"),
        ("login as a user with password policy", "login as a user with password policy"),
        ("Пароль — Zx9kQ2mP7v", "Пароль — <SECRET>"),
        ("the password - see section12 of it", "the password - see section12 of it"),
        ("kata sandi: Zx9kQ2mP7v", "kata sandi: <SECRET>"),
        ("db:\n  password: >-\n    Zx9kQ2mP7v", "db:\n  password: >-\n    <SECRET>"),
        ('secret = """Zx9kQ2mP7v"""', 'secret = """<SECRET>"""'),
        ("WIFI:S:net;T:WPA;P:Zx9kQ2mP7v;;", "WIFI:S:net;T:WPA;P:<SECRET>;;"),
        ("wifi: 5 GHz, P:12;", "wifi: 5 GHz, P:12;"),
        ("private key 0x" + "4c08" * 16, "private key <SECRET>"),
        ("transaction 0x" + "4c08" * 16, "transaction 0x" + "4c08" * 16),
        ("my password is hunter2.", "my password is <SECRET>."),
        ('curl -H "Authorization: Bearer CJXDCGLmlZGEONYlgCtj" x', 'curl -H "Authorization: Bearer <SECRET>" x'),
        ('{"api_key": "qwmznxbvlaksjdhfgpqowieurt"}', '{"api_key": "<SECRET>"}'),
        ('{"api_key": "authenticationProvider"}', '{"api_key": "authenticationProvider"}'),
        ("token = getUserAccountByIdAndName", "token = getUserAccountByIdAndName"),
        ("Bearer authenticationRequired", "Bearer authenticationRequired"),
    ],
)
def test_secrets_by_what_they_are_called(text: str, left: str) -> None:
    assert redact(text, find(text)) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("my PIN is 4821, thanks", "my PIN is <SECRET>, thanks"),
        ("PIN 4821", "PIN <SECRET>"),
        ("make my pin 1234 for my account", "make my pin <SECRET> for my account"),
        ("pin code: 482193.", "pin code: <SECRET>."),
        ("Die Geheimzahl lautet 4821", "Die Geheimzahl lautet <SECRET>"),
        ("暗証番号は４８２１です", "暗証番号は<SECRET>です"),
        ("CVC: 123", "CVC: <SECRET>"),
        ("my password is 12345678", "my password is <SECRET>"),
        ("密码：123456", "密码：<SECRET>"),
        ("رمز التحقق هو ٤٨٢٩١٠", "رمز التحقق هو <SECRET>"),
        ("आपका ओटीपी 482910 है", "आपका ओटीपी <SECRET> है"),
        ("验证码：482910", "验证码：<SECRET>"),
        ("認証コードは482910です", "認証コードは<SECRET>です"),
        ("인증번호 482910", "인증번호 <SECRET>"),
        ("код подтверждения: 482910", "код подтверждения: <SECRET>"),
        ('{"otp": "482193"}', '{"otp": "<SECRET>"}'),
        ("passphrase: correct horse battery staple", "passphrase: <SECRET>"),
        ('the pass phrase is "correct horse battery staple"', 'the pass phrase is "<SECRET>"'),
        ("seed phrase = abandon ability able about above absent", "seed phrase = <SECRET>"),
        ("seed phrase: a\u0301baco abdomen abeja abierto", "seed phrase: <SECRET>"),
        ("passphrase: 'हिमालय नदी बादल पर्वत'", "passphrase: '<SECRET>'"),
        ("GPIO pin 1234 and pins 13", "GPIO pin 1234 and pins 13"),
        ("a shopping cart: 4821", "a shopping cart: 4821"),
        ("the PIN is 4 digits long", "the PIN is 4 digits long"),
        ("password: 8 to 12 characters", "password: 8 to 12 characters"),
        ("password is 100% wrong", "password is 100% wrong"),
        ("Passphrase: Enter The Words Again", "Passphrase: Enter The Words Again"),
        ("the passphrase is not known to us", "the passphrase is not known to us"),
        ("order: 4821, opinion: 4821", "order: 4821, opinion: 4821"),
    ],
)
def test_pins_and_passphrases_are_found_by_what_they_are_called(text: str, left: str) -> None:
    assert redact(text, find(text)) == left


@pytest.mark.parametrize(
    ("value", "label", "kind"),
    [
        ("4821", "pin", "SECRET"),
        ("482", "cvc", "SECRET"),
        ("482193", "one time otp", "SECRET"),
        ("12345678", "password", "SECRET"),
        ("correct horse battery staple", "wallet passphrase", "SECRET"),
        ("hunter2X", "password", "SECRET"),
        ("Zq8~QxYyZz.abcDEF123_456ghiJKL789mno", "client secret", "SECRET"),
        ("a8f5f167f44f", "auth token", "SECRET"),
        ("CJXDCGLmlZGEONYlgCtjfIZSOcMzCPVNPk", "client secret", "SECRET"),
        ("s3cr(t)x", "what is your password", "SECRET"),
        ("78051120", "ssn", "SSN"),
        ("078051120", "social security number", "SSN"),
    ],
)
def test_a_value_that_is_called_a_secret_or_a_number_of_a_person_is_one_whole(value: str, label: str, kind: str) -> None:
    assert find(value, label) == [Span(kind, 0, len(value))]
    if kind == "SECRET":
        assert find(value, "order id") == []


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("4821", "pin count x"),
        ("12", "pin"),
        ("Enter your pass phrase", "passphrase"),
        ("1024", "max_tokens"),
        ("required", "password"),
        ("room 12 b", "password"),
        ("a1b2c3", "key"),
        ("undisclosedInformation", "client secret"),
    ],
)
def test_a_value_that_may_be_anything_else_stays(value: str, label: str) -> None:
    assert find(value, label) == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://x.org/?mail=jane%40example.com&x=1", "https://x.org/?mail=<EMAIL>&x=1"),
        ("https://x.org/?t=%2B491709988776&x=1", "https://x.org/?t=<PHONE>&x=1"),
        ("https://x.org/?t=%2B49%20170%209988776&x=1", "https://x.org/?t=<PHONE>&x=1"),
        ("https://x.org/?card=4111%201111%201111%201111", "https://x.org/?card=<CARD>"),
        ("https://x.org/?m=jane%2540example.com", "https://x.org/?m=<EMAIL>"),
        ("jane&#64;example.com, jane&#x40;example.com, jane&commat;example.com", "<EMAIL>, <EMAIL>, <EMAIL>"),
        ("<b>Q&amp;A</b>&nbsp;at 100%25 of 20%", "<b>Q&amp;A</b>&nbsp;at 100%25 of 20%"),
        ("jane (at) example (dot) com", "<EMAIL>"),
        ("j.doe[at]mail.example[dot]org please", "<EMAIL> please"),
        ("meet (at) noon", "meet (at) noon"),
        ("100%40 of it. Then", "100%40 of it. Then"),
        ("4111\n1111\n1111\n1111", "<CARD>"),
        ("4111_1111_1111_1111", "<CARD>"),
        ("2024\n2025\n2026\n2027", "2024\n2025\n2026\n2027"),
        ("item12 4111 1111 1111 1111", "item12 <CARD>"),
        ("Nokia3310 4111-1111-1111-1111", "Nokia3310 <CARD>"),
        ("item12 34 4111111111111111", "item12 34 <CARD>"),
        ("SKU12-4111-1111-1111-1111 x4111111111111111", "SKU12-4111-1111-1111-1111 x4111111111111111"),
        ("ab4111 1111 1111 1111", "ab4111 1111 1111 1111"),
        ("**4111** **1111** **1111** **1111**", "**<CARD>**"),
        ("`4111`-`1111`-`1111`-`1111`", "`<CARD>`"),
        ("**4111** *1111* **1111** **1111**", "**4111** *1111* **1111** **1111**"),
        ("in room 2 219-09-9999", "in room 2 <SSN>"),
        ("12 219 09 9999 and 1-219-09-9999", "12 219 09 9999 and 1-219-09-9999"),
        ("marker.zed\\x40example.com marker\\u{40}example.com", "<EMAIL> <EMAIL>"),
        ("https://wa.me/491709988776, acme/491709988776", "https://wa.me/<PHONE>, acme/491709988776"),
    ],
)
def test_what_is_written_apart_or_in_words_is_found(text: str, left: str) -> None:
    assert redact(text, find(text)) == left


HOSTILE_SECRETS = [
    "WIFI:",
    "WIFI:;P:1",
    "login a password ",
    "user 1 ",
    "password: >-\n    ",
    "private key 0x1",
    "人证码 1",
    "**4111** ",
    "a1 4",
    "a1 41111",
    "\\x40",
    "\\u{31}",
    "wa.me/1",
    "passphrase: a",
    "passphrase: ab cd ef ",
    "pin is 1",
    "PIN 1234",
    "passphrase ",
    "a (at) ",
    "a%40a.",
    "%2B1",
    "&#64;",
    "&amp;",
    "%2525",
    "a(at)a(dot)",
    "1234\n",
    "cookie: a=",
    "curl -u a:",
    "<password>1a",
    "ssn ",
    "sk-",
    "eyJa.",
    "eyJ\na",
    "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ ",
    "-----BEGIN PRIVATE KEY-----\nA1",
    "password=a1 ",
    "://a:1",
    "bearer a1",
    "bearer aB",
    "key aB1",
    "&sig=a",
    "hf_aB",
    "aBcDe",
    "dp.pt.a.",
    "key: ",
    "\\u0031",
    "\\\\",
    "0/1-",
    "(0)",
]


@pytest.mark.parametrize("piece", HOSTILE_SECRETS)
def test_time_is_linear_in_hostile_secrets_and_escapes(piece: str) -> None:
    test_time_is_linear_in_hostile_texts(piece)


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(FOUND), st.text(max_size=10))
def test_any_text_around_an_address_keeps_places_in_order(before: str, value: tuple[str, str], after: str) -> None:
    text = f"{before} {value[1]} {after}"
    edges = [edge for span in find(text) for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(text) for edge in edges)


def test_of_marks_of_private_keys_in_a_row_each_is_a_secret_of_its_own() -> None:
    mark = "-----BEGIN RSA PRIVATE KEY-----"
    assert [(span.start, span.end) for span in find(mark * 3)] == [(0, 31), (31, 62), (62, 93)]
    text = f"{mark}\nMIIEow\n{mark}\nMIIB\n-----END RSA PRIVATE KEY----- ok"
    assert redact(text, find(text)) == "<SECRET><SECRET> ok"


HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
TOKEN = f"{HEADER}.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


@pytest.mark.parametrize("width", [24, 40, 64, 76])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n> ", " \\\n    "])
def test_a_web_token_over_several_lines_is_found_whole(width: int, end: str) -> None:
    broken = end.join(TOKEN[start : start + width] for start in range(0, len(TOKEN), width))
    for after in ("\nthanks", " and so on", ""):
        text = f"my token:\n{broken}{after}"
        assert redact(text, find(text)) == f"my token:\n<SECRET>{after}"
    document = json.dumps({"said": f"{broken}\nthanks"})
    assert TOKEN[-9:] not in redact(document, find(document))


def test_lines_without_the_header_of_a_token_are_left() -> None:
    for text in ("eyJ is how it\nbegins", "eyJhbGci\nOiJIUzI1", f"{HEADER[:-4]}\nword.word.word"):
        assert find(text) == []


def test_a_key_of_a_wallet_needs_its_checksum() -> None:
    key = "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ"
    assert find(f"is {key} right")
    assert find(f"is {key[:20]}{'a' if key[20] != 'a' else 'b'}{key[21:]} right") == []
    assert find(f"is x{key} right") == []
