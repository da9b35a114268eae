/// The time for which a certificate is valid, in seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    begin: u64,
    end: u64,
}

/// 30 days in seconds.
const MONTH: u64 = 30 * 86_400;

/// The tags of DER that lead to it (RFC 5280, section 4.1).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

impl Validity {
    /// Reads it from a certificate. `None` if that is not one. It is only for warnings: clients decide.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let mut certificate = Der(certificate).enter(SEQUENCE)?.enter(SEQUENCE)?;
        let mut element = certificate.next()?;
        if element.0 == VERSION {
            // The serial number.
            element = certificate.next()?;
        }
        let _ = element;
        // The algorithm and the issuer.
        certificate.next()?;
        certificate.next()?;
        let mut validity = certificate.enter(SEQUENCE)?;
        Some(Self { begin: validity.time()?, end: validity.time()? })
    }

    /// Returns its end, in seconds since the Unix epoch.
    pub(super) fn end(self) -> u64 {
        self.end
    }

    /// Returns whether it is so near its end that a program that renews certificates must have failed. These renew with a third of the
    /// time left.
    pub(super) fn is_ending(self, now: u64) -> bool {
        let time = self.end.saturating_sub(self.begin);
        now >= self.end.saturating_sub((time / 6).min(MONTH))
    }

    pub(super) fn has_begun(self, now: u64) -> bool {
        self.begin <= now
    }

    pub(super) fn has_ended(self, now: u64) -> bool {
        self.end < now
    }
}

/// The rest of the elements of something.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Reads an element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        // A short length, or the number of its bytes.
        let (size, rest) = match usize::from(first) {
            short @ ..0x80 => (short, rest),
            long => {
                let (size, rest) = rest.split_at_checked(long - 0x80)?;
                let size = (size.len() <= 4)
                    .then(|| size.iter().fold(0, |size, byte| size << 8 | usize::from(*byte)));
                (size?, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(size)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// Reads an element that consists of others.
    fn enter(&mut self, tag: u8) -> Option<Self> {
        let (found, content) = self.next()?;
        (found == tag).then_some(Self(content))
    }

    /// Reads a time, as `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
    fn time(&mut self) -> Option<u64> {
        let (tag, text) = self.next()?;
        let text = str::from_utf8(text).ok()?.strip_suffix('Z')?;
        let number = |text: &str| text.parse::<u64>().ok();
        let (year, rest) = match tag {
            UTC_TIME => {
                let (year, rest) = text.split_at_checked(2)?;
                let year = number(year)?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => {
                let (year, rest) = text.split_at_checked(4)?;
                (number(year)?, rest)
            }
            _ => return None,
        };
        let part = |at: usize| number(rest.get(at..at + 2)?);
        let (month, day) = (part(0)?, part(2)?);
        let seconds = (part(4)? * 60 + part(6)?) * 60 + part(8)?;
        Some(days(year, month, day)? * 86_400 + seconds)
    }
}

/// Returns the number of days from the Unix epoch to a date. One before 1970 is the epoch itself.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years begin in March here, so that the leap day is the last one.
    let (year, month) = if month < 3 { (year.checked_sub(1)?, month + 9) } else { (year, month - 3) };
    let day_of_year = (153 * month + 2) / 5 + day.checked_sub(1)?;
    let all = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    Some(all.saturating_sub(719_468))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_the_epoch() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(2000, 3, 1), Some(11_017));
        assert_eq!(days(2024, 12, 31), Some(20_088));
        assert_eq!(days(1950, 6, 1), Some(0));
    }

    /// Returns an element of DER.
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let size = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &size, content].concat()
    }

    fn certificate(version: &[u8], times: &[(u8, &str)]) -> Vec<u8> {
        let times: Vec<_> = times.iter().flat_map(|(tag, text)| element(*tag, text.as_bytes())).collect();
        let parts = [version, &element(2, &[1]), &element(SEQUENCE, &[]), &element(SEQUENCE, &[9; 300])];
        let content = [parts.concat(), element(SEQUENCE, &times)].concat();
        element(SEQUENCE, &element(SEQUENCE, &content))
    }

    #[test]
    fn the_time_is_read_from_certificates_of_all_versions() {
        let times = [(UTC_TIME, "240229000000Z"), (GENERALIZED_TIME, "20500101120001Z")];
        for version in [&element(VERSION, &[2, 1, 2])[..], &[]] {
            let validity = Validity::of(&certificate(version, &times)).unwrap();
            assert_eq!(validity, Validity { begin: 1_709_164_800, end: 2_524_651_201 });
            assert!(!validity.has_begun(1_709_164_799) && validity.has_begun(1_709_164_800));
            assert!(!validity.has_ended(2_524_651_201) && validity.has_ended(2_524_651_202));
        }
    }

    #[test]
    fn it_is_ending_with_a_sixth_of_its_time_left_but_at_most_a_month() {
        for (days, last) in [(6, 1), (90, 15), (365, 30), (3_650, 30)] {
            let validity = Validity { begin: 1_000, end: 1_000 + days * 86_400 };
            let at = validity.end() - last * 86_400;
            assert!(!validity.is_ending(at - 1) && validity.is_ending(at), "{days}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_time() {
        let whole = certificate(&[], &[(UTC_TIME, "240229000000Z"), (UTC_TIME, "250229000000Z")]);
        for end in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..end]), None);
        }
        for times in
            [[(UTC_TIME, "x40229000000Z"), (UTC_TIME, "")], [(4, "240229000000Z"), (UTC_TIME, "2402Z")]]
        {
            assert_eq!(Validity::of(&certificate(&[], &times)), None);
        }
    }
}
