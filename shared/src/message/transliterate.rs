//! Transliteration: spells Latin, Cyrillic and Greek letters and common punctuation in GSM-7.
//! Readers of the language can read the result; it follows no scholarly scheme and cannot be
//! reversed.

use super::gsm7::is_gsm7;

/// `text` in GSM-7. A letter that the alphabet lacks is replaced by its GSM-7 spelling. A character
/// without one is removed, as readers take a `?` in its place for a defect.
pub(super) fn transliterate(text: &str) -> String {
    if text.chars().all(is_gsm7) {
        return text.to_owned();
    }
    let mut transliterated = String::with_capacity(text.len());
    for character in text.chars() {
        match gsm7_spelling(character) {
            Some(letters) => transliterated.push_str(letters),
            None if is_gsm7(character) => transliterated.push(character),
            None => {}
        }
    }
    transliterated
}

/// `text` in ASCII: transliterated, and without the accents that GSM-7 has. `None` if a letter or a
/// digit of it has no spelling.
#[must_use]
pub fn ascii_spelling(text: &str) -> Option<String> {
    if !is_transliterable(text) {
        return None;
    }
    let spelled = transliterate(text);
    let mut ascii = String::with_capacity(spelled.len());
    for character in spelled.chars() {
        match GSM7_LETTERS.iter().find(|(letter, _)| *letter == character) {
            Some((_, spelling)) => ascii.push_str(spelling),
            None if character.is_ascii() => ascii.push(character),
            // Punctuation.
            None => {}
        }
    }
    Some(ascii)
}

/// Whether `text` stays readable when it is transliterated: no letter and no digit of it is
/// removed.
pub(super) fn is_transliterable(text: &str) -> bool {
    text.chars()
        .filter(|character| character.is_alphanumeric())
        .all(|letter| is_gsm7(letter) || gsm7_spelling(letter).is_some())
}

/// `text` with punctuation of GSM-7 in place of punctuation that the alphabet has in another form:
/// quotation marks, dashes, ellipses, spaces and wide forms. Letters and symbols stay.
pub(super) fn replace_punctuation(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    for character in text.chars() {
        match punctuation_spelling(character).filter(|_| !is_gsm7(character)) {
            Some(spelling) => replaced.push_str(spelling),
            None => replaced.push(character),
        }
    }
    replaced
}

fn punctuation_spelling(character: char) -> Option<&'static str> {
    let mut rows = PUNCTUATION.iter();
    let row = rows.find(|(characters, _)| characters.contains(character));
    row.map(|(_, spelling)| *spelling)
}

/// The spelling of `character` in characters of GSM-7, if the tables have one.
fn gsm7_spelling(character: char) -> Option<&'static str> {
    SPELLINGS
        .iter()
        .chain(GREEK)
        .chain(PUNCTUATION)
        .find(|(characters, _)| characters.contains(character))
        .map(|(_, spelling)| *spelling)
}

/// The letters of GSM-7 that are not in ASCII, and their spelling.
const GSM7_LETTERS: &[(char, &str)] = &[
    ('à', "a"),
    ('Ä', "A"),
    ('ä', "a"),
    ('Å', "A"),
    ('å', "a"),
    ('Æ', "AE"),
    ('æ', "ae"),
    ('Ç', "C"),
    ('É', "E"),
    ('è', "e"),
    ('é', "e"),
    ('ì', "i"),
    ('Ñ', "N"),
    ('ñ', "n"),
    ('Ö', "O"),
    ('ö', "o"),
    ('ò', "o"),
    ('Ø', "O"),
    ('ø', "o"),
    ('Ü', "U"),
    ('ü', "u"),
    ('ù', "u"),
    ('ß', "ss"),
    ('Γ', "G"),
    ('Δ', "D"),
    ('Θ', "TH"),
    ('Λ', "L"),
    ('Ξ', "X"),
    ('Π', "P"),
    ('Σ', "S"),
    ('Φ', "F"),
    ('Ψ', "PS"),
    ('Ω', "O"),
];

