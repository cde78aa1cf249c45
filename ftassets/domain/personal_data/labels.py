"""Words before a number that tell what it is: a phone number, or another one. In the languages of `bench/pii.py`."""

import re

BEFORE = 48  # characters in which a word counts

_PHONE = (
    r"(?:area|dial+ing|country) code|"
    r"(?:i|tele|head|smart|mega|micro)?(?:ph|f)one?s?(?:nummer|number)?\b|tel[eé]fo|t[eé]l[eé]ph|t[eéěí]l\b|telp\b|telp?on|telepo|tlf|telem[oó]v"
    r"|tfno|\bgsm\b|mobi|m[oó]vil|\bcell|celular|celul|kom[oó]rk|handy|\bfax|faks|rufnummer|durchwahl|hotline|whatsapp|\bwa\b|\bph\b[.:]"
    r"|signal\b|viber|\bsms|\bcall(?:s|ed|ing)?\b|\bdial|\bring\b|\btext(?: me| us| him| her)?\b|contact|reach|\bdesk"
    r"|landline|\banswering\b|\bmessages?\b|anruf|erreich|kontakt|\bruf|appel|joindre|joignable|portable|ll[aá]m|\bligu?[ae]|\bligar|chiam"
    r"|localiza|contatt|falar com"
    r"|\bbel(?:len|t)?\b|telefoon|mobiel|soit[at]|puh|kännyk|numero(?:ni|nsa)\b|zadzwo|dzwo[nń]|zavol|volej|hív|\bsun[aăţț]"
    r"|tālru|zvan|skambin|pokli[čc]|nazov|zov|zvo|helista|\bara(?:y|$|\b)|\bcep\b|ulaş|hubungi|ponsel|\bhp\b|gọi|điện thoại"
    r"|di động|\bđt\b|\bsđt\b|liên hệ|tawag|simu|zəng|qo[’'ʻ]ng|телеф|\bтел\b|\bтел[.:]|моб|звон|обад|дзвон|сотов|вызов|јави"
    r"|мобил|τηλ|κινητ|κάλεσ|καλέσ|κλήσ|επικοινων|հեռախ|բջջ|զանգ|ტელეფ|მობილ|დარეკ|هاتف|تلفون|جوال|موبا[يی]ل|اتصل|اتصال"
    r"|للتواصل|محمول|تلفن|همراه|تماس|טלפון|טל['׳.:]|נייד|תקשר|חייג|צלצל|להתקשר|फ़ोन|फोन|मोबाइल|मोबाईल|कॉल|संपर्क|सम्पर्क"
    r"|दूरभाष|ফোন|মোবাইল|কল|যোগাযোগ|தொலைபேசி|கைபேசி|மொபைல்|அழை|ఫోన్|โทร|ติดต่อ|มือถือ|เบอร์|ስልክ|電話|电话|携帯|ケ[ー-]タイ|連絡"
    r"|ファックス|手机|手機|联系|聯繫|聯絡|拨打|撥打|致电|致電|座机|전화|휴대폰|핸드폰|연락"
)
_OTHER = (
    r"\bcodes?\b|\bimei\b|\bvin\b|chassis|licen[cs]e|\bvat\b|\btax\b|\bawb\b|waybill|container|\brev(?:ision)?\b|drawing|\bspec\b|\bdin\b"
    r"|\bieee\b|docket|coupon|voucher|\bkd-?nr|c[oó]digo|код|コ[ー-]ド|代码|代碼|코드|كود|"
    r"\border|\bparts?\b|\bsku\b|\bitems?\b|article|\barti(?:k|cu)|invoice|ticket|\bcases?\b|\bref(?:s|erence|erenz)?\b"
    r"|r[eé]f[eé]renc|serial|\bs/?n\b|\bp/?n\b|model|\bver(?:sion)?\b|versi|\bbuild|release|firmware|\bisbn|\bissn"
    r"|\bean\b|\bupc\b|\bgtin|\basin\b|tracking|parcel|shipment|batch|\blot\b|catalog|product|customer|account|policy"
    r"|contract|claim|receipt|booking|reservation|flight|\bpo\b|\bids?\b|uuid|hash|commit|\brfc\b|\bdoi\b|patent|timestamp"
    r"|epoch|\bport\b|barcode|quote|asset|device|sensor|bug\b|issue|\brma\b|amount|total|price|bestell|auftrag|rechnung|teile"
    r"|artikel|serien|vorgang|kunden|sendung|kennung|commande|pièce|facture|n° de série|colis|dossier|pedido|pieza|peça"
    r"|fa[ct]tura|s[eé]rie|encomenda|ordine|codice|ricambio|spedizione|onderdeel|factuur|\bordre|bestilling|beställning"
    r"|faktura|varenummer|\bdelnr|tilaus|lasku|tuote|\bosa|zam[oó]wien|częś|přesyl|objedn|\bdíl|rendel|számla|cikksz|alkatr"
    r"|comand|factur|piesă|naročil|narudž|račun|užsak|pasūt|tellimus|sipariş|fatura|parça|sifariş|wersj|verze|verzió|sürüm"
    r"|phiên bản|верси|версія|έκδοση|إصدار|نسخه|גרסה|版本|バ[ー-]ジョン|버전|pesanan|faktur|suku cadang|đơn hàng|hóa đơn"
    r"|mã số|linh kiện|заказ|артикул|сч[её]т|накладн|серийн|детал|замовлен|рахун|поръчк|част|нарачк|παραγγελ|τιμολόγ"
    r"|ανταλλακτ|պատվեր|შეკვეთ|طلب|طلبية|فاتورة|قطعة|سفارش|فاکتور|قطعه|הזמנה|חשבונית|חלק|ऑर्डर|आदेश|चालान|पार्ट|অর্ডার|চালান"
    r"|பகுதி|ஆர்டர்|ஆர்டர்|คำสั่งซื้อ|ออเดอร์|ใบแจ้งหนี้|ชิ้นส่วน|ትዕዛዝ|注文|伝票|型番|品番|請求書|部品|订单|訂單|单号|單號"
    r"|型号|型號|发票|發票|编号|編號|零件|주문|송장|품번|부품"
)
# for text in lower case: a pattern that ignores case takes ten times as long
_OWN_NUMBER = (  # somebody's number without another word is that of a phone
    r"\b(?:my|his|her|our|their|your) (?:new )?number|\b[mds]eine? (?:neue )?nummer|\bihre nummer|\b(?:mon|ton|son|notre|votre) num[eé]ro"
    r"|\b(?:mi|tu|su) n[uú]mero|\b(?:mio|tuo|suo) numero|\b(?:meu|seu) n[uú]mero|\b(?:mijn|uw|je) nummer|\bm[oó]j numer|\bmoje číslo"
    r"|számom|num[aă]rul meu|(?:мой|мій|твой|ваш) номер|номерът ми|αριθμός μου|\bmi(?:tt|t) (?:nya )?nummer|nummeret mitt|\bnumeroni\b"
    r"|\bnumaram\b|số của tôi|nomor saya|我的(?:号码|號碼)|[私僕]の番号|[제내] 번호|رقمي|شماره من|המספר שלי|मेरा नंबर|আমার নম্বর"
)
_LABEL = re.compile(f"(?P<phone>{_PHONE}|{_OWN_NUMBER})|(?P<other>{_OTHER})")
_CLAUSE_ENDS = re.compile(r"(?:[,;!?]|(?<!no)(?<!nr)(?<!num)(?<!nro)(?<!№)\.)(?: |$)|[，。、；！？؛،।]")
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[_-]")


def label_before(text: str, place: int) -> str | None:
    """What the nearest known word before a place of a folded text says: phone, other or nothing.

    Words count that stand in the same line, or in the line before if the number begins one; a word for another number counts up to the
    end of its clause.
    """
    before = text[max(0, place - BEFORE) : place].rstrip().lower()
    before = before[before.rfind("\n") + 1 :]
    for match in reversed(list(_LABEL.finditer(before))):
        if match["phone"]:
            return "phone"
        if not _CLAUSE_ENDS.search(before, match.end()):
            return "other"
    return None


def phone_after(text: str, place: int) -> bool:
    """Whether a word behind a place of a folded text, in its line, says that a phone number stood there."""
    after = text[place : place + BEFORE // 2].partition("\n")[0].lower()
    first = _LABEL.search(after)
    return first is not None and first["phone"] is not None


def is_called_phone(text: str, start: int, end: int) -> bool:
    """Whether the words around a place of a folded text say that a phone number stands there; those before it count more."""
    label = label_before(text, start)
    return label == "phone" or (label is None and phone_after(text, end))


def as_label(key: str) -> str:
    """A key of JSON, such as phoneNumber or order_id, as words."""
    return _WORDS.sub(" ", key)
