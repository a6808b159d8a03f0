//! `uuid` as text.

use super::{TextError, TextErrorKind};

/// The bytes of a uuid: 32 hexadecimal digits, a hyphen or none after any group of four, braces round it or not.
///
/// # Errors
/// [`TextErrorKind::InvalidText`].
pub fn parse(text: &str) -> Result<[u8; 16], TextError> {
    bytes(text).ok_or_else(|| TextError {
        kind: TextErrorKind::InvalidText,
        message: format!("invalid input syntax for type uuid: \"{text}\""),
        detail: None,
        hint: None,
    })
}

fn bytes(text: &str) -> Option<[u8; 16]> {
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut bytes = [0_u8; 16];
    let mut digits = 0_usize;
    let mut hyphen_allowed = false;
    for c in inner.chars() {
        if c == '-' && hyphen_allowed {
            hyphen_allowed = false;
            continue;
        }
        let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())?;
        let place = bytes.get_mut(digits / 2)?;
        *place = *place << 4 | digit;
        digits += 1;
        hyphen_allowed = digits < 32 && digits.is_multiple_of(4);
    }
    (digits == 32).then_some(bytes)
}

/// The usual text of a uuid: small letters, hyphens after 8, 12, 16 and 20 digits.
pub fn text(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 0x0f] {
            text.extend(char::from_digit(nibble.into(), 16));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_brought_to_one() {
        let usual = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for form in [
            usual,
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        ] {
            assert_eq!(text(parse(form).unwrap()), usual);
        }
        for bad in [
            "",
            "x",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-",
            "a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc9-99c0b-4ef8-bb6d-6bb9bd380a11",
            " a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(
                error.message,
                format!("invalid input syntax for type uuid: \"{bad}\"")
            );
        }
    }
}
