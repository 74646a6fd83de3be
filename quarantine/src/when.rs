//! Times, as they stand in names of objects.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace_proto::TransactionId;

/// Milliseconds since 1970, UTC, that an identifier was made at (RFC 9562 §5.7).
pub(crate) fn milliseconds(id: TransactionId) -> u64 {
    id.as_bytes()[..6]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

pub(crate) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `YYYYMMDD/HH/MM`: names in the order of time.
pub(crate) fn minute(milliseconds: u64) -> String {
    let (year, month, day) = date(milliseconds / 86_400_000);
    let minutes = milliseconds / 60_000 % 1440;
    format!(
        "{year:04}{month:02}{day:02}/{:02}/{:02}",
        minutes / 60,
        minutes % 60
    )
}

/// `YYYYMMDDHH`.
pub(crate) fn hour(milliseconds: u64) -> String {
    format!("{}{:02}", day(milliseconds), milliseconds / 3_600_000 % 24)
}

/// `YYYYMMDD`.
pub(crate) fn day(milliseconds: u64) -> String {
    let (year, month, day) = date(milliseconds / 86_400_000);
    format!("{year:04}{month:02}{day:02}")
}

/// The civil date of a day since 1970-01-01, in the proleptic Gregorian calendar: eras of 400 years that begin
/// on a first of March, so that the leap day is a year's last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_write_them() {
        for (milliseconds, written) in [
            (0, "19700101/00/00"),
            (951_782_399_999, "20000228/23/59"),
            (951_782_400_000, "20000229/00/00"),
            (1_709_251_200_000, "20240301/00/00"),
            (1_795_386_060_000, "20261122/22/21"),
        ] {
            assert_eq!(minute(milliseconds), written);
            assert_eq!(day(milliseconds), &written[..8]);
            assert_eq!(hour(milliseconds), written[..11].replace('/', ""));
        }
    }
}
