//! Numbers as PostgreSQL writes them: shortest floats, exact decimals.

use arrow::datatypes::i256;
use bytes::{BufMut, BytesMut};

/// Writes an integer.
pub fn integer<I: itoa::Integer>(value: I, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a `float8` as the shortest text that reads back as the same number.
pub fn float8(value: f64, out: &mut BytesMut) {
    if value.is_finite() {
        // PostgreSQL turns to an exponent where fixed notation would need more than 15 digits before the point.
        float(ryu::Buffer::new().format_finite(value), 15, out);
    } else {
        special(value, out);
    }
}

/// Writes a `float4` as the shortest text that reads back as the same number.
pub fn float4(value: f32, out: &mut BytesMut) {
    if value.is_finite() {
        float(ryu::Buffer::new().format_finite(value), 6, out);
    } else {
        special(f64::from(value), out);
    }
}

fn special(value: f64, out: &mut BytesMut) {
    out.put_slice(if value.is_nan() {
        b"NaN"
    } else if value > 0.0 {
        b"Infinity"
    } else {
        b"-Infinity"
    });
}

/// Rewrites the shortest digits, in any notation, in PostgreSQL's: fixed when the exponent of the first digit is from -4
/// to below `exponent_max`, else `d.ddde+XX`.
fn float(shortest: &str, exponent_max: i32, out: &mut BytesMut) {
    let unsigned = match shortest.strip_prefix('-') {
        Some(rest) => {
            out.put_u8(b'-');
            rest
        }
        None => shortest,
    };
    let (mantissa, exponent) = match unsigned.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // At most 17 significant digits, and at most 16 zeros about them in ryu's fixed notation.
    let mut digits = [0_u8; 40];
    let mut count = 0;
    for (place, digit) in digits.iter_mut().zip(whole.bytes().chain(fraction.bytes())) {
        *place = digit;
        count += 1;
    }
    let digits = digits.get(..count).unwrap_or_default();
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    let significant = digits.get(leading..).unwrap_or_default();
    let trailing = significant
        .iter()
        .rev()
        .take_while(|digit| **digit == b'0')
        .count();
    let significant = significant
        .get(..significant.len() - trailing)
        .unwrap_or_default();
    let Some((first, rest)) = significant.split_first() else {
        out.put_u8(b'0');
        return;
    };
    // The power of ten of the first significant digit; text lengths here are far below i32's end.
    let exponent = exponent + whole.len() as i32 - leading as i32 - 1;
    if (-4..exponent_max).contains(&exponent) {
        point(significant, significant.len() as i32 - 1 - exponent, out);
        return;
    }
    out.put_u8(*first);
    if !rest.is_empty() {
        out.put_u8(b'.');
        out.put_slice(rest);
    }
    out.put_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.put_u8(b'0');
    }
    integer(exponent.abs(), out);
}

/// Writes `digits` with the last `scale` of them after the point; a negative scale adds zeros.
fn point(digits: &[u8], scale: i32, out: &mut BytesMut) {
    let Ok(scale) = usize::try_from(scale) else {
        out.put_slice(digits);
        if digits != b"0" {
            out.put_bytes(b'0', scale.unsigned_abs() as usize);
        }
        return;
    };
    match digits.len().checked_sub(scale) {
        Some(whole) if whole > 0 => {
            let (whole, fraction) = digits.split_at(whole);
            out.put_slice(whole);
            if !fraction.is_empty() {
                out.put_u8(b'.');
                out.put_slice(fraction);
            }
        }
        _ => {
            out.put_slice(b"0.");
            out.put_bytes(b'0', scale - digits.len());
            out.put_slice(digits);
        }
    }
}

/// Writes `value / 10^scale` with all its decimal places.
pub fn decimal(value: i128, scale: i8, out: &mut BytesMut) {
    let mut buffer = itoa::Buffer::new();
    decimal_digits(buffer.format(value), scale, out);
}

/// As [`decimal`], for 256 bits.
pub fn decimal256(value: i256, scale: i8, out: &mut BytesMut) {
    decimal_digits(&value.to_string(), scale, out);
}

fn decimal_digits(text: &str, scale: i8, out: &mut BytesMut) {
    let digits = match text.strip_prefix('-') {
        Some(digits) => {
            out.put_u8(b'-');
            digits
        }
        None => text,
    };
    point(digits.as_bytes(), i32::from(scale), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn floats_are_written_as_postgresql_15_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (100.0, "100"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1e+15"),
            (1_234_567_890_123_456.0, "1.234567890123456e+15"),
            (1e20, "1e+20"),
            (1e300, "1e+300"),
            (-2.5e-7, "-2.5e-07"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(|out| float8(value, out)), expected);
        }
        for (value, expected) in [
            (0.1_f32, "0.1"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (1e6, "1e+06"),
            (16_777_216.0, "1.6777216e+07"),
            (f32::MAX, "3.4028235e+38"),
        ] {
            assert_eq!(text(|out| float4(value, out)), expected);
        }
    }

    #[test]
    fn every_float_reads_back() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let text = text(|out| float8(value, out));
                assert_eq!(
                    text.parse::<f64>().unwrap().to_bits(),
                    value.to_bits(),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn decimals_keep_their_places() {
        for (value, scale, expected) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (5, 2, "0.05"),
            (-5, 2, "-0.05"),
            (12345, 2, "123.45"),
            (12345, 5, "0.12345"),
            (12300, 2, "123.00"),
            (12, -3, "12000"),
            (0, -3, "0"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728"),
        ] {
            assert_eq!(text(|out| decimal(value, scale, out)), expected);
        }
        assert_eq!(
            text(|out| decimal256(i256::from_i128(-12345), 3, out)),
            "-12.345"
        );
    }
}