/// Characters and their spelling. Letters that GSM-7 has (é, ñ, ü, …) are not listed and stay as
/// they are.
const SPELLINGS: &[(&str, &str)] = &[
    // Latin letters with accents that GSM-7 lacks, including Vietnamese.
    ("áâãāăąǎạảấầẩẫậắằẳẵặ", "a"),
    ("ÀÁÂÃĀĂĄǍẠẢẤẦẨẪẬẮẰẲẴẶ", "A"),
    ("çćĉċč", "c"),
    ("ĆĈĊČ", "C"),
    ("ðďđɖ", "d"),
    ("ÐĎĐƉ", "D"),
    ("êëēĕėęěẹẻẽếềểễệəǝ", "e"),
    ("ÈÊËĒĔĖĘĚẸẺẼẾỀỂỄỆƏƎ", "E"),
    ("ĝğġģǧ", "g"),
    ("ĜĞĠĢǦ", "G"),
    ("ĥħ", "h"),
    ("ĤĦ", "H"),
    ("íîïĩīĭįıǐỉị", "i"),
    ("ÌÍÎÏĨĪĬĮİǏỈỊ", "I"),
    ("ĵ", "j"),
    ("Ĵ", "J"),
    ("ķĸǩ", "k"),
    ("ĶǨ", "K"),
    ("ĺļľŀł", "l"),
    ("ĹĻĽĿŁ", "L"),
    ("ńņňŉŋ", "n"),
    ("ŃŅŇŊ", "N"),
    ("óôõōŏőơǒọỏốồổỗộớờởỡợ", "o"),
    ("ÒÓÔÕŌŎŐƠǑỌỎỐỒỔỖỘỚỜỞỠỢ", "O"),
    ("ŕŗř", "r"),
    ("ŔŖŘ", "R"),
    ("śŝşšș", "s"),
    ("ŚŜŞŠȘ", "S"),
    ("ţťŧț", "t"),
    ("ŢŤŦȚ", "T"),
    ("úûũūŭůűųưǔụủứừửữự", "u"),
    ("ÙÚÛŨŪŬŮŰŲƯǓỤỦỨỪỬỮỰ", "U"),
    ("ŵẁẃẅ", "w"),
    ("ŴẀẂẄ", "W"),
    ("ýÿŷỳỵỷỹ", "y"),
    ("ÝŸŶỲỴỶỸ", "Y"),
    ("źżžʒ", "z"),
    ("ŹŻŽƷ", "Z"),
    ("œ", "oe"),
    ("Œ", "OE"),
    ("þ", "th"),
    ("Þ", "Th"),
    ("ẞ", "SS"),
    // Cyrillic: Russian, Ukrainian, Belarusian, Bulgarian, Macedonian, Serbian, Kazakh.
    ("аә", "a"),
    ("АӘ", "A"),
    ("б", "b"),
    ("Б", "B"),
    ("в", "v"),
    ("В", "V"),
    ("гґғѓ", "g"),
    ("ГҐҒЃ", "G"),
    ("д", "d"),
    ("Д", "D"),
    ("еёэѐ", "e"),
    ("ЕЁЭЀ", "E"),
    ("є", "ye"),
    ("Є", "Ye"),
    ("ж", "zh"),
    ("Ж", "Zh"),
    ("зѕ", "z"),
    ("ЗЅ", "Z"),
    ("иіыѝ", "i"),
    ("ИІЫЍ", "I"),
    ("ї", "yi"),
    ("Ї", "Yi"),
    ("йј", "y"),
    ("ЙЈ", "Y"),
    ("кқќ", "k"),
    ("КҚЌ", "K"),
    ("л", "l"),
    ("Л", "L"),
    ("м", "m"),
    ("М", "M"),
    ("нң", "n"),
    ("НҢ", "N"),
    ("оө", "o"),
    ("ОӨ", "O"),
    ("п", "p"),
    ("П", "P"),
    ("р", "r"),
    ("Р", "R"),
    ("с", "s"),
    ("С", "S"),
    ("т", "t"),
    ("Т", "T"),
    ("уұүў", "u"),
    ("УҰҮЎ", "U"),
    ("ф", "f"),
    ("Ф", "F"),
    ("хһ", "h"),
    ("ХҺ", "H"),
    ("ц", "ts"),
    ("Ц", "Ts"),
    ("чћ", "ch"),
    ("ЧЋ", "Ch"),
    ("ш", "sh"),
    ("Ш", "Sh"),
    ("щ", "shch"),
    ("Щ", "Shch"),
    ("ю", "yu"),
    ("Ю", "Yu"),
    ("я", "ya"),
    ("Я", "Ya"),
    ("љ", "lj"),
    ("Љ", "Lj"),
    ("њ", "nj"),
    ("Њ", "Nj"),
    ("џђ", "dj"),
    ("ЏЂ", "Dj"),
    ("ъьЪЬ", ""),
    ("№", "No"),
];
/// Punctuation that word processors, phones and scripts have in another form. The tests compare it
/// with Unicode's own lists of dashes, quotation marks and spaces.
const PUNCTUATION: &[(&str, &str)] = &[
    ("‘’‚‛ʼʻʹʽˈ‹›′‵´`＇", "'"),
    ("“”„‟«»″‶〝〞〟＂❝❞❠", "\""),
    ("「」『』﹁﹂﹃﹄｢｣⹂❛❜❟", "'"),
    ("‐‑‒–—―⁃−⸺⸻⸗⸚⹀﹘﹣－〜〰゠־᐀᠆⸝﹉﹊﹋﹌֊⁓⁻₋⹝︱︲𐵮𐺭", "-"),
    ("…⋯︙", "..."),
    ("‥", ".."),
    (
        "\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2007}",
        " ",
    ),
    ("\u{2008}\u{2009}\u{200a}\u{202f}\u{205f}\u{3000}\t", " "),
    ("·•․‧∙・｡。．", "."),
    ("、，،﹐﹑､", ","),
    ("；؛﹔;", ";"),
    ("：﹕︰∶", ":"),
    ("！﹗", "!"),
    ("‼", "!!"),
    ("？؟﹖", "?"),
    ("⁇", "??"),
    ("⁈", "?!"),
    ("⁉", "!?"),
    ("（﹙❨", "("),
    ("）﹚❩", ")"),
    ("［", "["),
    ("］", "]"),
    ("｛﹛", "{"),
    ("｝﹜", "}"),
    ("⁄∕／⧸", "/"),
    ("＼﹨⧵", "\\"),
    ("｜¦", "|"),
    ("＆﹠", "&"),
    ("＊﹡⁎∗", "*"),
    ("％﹪٪", "%"),
    ("＿‗﹍﹎﹏", "_"),
    ("＋﹢", "+"),
    ("＝﹦", "="),
    ("～∼˜", "~"),
    ("＜﹤", "<"),
    ("＞﹥", ">"),
];
/// The same for Greek, including the capitals that GSM-7 has: a word must not be half Greek and
/// half Latin.
const GREEK: &[(&str, &str)] = &[
    ("αά", "a"),
    ("ΑΆ", "A"),
    ("β", "v"),
    ("Β", "V"),
    ("γ", "g"),
    ("Γ", "G"),
    ("δ", "d"),
    ("Δ", "D"),
    ("εέ", "e"),
    ("ΕΈ", "E"),
    ("ζ", "z"),
    ("Ζ", "Z"),
    ("ηήιίϊΐ", "i"),
    ("ΗΉΙΊΪ", "I"),
    ("θ", "th"),
    ("Θ", "Th"),
    ("κ", "k"),
    ("Κ", "K"),
    ("λ", "l"),
    ("Λ", "L"),
    ("μµ", "m"),
    ("Μ", "M"),
    ("ν", "n"),
    ("Ν", "N"),
    ("ξ", "x"),
    ("Ξ", "X"),
    ("οόωώ", "o"),
    ("ΟΌΩΏ", "O"),
    ("π", "p"),
    ("Π", "P"),
    ("ρ", "r"),
    ("Ρ", "R"),
    ("σς", "s"),
    ("Σ", "S"),
    ("τ", "t"),
    ("Τ", "T"),
    ("υύϋΰ", "y"),
    ("ΥΎΫ", "Y"),
    ("φ", "f"),
    ("Φ", "F"),
    ("χ", "ch"),
    ("Χ", "Ch"),
    ("ψ", "ps"),
    ("Ψ", "Ps"),
];

