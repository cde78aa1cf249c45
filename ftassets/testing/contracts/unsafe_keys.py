"""Names that no store may take: what `domain.keys.checked` refuses."""

UNSAFE = (
    "",
    "/etc/passwd",
    "../keys/signing",
    "reports/../../keys",
    "reports//x",
    "reports/",
    ".hidden",
    "a/.b",
    "a\\..\\b",
    "a\0b",
    "x/" * 200 + "x",
    "x" * 201,
    "reports/support/latest.json.lock",
    "folder.LOCK/x",
)
