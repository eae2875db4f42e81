"""What is true of scripts rather than languages, as ranges for a character class of a regular expression."""

HAN = "㐀-鿿豈-﫿𠀀-𲎯"
KANA = "ぁ-ヿㇰ-ㇿ"
HANGUL = "가-힣ᄀ-ᇿ"
# Thai, Lao, Burmese, Khmer.
SOUTH_EAST_ASIAN = "฀-๿຀-໿က-႟ក-៿"

#: Written without spaces between words.
UNSPACED = HAN + KANA + SOUTH_EAST_ASIAN
#: Where a word has no edge that can be seen; Korean glues its particles to nouns.
EDGELESS = UNSPACED + HANGUL