#[cfg(test)]
mod tests {
    use icu_properties::CodePointSetData;
    use icu_properties::props::{Dash, QuotationMark, WhiteSpace};

    use super::*;

    #[test]
    fn punctuation_of_unicode_has_a_gsm7_form() {
        let dashes = CodePointSetData::new::<Dash>().iter_ranges();
        let quotes = CodePointSetData::new::<QuotationMark>().iter_ranges();
        let spaces = CodePointSetData::new::<WhiteSpace>().iter_ranges();
        let all = dashes.chain(quotes).chain(spaces).flatten();
        let missing: String = all
            .filter_map(char::from_u32)
            // Line breaks are removed before; the rest is written in its own script only.
            .filter(|character| !"\n\r\u{b}\u{c}\u{85}\u{2028}\u{2029}".contains(*character))
            .filter(|character| !is_gsm7(*character) && punctuation_spelling(*character).is_none())
            .collect();
        assert_eq!(missing, "");
        // Wide forms, but for marks that sanitizing removes or that are no punctuation.
        for wide in '！'..='～' {
            let Some(ascii) = char::from_u32(u32::from(wide) - 0xfee0) else {
                continue;
            };
            if ascii.is_ascii_punctuation() && !"@#$^`".contains(ascii) {
                let spelling = punctuation_spelling(wide).map(str::to_owned);
                assert_eq!(spelling, Some(ascii.to_string()), "{wide}");
            }
        }
    }

