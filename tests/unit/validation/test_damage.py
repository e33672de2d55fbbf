"""Damaged text is found whatever damaged it; what people write is left alone."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tillwatch.validation.damage import damage

HAN = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5)
#: Letters with accents as they stand in names; never two neighbours that are UTF-8 by chance.
NAMES = [
    "朝阳店", "麻辣烫", "烫烫", "一一", "Ångström", "Müller & Söhne", "Crème brûlée", "naïve café", "Æble", "São Paulo",
    "ＳＫＵ１２３", "（北京）", "😀 新品", "a\tb\nc", "№ 5", "Ω", "浙江", "囍", "联通", "", "￥12.50", "Ä", "Łódź", "Нож",
]  # fmt: skip
DAMAGED = [
    "Ã¤", "MÃ¼ller", "æœ\x9dé˜³åº—", "锟斤拷", "锟斤拷锟斤拷", "烫烫烫", "屯屯屯屯", "鏈濋槼", "鏈濋槼搴\ufffd", "a\ufffdb", "\ud83d",
    "x\x00y", "\x1b[0m", "â‚¬ 5", "ï»¿sku",
]  # fmt: skip


@pytest.mark.parametrize("text", NAMES)
def test_what_people_write_is_no_damage(text: str) -> None:
    assert damage(text) is None


@pytest.mark.parametrize("text", DAMAGED, ids=ascii)
def test_damage_is_found_and_said_in_both_languages(text: str) -> None:
    found = damage(text)
    assert found is not None
    assert set(found) == {"en", "zh"}


@given(st.text(HAN, min_size=1, max_size=20))
def test_chinese_read_as_latin_is_found_and_what_it_meant_is_said(text: str) -> None:
    assert f"'{text}'" in (damage(text.encode().decode("latin-1")) or {})["en"]


@given(st.text(HAN, min_size=2, max_size=20))
def test_chinese_read_as_gbk_is_found(text: str) -> None:
    try:
        wrong = text.encode().decode("gbk")
    except UnicodeDecodeError:
        # Every second length leaves half a character; readers write U+FFFD there, which is damage too.
        wrong = text.encode().decode("gbk", "replace")
    assert damage(wrong) is not None


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_ascii_is_never_damaged(text: str) -> None:
    assert damage(text) is None


@given(
    st.text(
        st.sampled_from(
            "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去能对小多然于心学之都好看起发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日手又行意动方期它头经长儿回位分爱老因很给名法间斯知世什两次使身者被高已亲其进此话常与活正感见明问力理尔点文几定本公特做外孩相西果走将月十实向声车全信重三机工物气每并别真打太新比才便夫再书部水像眼等体却加电主界门利海受听表德少克代员许先口由死安写性马光白或住难望教命花结乐色更拉东神记处让母父应直字场平报友关放至张认接告入笑内英军候民岁往何度山觉路带万男边风解叫任金快原吃"
        ),
        max_size=30,
    )
)
def test_common_chinese_is_never_damaged(text: str) -> None:
    assume("烫烫烫" not in text)
    assert damage(text) is None
