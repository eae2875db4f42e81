"""Syntaxes of placeholders and markup that a model must not change: one unambiguous pattern for each.

docs/placeholders.md of this workload lists the tools that use them, with an example for each. Every pattern stops at
the character that begins it, or is bounded, so that no untrusted text takes more than linear time.
"""

from __future__ import annotations

#: Brackets that models write around a token. Such brackets in a text are hidden too, so that none is taken for a token.
OPEN, CLOSE = "⟦〚【［\\[", "⟧〛】］\\]"  # noqa: RUF001
#: The number of a token.
NUMBER = r"\s{0,3}(\d{1,7})\s{0,3}"

# Where a URL ends: it may have accented letters, but Chinese and Japanese text follows without a space.
_IN_URL = r"""[^\s<>"`\[\]\u3000-\u9fff\uac00-\ud7af\uff00-\uffef]"""
_URL_END = r"""[^\s<>"`\[\]\u3000-\u9fff\uac00-\ud7af\uff00-\uffef'.,;:!?)*_~|]"""
_ADDRESS = r"(?:<[^<>\n]*>|[^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)?)"
_TITLE = r"""(?:\s{1,9}(?:"[^"]*"|'[^']*'))?"""
#: The part of a link after its words.
DESTINATION = rf"\(\s{{0,9}}{_ADDRESS}{_TITLE}\s{{0,9}}\)"

# printf of C, Python, PHP, Java, Go and Objective-C: argument, flags, width, precision.
_SPECIFIER = (
    r"(?:\([^()\n]{1,64}\)|\d{1,3}\$|\[\d{1,3}\])?[-+#0,]{0,4}(?:'[^\w\s])?(?:\d{1,4}|\*)?(?:\.(?:\d{1,4}|\*))?"
)
_LENGTH = r"(?:hh?|ll?|[Lqjzt]|I(?:32|64))?"
_DATE = r"[tT][HIklMSLNpzZsQBbhAaCYyjmdeRTrDFc](?![A-Za-z])"

# A formula has an operator, a command or only one or two letters; two lower-case words make it prose.
_NO_PROSE = r"(?![^$\\]*?\s[a-z]{3,}\s+[a-z]{2,})"
_LINE = r"(?:[^$\n]|\n(?![^\S\n]*(?:\n|$)))"
_INLINE = r"(?=[A-Za-z][A-Za-z'′]?\$|[^$]*[\\^_=<>+])"  # noqa: RUF001
_DISPLAY = r"(?=\s{0,9}[^\s$]{1,9}\s{0,9}\$\$|[^$]*[\\^_=<>+])"
_ESCAPED = r"(?=[^\\]{1,3}\\[)\]]|[^\\]*(?:[\^_=<>+]|\\[A-Za-z]))(?![^\\]*?\s[a-z]{3,}\s+[a-z]{2,})"

_ARGUMENTS = r"\([^(){}\n]{0,200}\)"

