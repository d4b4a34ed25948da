//! When an image was built: as its config tells, else an annotation of its manifest.

use jiff::Timestamp;

/// Reproducible builds write dates before this instead of one (1981-01-01, seconds since 1970).
const YEAR_1981: i64 = 347_155_200;

/// Whether a time is the date of a build, and none that stands for the want of one.
pub(super) fn is_date(at: Timestamp) -> bool {
    at.as_second() >= YEAR_1981
}

/// When an image was built, from the bytes of its manifest and of its config, or of an index, which has none. The annotation
/// counts where the config has no date: charts and other artifacts have it only there.
#[cfg(any(feature = "remote", feature = "storage"))]
pub(super) fn built_at(manifest: &[u8], config: Option<&[u8]>) -> Option<Timestamp> {
    let of_config = config.and_then(in_config);
    of_config.filter(|at| is_date(*at)).or_else(|| in_annotation(manifest)).or(of_config)
}

/// The date in the bytes of a config; `None` when there is none that can be read.
#[cfg(any(feature = "remote", feature = "storage"))]
fn in_config(config: &[u8]) -> Option<Timestamp> {
    /// The part of a config that says when the image was built.
    #[derive(serde::Deserialize)]
    struct Dated {
        created: Option<String>,
    }
    serde_json::from_slice::<Dated>(config).ok()?.created?.parse().ok()
}

/// The date among the annotations of a manifest or an index (`annotations.md` of the OCI image specification, v1.1.0).
#[cfg(any(feature = "remote", feature = "storage"))]
fn in_annotation(manifest: &[u8]) -> Option<Timestamp> {
    /// The part of a manifest that holds its annotations.
    #[derive(serde::Deserialize)]
    struct Annotated {
        annotations: Option<Annotations>,
    }
    /// The only annotation that is asked for.
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
    fn the_config_comes_first_and_a_date_before_any_other_time() {
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