    #[test]
    fn replaced_punctuation_keeps_letters_and_symbols() {
        for (text, expected) in [
            ("Joe’s Bar", "Joe's Bar"),
            ("Müller – Söhne…", "Müller - Söhne..."),
            ("“Café” «Łódź»", "\"Café\" \"Łódź\""),
            ("A&B €5 ©™", "A&B €5 ©™"),
        ] {
            assert_eq!(replace_punctuation(text), expected);
        }
        for (_, spelling) in PUNCTUATION {
            assert!(spelling.chars().all(is_gsm7), "{spelling}");
        }
    }

    #[test]
    fn transliterated_texts_are_gsm7() {
        for (text, expected) in [
            ("Ő és ű: árvíztűrő", "O és u: arvizturo"),
            ("français façade", "francais facade"),
            ("Код подтверждения: Щука", "Kod podtverzhdeniya: Shchuka"),
            ("Κωδικός Ψυχή", "Kodikos Psychi"),
            ("It’s “fine” – really…", "It's \"fine\" - really..."),
            ("Mã của bạn: Đường", "Ma cua ban: Duong"),
            ("日本 Café ✓", " Café "),
            ("ΔΣ é ñ €", "ΔΣ é ñ €"),
        ] {
            assert_eq!(transliterate(text), expected);
            assert!(expected.chars().all(is_gsm7));
        }
        assert!(
            is_transliterable("Щука é ő")
                && !is_transliterable("قهوة")
                && !is_transliterable("日本")
        );
    }
}