#: For every text, by kind; the first pattern that matches at a position wins.
EVERYWHERE = {
    "token": f"[{OPEN}]{NUMBER}[{CLOSE}]",
    "maths": r"\$`[^`\n]+`\$"
    rf"|(?<![\\$])\$\$(?!\$){_NO_PROSE}{_DISPLAY}(?:{_LINE}|\$(?!\$))++\$\$"
    rf"|(?<![\\\w$])\$(?=[^\s${{]){_NO_PROSE}{_INLINE}{_LINE}*(?<=[^\s\\])\$(?![\w${{])"
    rf"|\\\({_ESCAPED}(?:[^\\]|\\(?![()]))*\\\)|\\\[{_ESCAPED}(?:[^\\]|\\(?![\[\]]))*\\\]",
    "environment": r"\\begin\{[A-Za-z]{1,32}\*?\}",
    "code": r"(?<![`\w])(?:`(?![`\s])(?:[^`\n]|\n(?!\n))*(?<!\s)`|``(?!`)(?:[^`]|`(?!`))*``)(?![`\w])",
    "image": rf"!\[[^\[\]]*\](?:{DESTINATION}|\[[^\[\]]*\])",
    # HTML, MDX, Jinja and Twig.
    "comment": r"<!--(?:[^-<]|-(?!->)|<(?!!--))*-->|\{/\*(?:[^*{]|\*(?!/)|\{(?!/\*))*\*/\}|\{#(?:[^#{}]|#(?!\}))*#\}",
    "tag": r"<xliff:g\b[^<>]{0,300}>[^<>]{0,300}</xliff:g>"
    r"|</?[A-Za-z][\w:.-]*+"
    r"""(?:\s++[\w:@.-]++(?:\s*+=\s*+(?:"[^"<]*"|'[^'<]*'|[^\s"'<>=`]++))?)*+\s*+/?>|</?\d{1,3}/?>|<%[^<>%]*%>"""
    # A time and a voice of WebVTT.
    r"|<(?:\d{1,4}:)?\d\d:\d\d\.\d{3}>|<v(?:\.[\w.-]{1,64})?\s[^<>\n]{1,200}>",
    "autolink": r"<[A-Za-z][A-Za-z0-9+.-]{1,20}:[^\s<>]+>",
    "url": rf"(?<![A-Za-z0-9_+.-])(?:[A-Za-z][A-Za-z0-9+.-]{{1,20}}://|www\.|mailto:|tel:){_IN_URL}*{_URL_END}",
    "email": r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+",
    "entity": r"&(?:[A-Za-z][A-Za-z0-9]{1,31}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});",
    # A number's percent sign is none of printf's: "100%sure", "5 %de", "50% discount".
    "printf": r"%%"
    # Windows' %PATH% and Symfony's %name%; Ruby's %<name>d; Apple's %#@name@.
    r"|%[A-Z_][A-Z0-9_]{1,63}%|(?<![\w%])(?<!\d )%[A-Za-z_][\w.-]{1,63}%(?![\w%])"
    r"|%[-+0# ]{0,4}\d{0,4}<\w{1,64}>(?:[-+0#]{0,4}\d{0,4}(?:\.\d{1,4})?[A-Za-z](?![A-Za-z]))?"
    r"|%(?:\d{1,3}\$)?#@\w{1,64}@|%L\d{1,2}(?!\d)"
    rf"|(?<!\d)%{_SPECIFIER}(?:{_LENGTH}[diouxXeEfFgGcrs@](?![A-Za-z])|[A-Za-z](?![A-Za-z])|{_DATE}"
    rf"|(?<!\d %){_LENGTH}[dsfu])"
    rf"|%(?:\d{{1,3}}\$)?{_LENGTH}[dsfux@](?![A-Za-z])|(?<!\d)%(?:\d{{1,2}}(?!\d)|L?n(?![A-Za-z]))",
    # An override of ASS; then a message of Fluent that selects, calls or quotes; then .NET's and Python's formats.
    "braces": r"\{\\[^{}\n]{0,300}\}"
    rf"|\{{\s{{0,9}}-?[A-Za-z][\w.-]{{0,64}}{_ARGUMENTS}\s{{0,9}}\}}"
    r"""|\{\s{0,9}(?:"(?:[^"\\\n]|\\.){0,100}"|'[^'\n]{0,100}')\s{0,9}\}"""
    r"|\{[\w.\[\]$]{1,64}(?:,\s?-?\d{1,4})?(?:![rsa])?:(?=\S)[^{}\n]{1,100}\}"
    # With a sign before its brace, a placeholder may contain white space; Angular adds its name after the brace.
    r"|[$#%]\{[^{}\n]{0,300}\}(?::[A-Z_][A-Z0-9_]{0,63}:)?"
    r"|[$#%@]?(?:\{\{{1,2}[^{}]*\}{2,3}|\{%[^{}%]*%\}|\{\s?[^\s{}]*\s?\})",
    "icu": r"\{\s{0,9}[\w-]{1,64}\s{0,9},\s{0,9}"
    r"(?:plural|select|selectordinal|number|date|time|choice|list|spellout|ordinal|duration)\b"
    rf"|\{{\s{{0,9}}(?:\$?[\w.-]{{1,64}}|[A-Z][A-Z0-9_-]{{0,64}}{_ARGUMENTS})\s{{0,9}}->",
    # i18next nests with $t(…), vue-i18n links with @:key. "$5" and "5$" are prices.
    "variable": r"\$t\((?:[^()\n]|\([^()\n]{0,100}\)){0,300}+\)"
    r"|(?<![\w$])\$[A-Za-z_]\w{0,63}\$(?!\w)|(?<![\w$])\$[A-Za-z_]\w*"
    r"|(?<![\w@])@(?:\.[a-z]{1,32})?:(?:\{[^{}\n]{1,100}\}|\([^()\n]{1,100}\)|[\w-]{1,64}(?:\.[\w-]{1,64})*)"
    r"|(?<![\w@])@[A-Za-z_]\w*",
    # ":warning:", then Laravel's ":name"; "10:30", "Note: …" and "std::vector" have neither.
    "colon": r"(?<![\w:]):(?:[+-]1|[A-Za-z][\w+-]{1,50}):(?![\w:])"
    r"""|(?:(?<=[\s("'\[>{|/«“‘¿¡-])|^):[A-Za-z_]\w*(?![\w:])""",  # noqa: RUF001
    # Where a plural of Laravel or Symfony begins.
    "interval": r"[\[\]](?:-?\d{1,9}|-Inf),(?:-?\d{1,9}|\*|\+?Inf)[\[\]]",
    "link": r"\[",
    "link_end": r"\](?=[(\[])",
}

