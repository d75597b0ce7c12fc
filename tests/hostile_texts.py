"""Texts that attack the place where they are shown: terminal, log, Markdown, HTML, chat, spreadsheet, template."""

from __future__ import annotations

import pytest

CONTROL_TEXTS = {
    "every C0 character": "".join(map(chr, range(0x20))),
    "DEL": "a\x7fb",
    "every C1 character": "".join(map(chr, range(0x80, 0xA0))),
    "colour": "\x1b[31mREADY\x1b[0m",
    "clear the screen": "\x1b[2J\x1b[H",
    "C1 CSI": "\x9b2J",
    "clipboard (OSC 52)": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "link (OSC 8)": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "title (C1 OSC)": "\x9d0;title\x9c",
    "overwritten line": "refused\rREADY  ",
    "forged log line": "x\n12:00:00 | INFO | everything is READY",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "bidi overrides": "\u202agpj\u202b.exe\u202c\u202d\u202efdp.\u2066a\u2067b\u2068c\u2069",
    "bidi marks": "a\u200eb\u200fc\u061cd",
    "zero width": "re\u200bady\u2060\ufeff\u00ad",
    "joiner without effect": "a\u200db\u200cc",
    "tags": "ok\U000e0041\U000e0042\U000e007f",
    "lone surrogates": "\ud800x\udfff",
    "NUL": "a\x00b",
    "blank letters": "a\u3164b\u2800c\u115f",
    "variation selectors": "a\ufe0fb\U000e0100",
}
"""Characters that a terminal, a log or a reader interprets, by description."""

MARKUP_TEXTS = {
    "Markdown image": "![t](http://evil.example/t.png)",
    "HTML image": "<img src=http://evil.example/t.png onerror=alert(1)>",
    "script": "<script>alert(1)</script>",
    "entity": "&lt;img src=x&gt; &#60;b&#62; &#x3c;",
    "Markdown link": "[click](javascript:alert(1))",
    "reference link": "[click][1] [1]: http://evil.example",
    "autolink": "<http://evil.example> http://evil.example www.evil.example WWW.evil.example",
    "encoded scheme": "[x](&#106;avascript:alert(1)) [y](data:text/html;base64,PHNjcmlwdD4=)",
    "code": "`code` ```mermaid ~~~",
    "table": "| a | b | \\| c \\\\| d",
    "emphasis": "**bold** _it_ ~~no~~ __u__",
    "heading": "# heading",
    "list": "- item",
    "numbered list": "1. item",
    "rule": "---",
    "quote": "> quote",
    "comment": "<!-- --> <![CDATA[x]]> <?php",
    "Slack broadcast": "<!channel> <!here|x> !channel> &lt;!everyone&gt;",
    "Slack user": "<@U123> @U123> <#C123> <!subteam^S1>",
    "Slack link": "<http://evil.example/|click> <mailto:a@evil.example|b> http://evil.example|click>",
    "mentions": "@everyone @here @channel @all <at>Ada</at>",
    "mail address": "a@evil.example",
    "Rich markup": "[red]x[/] [link=http://evil.example]y[/link] [/] \\[bold] \\",
    "emoji code": ":bomb:",
    "Jinja": "{{ 7 * 7 }} {% for x in y %} {# c #} {{ event.id }} {{tokenFromSecrets}}",
    "format string": "{0} {request.name} %s %(x)s $HOME ${x} $(id)",
    "JSON breakout": '", "channel": "#general", "x": "\\',
}
"""Markup of a page, a chat or a template, by description."""

FORMULAS = (
    *("=1+1", "=cmd|'/C calc'!A0", "+1", "-1", "@SUM(A1)", "\u2212x", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20A1"),
    *(" =1", "\u00a0=1", "\u3000=1", "\t=1", "\r=1", "\n=1", "'=1", '"=1', "\u201c=1", "  '\"=1", "\ufe661"),
    *("a;=1", "a; =1", 'a;"=1', "; -1", '=HYPERLINK("http://evil.example")'),
)
"""Texts that a spreadsheet can evaluate as a formula."""

LONG = "x" * 100_000
HOSTILE_TEXTS = [*CONTROL_TEXTS.values(), *MARKUP_TEXTS.values(), *FORMULAS, LONG]
HOSTILE_PARAMETERS = [
    *(pytest.param(text, id=description) for description, text in (CONTROL_TEXTS | MARKUP_TEXTS).items()),
    *(pytest.param(text, id=f"formula {number}") for number, text in enumerate(FORMULAS, 1)),
    pytest.param(LONG, id="long"),
]
"""All of them, for `pytest.mark.parametrize`."""
