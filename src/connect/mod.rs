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
        let input = Input::start(flags.form(), ends, events.waker()?)?;
        let place = Place::new(flags.after);
        let printer = Printer::new(flags);
        Ok(Self { flags, trust, events, input, place, printer })
    }

    /// Connects, again and again if the flags say so.
    fn run(&mut self) -> io::Result<End> {
        let mut delay = MIN_DELAY;
        loop {
            let begin = Instant::now();
            let end = self.attempt()?;
            self.printer.end(&end);
            if !self.flags.reconnect || !end.may_return() || self.events.is_interrupted() {
                return Ok(end);
            }
            if begin.elapsed() > STEADY {
                delay = MIN_DELAY;
            }
            self.printer.note_delay(delay);
            if !self.events.rest(by_chance(delay))? {
                return Ok(End::Done);
            }
            delay = (2 * delay).min(MAX_DELAY);
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

/// A random part of a delay, so that many clients do not come back together.
fn by_chance(delay: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(()) as u32;
    delay.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
