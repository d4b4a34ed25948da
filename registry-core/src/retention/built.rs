//! When an image was built, according to its config, or else to an annotation of its manifest.

use jiff::Timestamp;

/// 1981-01-01 in seconds since 1970. Reproducible builds write an earlier date when they want to tell none.
const YEAR_1981: i64 = 347_155_200;

/// Whether a time is a real build date, and not one of a reproducible build.
pub(super) fn is_date(at: Timestamp) -> bool {
    at.as_second() >= YEAR_1981
}

/// When an image was built, from the bytes of its manifest and of its config; an index has no config. The annotation counts
/// where the config has no date: charts and other artifacts have a date only there.
#[cfg(any(feature = "remote", feature = "storage"))]
pub(super) fn built_at(manifest: &[u8], config: Option<&[u8]>) -> Option<Timestamp> {
    let from_config = config.and_then(date_in_config);
    from_config.filter(|at| is_date(*at)).or_else(|| date_in_annotation(manifest)).or(from_config)
}

/// The date in the bytes of a config; `None` when there is none that can be read.
#[cfg(any(feature = "remote", feature = "storage"))]
fn date_in_config(config: &[u8]) -> Option<Timestamp> {
    /// The part of a config that says when the image was built.
    #[derive(serde::Deserialize)]
    struct Dated {
        created: Option<String>,
    }
    serde_json::from_slice::<Dated>(config).ok()?.created?.parse().ok()
}

/// The date among the annotations of a manifest or an index (`annotations.md` of the OCI image specification, v1.1.0).
#[cfg(any(feature = "remote", feature = "storage"))]
fn date_in_annotation(manifest: &[u8]) -> Option<Timestamp> {
    /// The part of a manifest that holds its annotations.
    #[derive(serde::Deserialize)]
    struct Annotated {
        annotations: Option<Annotations>,
    }
    #[derive(serde::Deserialize)]
    struct Annotations {
        #[serde(rename = "org.opencontainers.image.created")]
        created: Option<String>,
    }
    serde_json::from_slice::<Annotated>(manifest).ok()?.annotations?.created?.parse().ok()
}

#[cfg(all(test, any(feature = "remote", feature = "storage")))]
mod tests {
    use super::built_at;

    #[test]
    fn config_date_wins_over_annotation_unless_it_is_no_real_date() {
        let at = |manifest: &str, config: Option<&str>| {
            built_at(manifest.as_bytes(), config.map(str::as_bytes)).map(|at| at.to_string())
        };
        let annotated =
            r#"{"annotations":{"org.opencontainers.image.created":"2024-05-01T00:00:00+02:00","a":"b"}}"#;
        let (may, june) = (Some("2024-04-30T22:00:00Z".to_owned()), Some("2024-06-01T00:00:00Z".to_owned()));
        assert_eq!(at(annotated, Some(r#"{"created":"2024-06-01T00:00:00Z"}"#)), june);
        assert_eq!(at(annotated, Some(r#"{"created":"1970-01-01T00:00:00Z"}"#)), may);
        assert_eq!(at(annotated, Some("{}")), may);
        assert_eq!(at(annotated, None), may);
        assert_eq!(
            at("{}", Some(r#"{"created":"1970-01-01T00:00:00Z"}"#)).as_deref(),
            Some("1970-01-01T00:00:00Z")
        );
        assert_eq!(at(r#"{"annotations":null}"#, Some(r#"{"created":"yesterday"}"#)), None);
    }
}
