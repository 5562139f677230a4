//! `townhall connect`: a client for terminals and pipes.

mod end;
mod events;
mod input;
mod link;
mod place;
mod printer;
mod session;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use townhall::protocol::{DeflateOffer, InvalidHeader, SUBPROTOCOL, UpgradeRequest};

use crate::flags::ConnectFlags;
use end::End;
use events::Events;
use input::Input;
use link::Trust;
use place::Place;
use printer::Printer;
use session::Session;

pub use end::UNREACHABLE;

/// The shortest and the longest time before another attempt, if nothing shortens it by chance.
const MIN_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(30);

/// A connection that was open for this long begins with the shortest delay again.
const STEADY: Duration = Duration::from_secs(10);

/// Connects, and returns the exit status once it is over.
///
/// # Errors
/// There cannot be a connection, whose exit status is [`UNREACHABLE`].
pub fn run(flags: &ConnectFlags) -> io::Result<ExitCode> {
    let end = Client::new(flags)?.run()?;
    Ok(ExitCode::from(end.status()))
}

struct Client<'f> {
    flags: &'f ConnectFlags,
    trust: Trust,
    events: Events,
    input: Input,
    place: Place,
    printer: Printer,
}

impl<'f> Client<'f> {
    fn new(flags: &'f ConnectFlags) -> io::Result<Self> {
        let trust = Trust::new(&flags.url, flags.tls_ca.as_deref())?;
        let events = Events::new()?;
        let ends = flags.send_only || io::stdin().is_terminal();
        let input = Input::start(flags.form(), ends, events.waker())?;
        let place = Place::new(flags.after);
        let printer = Printer::new(flags);
        Ok(Self { flags, trust, events, input, place, printer })
    }

    /// Connects, again and again if the flags say so.
    fn run(&mut self) -> io::Result<End> {
        let mut pauses = Pauses::default();
        loop {
            let begin = Instant::now();
            let end = self.attempt()?;
            self.printer.end(&end);
            if !self.flags.reconnect || !end.may_return() || self.events.is_interrupted() {
                return Ok(end);
            }
            if begin.elapsed() > STEADY {
                pauses = Pauses::default();
            }
            self.printer.note_delay(pauses.longest);
            if !self.events.rest(pauses.next())? {
                return Ok(End::Done);
            }
        }
    }

    fn attempt(&mut self) -> io::Result<End> {
        let request = self.request().map_err(io::Error::other)?;
        let link = match link::connect(request.uri(), &self.trust, &mut self.events) {
            Ok(link) => link,
            Err(error) => return Ok(End::Unreachable(error)),
        };
        let Self { flags, events, input, place, printer, .. } = self;
        Session::new(request, link, flags.form(), place, printer)?.attend(events, input)
    }

    fn request(&self) -> Result<UpgradeRequest, InvalidHeader> {
        let mut uri = self.flags.url.clone();
        match (self.place.position(), self.flags.last) {
            (Some(position), _) => uri = uri.with_parameter("after", &position.to_string()),
            (None, Some(last)) => uri = uri.with_parameter("last", &last.to_string()),
            (None, None) => {}
        }
        let mut request = UpgradeRequest::new(uri).deflate(DeflateOffer::default());
        if self.flags.follows_positions() {
            request = request.subprotocol(SUBPROTOCOL)?;
        }
        match &self.flags.token {
            Some(token) => request.header("Authorization", &format!("Bearer {token}")),
            None => Ok(request),
        }
    }
}

/// The pauses between attempts (RFC 6455, section 7.2.3).
struct Pauses {
    longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { longest: MIN_DELAY }
    }
}

impl Pauses {
    /// The next pause, of a random length, so that many clients do not come back together.
    fn next(&mut self) -> Duration {
        use std::hash::{BuildHasher, RandomState};
        let random = RandomState::new().hash_one(()) as u32;
        let pause = self.longest.mul_f64(f64::from(random) / f64::from(u32::MAX));
        self.longest = (2 * self.longest).min(MAX_DELAY);
        pause
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_pause_is_random_and_longer_after_each_failure() {
        for longest in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let mut pauses = Pauses::default();
            while pauses.longest < Duration::from_millis(longest) {
                pauses.next();
            }
            assert_eq!(pauses.longest, Duration::from_millis(longest));
            let drawn: BTreeSet<_> =
                (0..100).map(|_| Pauses { ..pauses }.next().as_millis() as u64).collect();
            assert!(drawn.len() > 50 && drawn.last().unwrap() <= &longest, "{drawn:?}");
            assert!(
                drawn.first().unwrap() < &(longest / 2) && drawn.last().unwrap() > &(longest / 2)
            );
        }
    }
}