# Emphasis or an escape in Markdown, so only for other texts: i18next's __name__, and Swift's \(name).
PLAIN = {
    "underscores": r"(?<!\w)__[A-Za-z][\w.]{0,63}?__(?!\w)",
    "swift": r"\\\([A-Za-z_][\w.]{0,63}\)",
} | EVERYWHERE

MARKDOWN = {
    "footnote": r"\[\^[^\[\]\s]{1,64}\]",
    # Pages of a wiki and of Obsidian: the words after the bar are for the reader.
    "wiki": r"!?\[\[[^\[\]|\n]{1,200}(?:\]\]|\\?\|(?=[^\[\]\n]{1,300}\]\]))|\]\](?!\()",
    # Its words are the name of its definition.
    "reference": r"\[[^\[\]]*\]\[\]",
    "break": r"(?: {2,9}|\\)(?=\r?\n)",
    # Of kramdown, Python-Markdown, Pandoc and Docusaurus.
    "attributes": r"\{:[^{}\n]{1,300}\}|\{[ \t]{0,3}(?:[#.][\w-]|[\w:-]{1,64}=)[^{}\n#]{0,300}\}",
    # Obsidian's comments, tags and names of blocks; the keys of PyMdown.
    "obsidian": r"(?<![\w%])%%(?=[^%])(?:[^%]|%(?!%))*+%%(?![\w%])|(?<!\S)#[^\W\d][\w/-]*"
    r"|(?<=\s)\^[\w-]{1,64}(?=[^\S\n]*+(?:\n|$))",
    "keys": r"(?<![\w+])\+\+[a-z0-9][a-z0-9+\"-]{0,60}\+\+(?![\w+])",
    # Marks of changes (CriticMarkup, GitLab): the words between them are prose.
    "critic": "|".join(
        rf"\{{{begin}(?=[^{{}}\n]{{1,300}}{end}\}})"
        for begin, end in (
            (r"\+\+", r"\+\+"),
            ("--", "--"),
            ("==", "=="),
            ("~~", "~~"),
            (">>", "<<"),
            (r"\+", r"\+"),
            ("-", "-"),
        )
    )
    + r"|(?:\+\+?|--?|==|<<|~~)\}",
} | EVERYWHERE

#: Kinds that begin with a letter or a digit; the others begin with FIRST_CHARACTERS, which saves most of the work.
WORDS = ("url", "email")
FIRST_CHARACTERS = rf"[{OPEN}\]\\$`!<{{&%@:_^#+~= -]"

#: Why a kind stays untranslated, as reported to clients; `placeholder` for all others.
WHY = {
    "maths": "maths",
    "environment": "maths",
    "code": "code",
    "image": "image",
    "comment": "comment",
    "icu": "message",
    "autolink": "address",
    "url": "address",
    "email": "address",
}
