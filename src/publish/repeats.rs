//! Requests with an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), which a client may
//! repeat if it has seen no response.

use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use townhall::{Message, Position, Request, Response};

/// How long a request is remembered.
pub const MEMORY: Duration = Duration::from_secs(5 * 60);

/// The maximum length of a key in bytes.
const MAX_KEY_BYTES: usize = 255;

/// The maximum memory in bytes for requests that are remembered.
const MAX_BYTES: usize = 64 << 20;

/// The memory in bytes for a request, in addition to the bytes of its key.
const ENTRY_BYTES: usize = 192;

/// The requests that have been answered lately, by room and key.
#[derive(Debug, Default)]
pub struct Repeats {
    answered: HashMap<Box<[u8]>, Answered>,
    /// Those that were not answered yet.
    pending: HashSet<Box<[u8]>>,
    /// When each of them can be forgotten, in order.
    order: VecDeque<(Instant, Box<[u8]>)>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Answered {
    content: Content,
    published: Published,
}

/// What the response says about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The number of members of the room.
    pub members: usize,
    /// The place of the message, if the room has history.
    pub position: Option<Position>,
}

/// A hash of the message.
pub type Content = [u8; 32];

/// A request that has been answered.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The room and the key.
    pub name: &'a [u8],
    /// A hash of the message.
    pub content: Content,
    pub published: Published,
    /// How long it is still remembered.
    pub left: Duration,
}

/// A request that is not known yet.
#[derive(Debug)]
pub struct Entry {
    name: Box<[u8]>,
    content: Content,
    end: Instant,
}

/// What is known about a request.
#[derive(Debug)]
pub enum Lookup {
    /// It has no key, and is never a repeat.
    NoKey,
    New(Entry),
    /// It has been answered.
    Answered(Published),
}

impl Repeats {
    /// Looks a request up.
    ///
    /// # Errors
    /// 400 if the key is not valid, 409 if the request was not answered yet, 422 if the key is that of another
    /// message, 503 if no more requests can be remembered.
    pub fn find(
        &self,
        request: &Request<'_>,
        room: &str,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<Lookup, Response> {
        let mut keys = request.header_values("Idempotency-Key");
        let key = match (keys.next(), keys.next()) {
            (None, _) => return Ok(Lookup::NoKey),
            (Some(key), None) if (1..=MAX_KEY_BYTES).contains(&key.len()) => key,
            _ => {
                return Err(Response::text(
                    400,
                    "there must be one Idempotency-Key of 1 to 255 bytes",
                ));
            }
        };
        // A path has no spaces.
        let name: Box<[u8]> = [room.as_bytes(), b" ", key].concat().into();
        let content = content(message);
        match self.answered.get(&name) {
            Some(answered) if answered.content == content => {
                Ok(Lookup::Answered(answered.published))
            }
            Some(_) => Err(Response::text(422, "this Idempotency-Key is that of another message")),
            None if self.pending.contains(&name) => {
                let early = Response::text(409, "the request with this key is not answered yet");
                Err(early.header("Retry-After", "1").expect("a valid field"))
            }
            None if self.bytes + size(&name) > MAX_BYTES => {
                let full = Response::text(503, "too many requests with an Idempotency-Key");
                Err(full.header("Retry-After", "60").expect("a valid field"))
            }
            None => Ok(Lookup::New(Entry { name, content, end: now + MEMORY })),
        }
    }

    /// Notes that a request will be answered later.
    pub fn begin(&mut self, entry: &Entry) {
        self.pending.insert(entry.name.clone());
    }

    /// Notes that a request has failed, and may be repeated.
    pub fn fail(&mut self, entry: &Entry) {
        self.pending.remove(&entry.name);
    }

    /// Remembers a request. Returns whether it is the only one.
    pub fn remember(&mut self, entry: Entry, published: Published) -> bool {
        let Entry { name, content, end } = entry;
        self.pending.remove(&name);
        let is_only = self.order.is_empty();
        self.bytes += size(&name);
        self.order.push_back((end, name.clone()));
        self.answered.insert(name, Answered { content, published });
        is_only
    }

    /// What is remembered, the oldest first.
    pub fn answers(&self, now: Instant) -> impl Iterator<Item = Answer<'_>> {
        self.order.iter().filter_map(move |(end, name)| {
            let Answered { content, published } = *self.answered.get(name)?;
            Some(Answer { name, content, published, left: end.saturating_duration_since(now) })
        })
    }

    /// Remembers what another process has answered. Returns whether it is the only request.
    pub fn restore(&mut self, answer: Answer<'_>, now: Instant) -> bool {
        let Answer { name, content, published, left } = answer;
        self.remember(Entry { name: name.into(), content, end: now + left.min(MEMORY) }, published)
    }

