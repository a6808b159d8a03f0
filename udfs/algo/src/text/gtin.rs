//! Global trade item numbers: the digits under the bar code.

/// Whether `value` is a GTIN-8, -12 (UPC-A), -13 (EAN, ISBN-13) or -14 whose check digit is right (GS1 General Specifications,
/// section 7.9). Blanks and hyphens between the digits do not matter; all zeros is no number.
pub fn gtin_valid(value: &str) -> bool {
    digits(value).is_some_and(|digits| matches!(digits.len(), 8 | 12 | 13 | 14) && checks(&digits))
}

/// The 14 digits of a GTIN, so that the same item is the same text whether a feed wrote it as UPC-A, EAN or GTIN-14; `None` for
/// what is no GTIN.
///
/// A feed that kept numbers as integers lost their leading zeros: 9 to 11 digits are read as a UPC-A without them when
/// the check digit agrees. Numbers for use inside one shop (GS1 prefixes 02, 04 and 20 to 29: scales, own labels, coupons)
/// mean another item in the next shop and are `None`.
pub fn gtin_norm(value: &str) -> Option<String> {
    let digits = digits(value)?;
    if !matches!(digits.len(), 8..=14) || !checks(&digits) {
        return None;
    }
    let mut full = vec![b'0'; 14 - digits.len()];
    full.extend_from_slice(&digits);
    // Of GTIN-13 inside 14 digits, the first two; a GTIN-8 has its own prefixes, of which 0 and 2 are for use inside a shop.
    let inside_a_shop = if digits.len() == 8 {
        matches!(digits.first(), Some(b'0' | b'2'))
    } else {
        matches!(full.get(1..3), Some([b'2', _] | [b'0', b'2' | b'4']))
    };
    if inside_a_shop {
        return None;
    }
    String::from_utf8(full).ok()
}

/// The digits of `value`, if it is nothing else and not all zeros. A decimal point and zeros behind it, as spreadsheets write
/// whole numbers, do not count.
fn digits(value: &str) -> Option<Vec<u8>> {
    let value = value.trim();
    let value = match value.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => value,
    };
    let mut digits = Vec::with_capacity(14);
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' if digits.len() < 14 => digits.push(byte),
            b' ' | b'-' => {}
            _ => return None,
        }
    }
    digits.iter().any(|digit| *digit != b'0').then_some(digits)
}

/// From the right, digits weigh 1, 3, 1, 3, ... and sum to a multiple of ten.
fn checks(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .zip([1, 3].iter().cycle())
        .map(|(digit, weight)| u32::from(digit.saturating_sub(b'0')) * weight)
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(value: &str, expected: Option<&str>) {
        assert_eq!(gtin_norm(value).as_deref(), expected, "{value:?}");
    }

    #[test]
    fn one_item_is_one_number() {
        check("4006381333931", Some("04006381333931"));
        check("036000291452", Some("00036000291452"));
        check("0036000291452", Some("00036000291452"));
        check("36000291452", Some("00036000291452"));
        check("36000291452.0", Some("00036000291452"));
        check("978-0-306-40615-7", Some("09780306406157"));
        check("9638 5074", Some("00000096385074"));
        check("10036000291459", Some("10036000291459"));
    }

    #[test]
    fn what_is_no_gtin_links_nothing() {
        for value in [
            "",
            "0",
            "00000000",
            "4006381333932",
            "12345",
            "B00ABC1234",
            "400638133393100",
            "n/a",
        ] {
            check(value, None);
            assert!(!gtin_valid(value));
        }
        // For use inside a shop: right, but of no use to link.
        check("2000000000008", None);
        assert!(gtin_valid("2000000000008"));
        assert!(!gtin_valid("36000291452"));
    }

    proptest! {
        #[test]
        fn every_single_wrong_digit_is_seen(at in 0usize..12, by in 1u8..10) {
            let mut digits = b"4006381333931".to_vec();
            digits[at] = b'0' + (digits[at] - b'0' + by) % 10;
            prop_assert!(!gtin_valid(std::str::from_utf8(&digits).unwrap()));
        }
    }
}
