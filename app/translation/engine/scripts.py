"""Scripts as ranges for a character class of a regular expression."""

HAN = "㐀-鿿豈-﫿𠀀-𲎯"
KANA = "ぁ-ヿㇰ-ㇿ"
HANGUL = "가-힣ᄀ-ᇿ"
# Thai, Lao, Burmese, Khmer.
SOUTH_EAST_ASIAN = "฀-๿຀-໿က-႟ក-៿"

#: Scripts without spaces between words.
UNSPACED = HAN + KANA + SOUTH_EAST_ASIAN
#: Scripts without visible word boundaries; Korean attaches particles to nouns.
EDGELESS = UNSPACED + HANGUL
