"""Phone numbers as people of ten countries write them, typed by hand from the countries' own conventions.

No library made them: forms are those of DIN 5008 (Germany), Ofcom and GOV.UK's style (United Kingdom), ARCEP (France), AGCOM (Italy), CNMC
(Spain), NANPA and the AP stylebook (United States), ACMA (Australia), TRAI (India), MIC (Japan) and ANATEL (Brazil). Where a regulator
keeps numbers for fiction, some of these are used; the others are made up. The first run found 187 of the 200 in sentences; then the words
`localizar`, `contattare` and `falar com` were added to the scrubber. The signatures were written after that, and nothing was added for
them.
"""

from collections.abc import Iterator

# country -> sentences with a place for the number, and numbers
WRITTEN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Germany": (
        ("Sie erreichen mich unter {} bis 18 Uhr.", "Meine Nummer hat sich geändert: {}, danke."),
        (
            "030 23125 456", "030/23125456", "(030) 23125 456", "+49 30 23125-456", "0049 30 23125456", "0171 39200 12", "0171-3920012",
            "+49 (0)171 3920012", "089 99998-123", "0800 6648 123",
        ),
    ),
    "United Kingdom": (
        ("You can reach me on {} after five.", "The number on my account is wrong, it is {} now."),
        (
            "01632 960123", "(01632) 960 123", "020 7946 0018", "+44 20 7946 0018", "+44 (0)20 7946 0018", "07700 900123", "07700 900 123",
            "+44 7700 900123", "0808 157 0192", "0113 496 0007",
        ),
    ),
    "France": (
        ("Vous pouvez me joindre au {} demain.", "Mon nouveau numéro est le {}, merci."),
        (
            "01 99 00 12 34", "01.99.00.12.34", "06 39 98 12 34", "06.39.98.12.34", "+33 6 39 98 12 34", "+33 (0)6 39 98 12 34",
            "0639981234",
            "0033 1 99 00 12 34", "05-36-49-12-34", "0 800 10 20 30",
        ),
    ),
    "Italy": (
        ("Mi può contattare al {} dopo le 15.", "Il mio cellulare è {}, grazie."),
        (
            "06 4559 1234", "02 3056 1234", "06/45591234", "347 123 4567", "347 1234567", "+39 347 123 4567", "+39 06 4559 1234",
            "0039 347 1234567", "055-2345678", "800 123 456",
        ),
    ),
    "Spain": (
        ("Me puede localizar en el {} por la tarde.", "Mi teléfono es el {}, gracias."),
        (
            "912 345 678", "91 234 56 78", "612 34 56 78", "612 345 678", "+34 612 345 678", "+34 91 234 56 78", "0034 612345678",
            "(91) 234 56 78", "900 123 456", "612-345-678",
        ),
    ),
    "United States": (
        ("You can text me at {} any time.", "I moved, my number is {} now."),
        (
            "(212) 555-0123", "212-555-0123", "212.555.0123", "212 555 0123", "+1 212 555 0123", "1-800-555-0199", "1 (415) 555-0142",
            "+1 (415) 555-0142", "415/555-0142", "4155550142",
        ),
    ),
    "Australia": (
        ("I am on {} during the day.", "My mobile number is {} these days."),
        (
            "(02) 5550 1234", "02 5550 1234", "0491 570 156", "0491-570-156", "+61 491 570 156", "+61 2 5550 1234", "+61 (0)2 5550 1234",
            "1800 975 707", "1300 975 707", "0491570156",
        ),
    ),
    "India": (
        ("You can reach me on {} in the evening.", "My mobile number is {} and my name is on the bill."),
        (
            "98765 43210", "+91 98765 43210", "+91-98765-43210", "09876543210", "9876543210", "022 2345 6789", "(022) 2345 6789",
            "080-2345 6789", "+91 11 2345 6789", "1800 123 4567",
        ),
    ),
    "Japan": (
        ("連絡先は {} です。", "携帯電話は{}に変わりました。"),
        (
            "03-1234-5678", "(03) 1234-5678", "03（1234）5678", "090-1234-5678", "０９０－１２３４－５６７８",
            "+81 90-1234-5678", "+81 3 1234 5678",
            "0120-123-456", "06-6123-4567", "080 1234 5678",
        ),
    ),
    "Brazil": (
        ("Pode falar comigo no {} à tarde.", "Meu celular agora é {}, obrigado."),
        (
            "(11) 91234-5678", "11 91234-5678", "(21) 2345-6789", "+55 11 91234-5678", "+55 (11) 91234-5678", "011 91234 5678",
            "(11) 9 1234-5678", "0800 123 4567", "21 2345 6789", "11912345678",
        ),
    ),
}  # fmt: skip


# what stands before a number in a signature: a name, and no word that tells what the number is
SIGNED = {
    "Germany": "Viele Grüße, Ana Berg, {}",
    "United Kingdom": "Thanks a lot, Ana Hill, {}",
    "France": "Bien à vous, Ana Morel, {}",
    "Italy": "Grazie mille, Ana Rossi, {}",
    "Spain": "Un saludo, Ana Vega, {}",
    "United States": "Thanks, Ana Hill, {}",
    "Australia": "Cheers, Ana Hill, {}",
    "India": "Regards, Ana Rao, {}",
    "Japan": "よろしくお願いします。田中 {}",
    "Brazil": "Obrigada, Ana Silva, {}",
}


def written_phones(signed: bool = False) -> Iterator[tuple[str, str, int, int]]:
    """Country, text, and where the number stands in it: each number in each sentence of its country, or in a signature."""
    for country, (sentences, numbers) in WRITTEN.items():
        for sentence in (SIGNED[country],) if signed else sentences:
            for number in numbers:
                start = sentence.index("{}")
                yield country, sentence.format(number), start, start + len(number)
