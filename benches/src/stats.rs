//! Median, smallest and largest of a few figures.

/// A summary of several figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FigureSummary {
    /// The middle figure, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl FigureSummary {
    /// Summarizes figures, of which there must be one.
    pub fn summarize(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        assert!(n > 0, "nothing was measured");
        FigureSummary {
            median: f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]),
            min: sorted[0],
            max: sorted[n - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_has_median_and_range() {
        assert_eq!(
            FigureSummary::summarize([3.0, 1.0, 2.0]),
            FigureSummary { median: 2.0, min: 1.0, max: 3.0 }
        );
        assert_eq!(
            FigureSummary::summarize([4.0, 1.0, 2.0, 10.0]),
            FigureSummary { median: 3.0, min: 1.0, max: 10.0 }
        );
        assert_eq!(FigureSummary::summarize([7.0]), FigureSummary { median: 7.0, min: 7.0, max: 7.0 });
    }
}
