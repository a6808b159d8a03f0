//! `json` as text.

use serde::de::IgnoredAny;

use super::{TextError, TextErrorKind};

/// Checks that a text is JSON.
///
/// # Errors
/// [`TextErrorKind::InvalidText`].
pub fn check(text: &str) -> Result<(), TextError> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => Ok(()),
        Err(error) => Err(TextError {
            kind: TextErrorKind::InvalidText,
            message: "invalid input syntax for type json".to_owned(),
            detail: Some(format!("The text is not JSON: {error}.")),
            hint: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_json_passes() {
        for good in [
            "{}",
            " [1, 2.5e400, null]\n",
            "\"a\"",
            "true",
            "{\"a\": {\"b\": []}}",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "{a", "{'a': 1}", "[1,]", "01", "nul", "{} {}", "NaN"] {
            let error = check(bad).unwrap_err();
            assert_eq!(error.message, "invalid input syntax for type json", "{bad}");
        }
    }
}
