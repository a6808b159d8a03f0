//! `numeric` in its binary form: digits of base 10000.

use arrow::datatypes::i256;
use bytes::{BufMut, BytesMut};

/// Writes `value / 10^scale` in the binary form of `numeric`.
pub fn numeric_binary(value: i128, scale: i8, out: &mut BytesMut) {
    let mut buffer = itoa::Buffer::new();
    numeric_binary_digits(buffer.format(value), scale, out);
}

/// As [`numeric_binary`], for 256 bits.
pub fn numeric256_binary(value: i256, scale: i8, out: &mut BytesMut) {
    numeric_binary_digits(&value.to_string(), scale, out);
}

/// The binary form: number of base 10000 digits, the power of the first, sign, decimal places shown, the digits.
fn numeric_binary_digits(text: &str, scale: i8, out: &mut BytesMut) {
    const GROUP: i32 = 4;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let scale = i32::from(scale);
    // Decimal digits before the point; below zero when the fraction begins with zeros. At most 79 + 128 digits in all.
    let whole = digits.len() as i32 - scale;
    let leading = (-whole).rem_euclid(GROUP);
    let mut weight = (whole + leading) / GROUP - 1;
    let zeros = |count: i32| std::iter::repeat_n(b'0', count.max(0) as usize);
    let after = if scale > 0 {
        (-scale).rem_euclid(GROUP)
    } else {
        -scale
    };
    let mut decimal = zeros(leading).chain(digits.bytes()).chain(zeros(after));
    let mut groups = [0_u16; 64];
    let mut count = 0;
    while let Some(first) = decimal.next() {
        let group = decimal
            .by_ref()
            .take(3)
            .fold(u16::from(first - b'0'), |group, digit| {
                group * 10 + u16::from(digit - b'0')
            });
        if let Some(place) = groups.get_mut(count) {
            *place = group;
        }
        count += 1;
    }
    let mut groups = groups.get(..count).unwrap_or_default();
    while let Some((0, rest)) = groups.split_first() {
        groups = rest;
        weight -= 1;
    }
    while let Some((0, rest)) = groups.split_last() {
        groups = rest;
    }
    if groups.is_empty() {
        weight = 0;
    }
    out.put_i16(groups.len() as i16);
    out.put_i16(weight as i16);
    out.put_u16(if negative && !groups.is_empty() {
        0x4000
    } else {
        0
    });
    out.put_i16(scale.max(0) as i16);
    for group in groups {
        out.put_u16(*group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_numerics_are_those_of_numeric_send() {
        // As PostgreSQL 15's numeric_send gives them: ndigits, weight, sign, dscale, digits.
        let cases: &[(i128, i8, &[u16])] = &[
            (0, 0, &[0, 0, 0, 0]),
            (0, 2, &[0, 0, 0, 2]),
            (1, 0, &[1, 0, 0, 0, 1]),
            (-1, 0, &[1, 0, 0x4000, 0, 1]),
            (10000, 0, &[1, 1, 0, 0, 1]),
            (12345678, 0, &[2, 1, 0, 0, 1234, 5678]),
            (123456789, 3, &[3, 1, 0, 3, 12, 3456, 7890]),
            (5, 2, &[1, 0xffff, 0, 2, 500]),
            (1, 5, &[1, 0xfffe, 0, 5, 1000]),
            (100, 2, &[1, 0, 0, 2, 1]),
            (12, -5, &[1, 1, 0, 0, 120]),
        ];
        for (value, scale, expected) in cases {
            let mut out = BytesMut::new();
            numeric_binary(*value, *scale, &mut out);
            let words: Vec<u16> = out
                .chunks(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect();
            assert_eq!(words, *expected, "{value} {scale}");
        }
    }
}
