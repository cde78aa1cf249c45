"""E-mail addresses in 30 scripts, as RFC 6531 allows them, most of them with letters that carry combining marks."""

import random
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

# script -> words that make up an address, and top-level domains that are registered in it
ADDRESSES: dict[str, tuple[str, str]] = {
    "Arabic": ("مستخدم بريد أحمد شركة", "مصر السعودية"),
    "Arabic with vowels": ("مُستخدِم بَريد أَحمَد شَرِكة", "مصر السعودية"),
    "Armenian": ("օգտատեր փոստ անուն օրինակ", "հայ"),
    "Bengali": ("ব্যবহারকারী সুমিত্রা চিঠি উদাহরণ", "ভারত বাংলা"),
    "Chinese": ("用户 邮件 王小明 例子", "中国 公司"),
    "Cyrillic": ("пользователь почта иван пример", "рф бел"),
    "Cyrillic, decomposed": ("сергей юрий дмитрий андрей", "рф com"),
    "Devanagari": ("मार्कर सुनील उपनाम उदाहरण", "भारत संगठन"),
    "Ethiopic": ("ተጠቃሚ ስም አበበ ምሳሌ", "com"),
    "Georgian": ("მომხმარებელი ფოსტა ნინო მაგალითი", "გე"),
    "Greek": ("χρήστης μαρία όνομα παράδειγμα", "ελ ευ"),
    "Gujarati": ("વપરાશકર્તા ટપાલ મીરા ઉદાહરણ", "ભારત"),
    "Gurmukhi": ("ਵਰਤੋਂਕਾਰ ਗੁਰਪ੍ਰੀਤ ਡਾਕ ਉਦਾਹਰਨ", "ਭਾਰਤ"),
    "Hebrew": ("משתמש דואר דנה דוגמה", "ישראל קום"),
    "Hebrew with vowels": ("דָּנִי שָׁלוֹם מִרְיָם דֹּאַר", "ישראל com"),
    "Japanese": ("ユーザー さくら 例え でんき", "みんな コム"),
    "Kannada": ("ಬಳಕೆದಾರ ಅಂಚೆ ಸುಧಾ ಉದಾಹರಣೆ", "ಭಾರತ"),
    "Khmer": ("អ្នកប្រើ សុខា ឈ្មោះ ឧទាហរណ៍", "com"),
    "Korean": ("사용자 편지 김민수 예시", "한국 닷컴"),
    "Korean, decomposed": ("사용자 편지 김민수 예시", "한국 닷컴"),
    "Lao": ("ຜູ້ໃຊ້ ຊື່ ບຸນມີ ຕົວຢ່າງ", "ລາວ"),
    "Latin": ("jürgen zoë françois example", "de com"),
    "Latin, decomposed": ("jürgen zoë françois nguyễn", "de com"),
    "Malayalam": ("ഉപയോക്താവ് മീര തപാൽ ഉദാഹരണം", "ഭാരതം"),
    "Myanmar": ("သုံးသူ အောင် စာ ဥပမာ", "com"),
    "Odia": ("ଉପଯୋଗକର୍ତ୍ତା ଡାକ ସୁଧା ଉଦାହରଣ", "ଭାରତ"),
    "Persian": ("کاربر نامه مریم مثال", "ایران"),
    "Sinhala": ("පරිශීලක තැපැල් නිමල් උදාහරණය", "ලංකා"),
    "Tamil": ("பயனர் அஞ்சல் மீனா எடுத்துக்காட்டு", "இந்தியா சிங்கப்பூர்"),
    "Telugu": ("వాడుకరి లేఖ సుధా ఉదాహరణ", "భారత్"),
    "Thai": ("ผู้ใช้ จดหมาย สมชาย ตัวอย่าง", "ไทย"),
}
_PLACES = ("mail {} please", "{}", "mail: {}, thanks", "<{}>", "({})", "Is it {}?")


class Addressed(NamedTuple):
    """A text with an address, in which script it is, and where it stands."""

    text: str
    script: str
    start: int
    end: int


def addresses(each: int, seed: int) -> Iterator[Addressed]:
    """So many texts of each script; a third of the addresses has a domain in ASCII, as most of those in use."""
    for script, (words, endings) in ADDRESSES.items():
        rng = random.Random(f"{script}:{seed}")
        for _ in range(each):
            local = rng.choice(["{}", "{}.{}", "{}_{}", "{}-{}"]).format(*rng.sample(words.split(), 2))
            domain = rng.choice(["example.com", *[f"{rng.choice(words.split())}.{rng.choice(endings.split())}"] * 2])
            address = f"{local}@{domain}"
            address = unicodedata.normalize("NFD" if "decomposed" in script else "NFC", address)
            before, after = rng.choice(_PLACES).split("{}")
            yield Addressed(before + address + after, script, len(before), len(before) + len(address))
