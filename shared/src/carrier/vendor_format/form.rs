//! Forms and query strings, `application/x-www-form-urlencoded`. The only file that names the form
//! library.

use form_urlencoded::Serializer;

/// `fields` as a form or a query string.
#[must_use]
pub fn encode(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The fields of a form or a query string, in order. Bytes that are not UTF-8 become replacement
/// characters.
pub fn decode(form: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(form).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoded_form_is_what_was_encoded() {
        let fields = [
            ("To", "+33612345678"),
            ("Body", "a & b = 100% é\n€"),
            ("Empty", ""),
            ("To", "again"),
        ];
        let encoded = encode(&fields);
        assert_eq!(
            encoded,
            "To=%2B33612345678&Body=a+%26+b+%3D+100%25+%C3%A9%0A%E2%82%AC&Empty=&To=again"
        );
        let decoded: Vec<_> = decode(encoded.as_bytes()).collect();
        assert!(
            decoded
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .eq(fields)
        );
    }
}