    /// Forgets the requests that are old enough, and returns when the next one will be.
    pub fn expire(&mut self, now: Instant) -> Option<Duration> {
        while let Some((end, _)) = self.order.front()
            && *end <= now
            && let Some((_, name)) = self.order.pop_front()
        {
            self.bytes -= size(&name);
            self.answered.remove(&name);
        }
        if self.order.is_empty() {
            *self = Self { pending: mem::take(&mut self.pending), ..Self::default() };
        }
        self.order.front().map(|(end, _)| end.saturating_duration_since(now))
    }
}

/// The memory for a request. Its name is kept twice.
fn size(name: &[u8]) -> usize {
    2 * name.len() + ENTRY_BYTES
}

fn content(message: &Message<'_>) -> Content {
    let kind = if matches!(message, Message::Text(_)) { b"t" } else { b"b" };
    Sha256::new_with_prefix(kind).chain_update(message.payload()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: Published = Published { members: 7, position: None };

    fn find(repeats: &Repeats, key: &str, text: &str, now: Instant) -> Result<Lookup, u16> {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{key}\r\n");
        let request = Request::parse(head.as_bytes(), 10).unwrap();
        repeats
            .find(&request, "/room", &Message::Text(text), now)
            .map_err(|response| response.status())
    }

    fn remember(repeats: &mut Repeats, key: &str, now: Instant) -> Result<bool, u16> {
        match find(repeats, &format!("Idempotency-Key: {key}\r\n"), "hi", now)? {
            Lookup::New(entry) => Ok(repeats.remember(entry, PUBLISHED)),
            known => panic!("{known:?}"),
        }
    }

    #[test]
    fn a_request_is_remembered_for_five_minutes() {
        let mut repeats = Repeats::default();
        let now = Instant::now();
        let key = "Idempotency-Key: a\r\n";
        assert!(matches!(find(&repeats, "", "hi", now), Ok(Lookup::NoKey)));
        assert_eq!(remember(&mut repeats, "a", now), Ok(true));
        assert_eq!(remember(&mut repeats, "b", now + MEMORY / 2), Ok(false));
        assert!(matches!(find(&repeats, key, "hi", now), Ok(Lookup::Answered(PUBLISHED))));
        assert_eq!(find(&repeats, key, "ho", now).unwrap_err(), 422);
        assert_eq!(repeats.expire(now + MEMORY), Some(MEMORY / 2));
        assert!(matches!(find(&repeats, key, "hi", now), Ok(Lookup::New(_))));
        assert_eq!(repeats.expire(now + MEMORY * 2), None);
        assert_eq!(repeats.bytes, 0);
    }

    #[test]
    fn what_another_process_has_answered_is_remembered_for_the_rest_of_the_time() {
        let mut earlier = Repeats::default();
        let now = Instant::now();
        remember(&mut earlier, "a", now).unwrap();
        remember(&mut earlier, "b", now + MEMORY / 4).unwrap();
        let mut later = Repeats::default();
        let then = now + MEMORY / 2;
        let only: Vec<_> =
            earlier.answers(then).map(|answer| later.restore(answer, then)).collect();
        assert_eq!((only, later.bytes), (vec![true, false], earlier.bytes));
        let key = "Idempotency-Key: a\r\n";
        assert!(matches!(find(&later, key, "hi", then), Ok(Lookup::Answered(PUBLISHED))));
        assert_eq!(find(&later, key, "ho", then).unwrap_err(), 422);
        assert_eq!(later.expire(then + MEMORY / 2), Some(MEMORY / 4));
        assert!(matches!(find(&later, key, "hi", then), Ok(Lookup::New(_))));
    }

    #[test]
    fn a_key_is_not_too_long_and_not_one_of_several() {
        let repeats = Repeats::default();
        let long = format!("Idempotency-Key: {}\r\n", "a".repeat(256));
        for keys in ["Idempotency-Key:\r\n", &long, &"Idempotency-Key: a\r\n".repeat(2)] {
            assert_eq!(find(&repeats, keys, "hi", Instant::now()).unwrap_err(), 400);
        }
    }

    #[test]
    fn there_is_a_limit_on_what_is_remembered() {
        let mut repeats = Repeats::default();
        let now = Instant::now();
        let key = |number: usize| format!("{number}{}", "x".repeat(200));
        let full = (0..).find_map(|number| remember(&mut repeats, &key(number), now).err());
        assert_eq!(full, Some(503));
        assert!(repeats.bytes <= MAX_BYTES && repeats.answered.len() > 50_000);
    }
}
