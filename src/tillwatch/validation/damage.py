"""Text that went through a wrong encoding, or was never text at all. Pure.

Only what no person writes counts as damage: a rule that is wrong about 麻辣烫 or Ångström would soon be switched off.
"""

import codecs
import re
import unicodedata

from tillwatch.model.text import Text

#: What UTF-8 becomes when GBK reads it, replaces it and writes it again; and memory that nobody filled, read as GBK.
_KNOWN_SCARS = ("锟斤", "烫烫烫", "屯屯屯", "锘匡豢", "ï»¿")
#: Two characters may come out of GBK by chance; two Chinese ones, six bytes in the right order, do not.
_MIN_IDEOGRAPHS = 2
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_WELCOME_CONTROLS = frozenset("\t\n\r")
_WESTERN = "cp1252"


def damage(text: str) -> Text | None:
    """What is wrong with `text`, None when nothing is."""
    if text.isascii() and text.isprintable():
        return None
    if "\ufffd" in text:
        return {"en": "a character was lost (U+FFFD)", "zh": "有字符已丢失（U+FFFD）"}
    categories = {unicodedata.category(character) for character in text if character not in _WELCOME_CONTROLS}
    if "Cs" in categories:
        return {"en": "half a character (a lone surrogate)", "zh": "半个字符（孤立的代理码位）"}
    if any(scar in text for scar in _KNOWN_SCARS):
        return {"en": "the traces of a wrong encoding", "zh": "错误编码留下的痕迹"}
    for run in _NOT_ASCII.findall(text):
        if meant := _read_as_western(run):
            return {"en": f"UTF-8 read as Latin-1: '{meant}'", "zh": f"UTF-8 被当作 Latin-1 读取：“{meant}”"}
        if meant := _read_as_chinese(run):
            return {"en": f"UTF-8 read as GBK: '{meant}'", "zh": f"UTF-8 被当作 GBK 读取：“{meant}”"}
    if "Cc" in categories:
        return {"en": "a control character", "zh": "含控制字符"}
    return None


def _read_as_western(run: str) -> str:
    """What `run` was before its UTF-8 was read as Latin-1 or Windows-1252; empty when it was not."""
    raw = bytearray()
    for character in run:
        try:
            raw += character.encode(_WESTERN)
        except UnicodeEncodeError:
            # The five places Windows-1252 leaves open are controls in Latin-1.
            if ord(character) > 0xFF:
                return ""
            raw.append(ord(character))
    return _whole(bytes(raw))


def _read_as_chinese(run: str) -> str:
    try:
        raw = run.encode("gbk")
    except UnicodeEncodeError:
        return ""
    meant = _whole(raw)
    ideographs = sum("\u4e00" <= character <= "\u9fff" for character in meant)
    return meant if ideographs >= _MIN_IDEOGRAPHS and ideographs == len(meant) else ""


def _whole(raw: bytes) -> str:
    """`raw` as UTF-8; a character that is cut off at the end is left out. Empty when it is none."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(raw, final=False)
    except UnicodeDecodeError:
        return ""
