use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::*;

const GRACE: Duration = Duration::from_secs(5);
const NAMED: Audience = Audience { names: true, may_miss: false };

fn client(number: u32) -> ClientId {
    format!("{number}.1").parse().unwrap()
}

/// Somebody about whom nothing is known but the name.
fn user(name: &str) -> Option<User<'_>> {
    Some(User { name, info: None })
}

fn empty() -> Roster {
    Roster::new(GRACE, NAMED, [])
}

/// The change since the last call.
fn take_change(roster: &mut Roster) -> Option<String> {
    let change = roster.change().map(|change| change.encode());
    roster.settle();
    change
}

fn snapshot(roster: &Roster) -> String {
    roster.snapshot().encode()
}

#[test]
fn a_snapshot_and_the_changes_add_up() {
    let members = [(client(1), user("b")), (client(2), user("a")), (client(3), None)];
    let mut roster = Roster::new(GRACE, NAMED, members);
    assert_eq!(snapshot(&roster), r#"{"members":["a","b"],"count":3}"#);
    assert_eq!(take_change(&mut roster), None);
    roster.join(client(4), user("c\""));
    let known = r#"{"members":["a","b"],"count":3}"#;
    assert_eq!(snapshot(&roster), known, "the change is still to come");
    let change = r#"{"joined":["c\""],"left":[],"count":4}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    assert_eq!(snapshot(&roster), r#"{"members":["a","b","c\""],"count":4}"#);
    let now = Instant::now();
    roster.leave(client(2), now);
    roster.expire(now + GRACE);
    assert_eq!(snapshot(&roster), r#"{"members":["a","b","c\""],"count":4}"#);
    let change = r#"{"joined":[],"left":["a"],"count":3}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    assert_eq!(snapshot(&roster), r#"{"members":["b","c\""],"count":3}"#);
}

#[test]
fn a_reload_is_not_noticed() {
    let now = Instant::now();
    let at = |seconds| now + Duration::from_secs(seconds);
    let mut roster = Roster::new(GRACE, NAMED, [(client(1), user("a")), (client(2), None)]);
    for (number, somebody) in [(1, user("a")), (2, None)] {
        roster.leave(client(number), now);
        roster.expire(at(4));
        assert!(roster.is_leaving());
        roster.join(client(number + 2), somebody);
        roster.leave(client(number + 2), at(4));
        // The first time that they left counts for nothing.
        roster.expire(at(8));
        assert_eq!(take_change(&mut roster), None, "{somebody:?}");
        roster.join(client(number + 4), somebody);
        roster.expire(at(20));
        assert_eq!(take_change(&mut roster), None, "{somebody:?}");
        assert!(!roster.is_leaving());
    }
}

#[test]
fn somebody_with_several_tabs_is_one_person() {
    let now = Instant::now();
    let mut roster = empty();
    for number in 1..=3 {
        roster.join(client(number), user("a"));
    }
    let change = r#"{"joined":["a"],"left":[],"count":1}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    roster.leave(client(1), now);
    roster.leave(client(2), now);
    roster.leave(client(2), now);
    roster.expire(now + GRACE);
    assert_eq!(take_change(&mut roster), None);
    roster.leave(client(3), now);
    roster.expire(now + GRACE);
    let change = r#"{"joined":[],"left":["a"],"count":0}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    assert_eq!(roster.connections().count(), 0);
}

#[test]
fn somebody_who_leaves_and_comes_back_between_two_changes_is_no_change() {
    let now = Instant::now();
    let mut roster = Roster::new(GRACE, NAMED, [(client(1), user("a"))]);
    roster.leave(client(1), now);
    roster.expire(now + GRACE);
    roster.join(client(2), user("a"));
    assert_eq!(take_change(&mut roster), None);
    roster.join(client(3), user("b"));
    roster.leave(client(3), now);
    roster.expire(now + GRACE);
    assert_eq!(take_change(&mut roster), None);
}

#[test]
fn above_a_hundred_only_the_count_is_sent() {
    let now = Instant::now();
    let mut roster = empty();
    let names: Vec<_> = (0..=100).map(|number| number.to_string()).collect();
    for (number, name) in (1..).zip(&names) {
        roster.join(client(number), user(name));
    }
    assert_eq!(take_change(&mut roster).as_deref(), Some(r#"{"count":101}"#));
    assert_eq!(snapshot(&roster), r#"{"count":101}"#);
    assert_eq!(take_change(&mut roster), None);
    roster.leave(client(1), now);
    roster.expire(now + GRACE);
    // The watchers do not know the names, so they get all.
    let all = take_change(&mut roster).unwrap();
    assert!(all.starts_with(r#"{"members":["1","10","100","11","#), "{all}");
    assert!(all.ends_with(r#","99"],"count":100}"#), "{all}");
    assert_eq!(snapshot(&roster), all);
}

#[test]
fn those_who_may_miss_messages_get_all_names_each_time() {
    let audience = Audience { may_miss: true, ..NAMED };
    let mut roster = Roster::new(GRACE, audience, [(client(1), user("a"))]);
    assert_eq!(take_change(&mut roster), None);
    roster.join(client(2), user("b"));
    let all = r#"{"members":["a","b"],"count":2}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(all));
}

#[test]
fn without_tokens_there_is_only_a_count() {
    let mut roster =
        Roster::new(GRACE, Audience { names: false, may_miss: false }, [(client(1), None)]);
    assert_eq!(snapshot(&roster), r#"{"count":1}"#);
    roster.join(client(2), None);
    assert_eq!(take_change(&mut roster).as_deref(), Some(r#"{"count":2}"#));
    assert_eq!(take_change(&mut roster), None);
}

#[test]
fn there_is_a_limit_on_those_who_are_leaving() {
    let now = Instant::now();
    let mut roster = empty();
    for number in 1..=MAX_LEAVING as u32 + 1 {
        for (client, name) in [(number, Some(number.to_string())), (number + 10_000, None)] {
            roster.join(super::tests::client(client), name.as_deref().and_then(user));
        }
    }
    for number in 1..=MAX_LEAVING as u32 + 1 {
        roster.leave(client(number), now);
        roster.leave(client(number + 10_000), now);
    }
    assert_eq!(roster.leaving.len(), MAX_LEAVING);
    assert_eq!(roster.nameless_leaving.len(), MAX_LEAVING);
    assert_eq!(take_change(&mut roster).as_deref(), Some(r#"{"count":2000}"#));
}

#[test]
fn names_come_with_the_info_of_the_newest_connection() {
    let infos = ["{\"name\":\"Ann\"}", "{\"name\":\"Bob\"}"].map(|json| Info::parse(json).unwrap());
    let with = |name, info| Some(User { name, info: Some(info) });
    let now = Instant::now();
    let mut roster =
        Roster::new(GRACE, NAMED, [(client(1), with("a", &infos[0])), (client(2), user("b"))]);
    let known = r#"{"members":["a","b"],"info":{"a":{"name":"Ann"}},"count":2}"#;
    assert_eq!(snapshot(&roster), known);
    roster.join(client(3), with("c", &infos[1]));
    assert_eq!(snapshot(&roster), known);
    let change = r#"{"joined":["c"],"left":[],"info":{"c":{"name":"Bob"}},"count":3}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
    // New info alone is no change, and stays when its connection ends before others.
    roster.join(client(4), with("a", &infos[1]));
    roster.join(client(5), with("b", &infos[0]));
    roster.join(client(6), user("c"));
    roster.leave(client(4), now);
    roster.expire(now + GRACE);
    assert_eq!(take_change(&mut roster), None);
    let all =
        r#"{"members":["a","b","c"],"info":{"a":{"name":"Bob"},"b":{"name":"Ann"}},"count":3}"#;
    assert_eq!(snapshot(&roster), all);
    // A watcher that comes before the change still learns who has left.
    roster.leave(client(1), now);
    roster.expire(now + GRACE);
    assert_eq!(snapshot(&roster), all);
    let change = r#"{"joined":[],"left":["a"],"count":2}"#;
    assert_eq!(take_change(&mut roster).as_deref(), Some(change));
}

/// What happens to a room.
#[derive(Debug, Clone)]
enum Step {
    /// Connections of some people, or of as many without a name.
    Join { people: Range<u32>, named: bool },
    /// The ends of some connections.
    Leave(Vec<Index>),
    /// Time passes, in milliseconds.
    Wait(u64),
    /// The watchers get what has changed.
    Tell,
    /// A watcher comes.
    Watch,
    /// All watchers go.
    Desert,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let people = (0..120u32, 1..60u32).prop_map(|(first, count)| first..first + count);
    let step = prop_oneof![
        3 => (people, any::<bool>()).prop_map(|(people, named)| Step::Join { people, named }),
        // Fewer than may be leaving at once.
        4 => vec(any::<Index>(), 1..MAX_LEAVING / 40).prop_map(Step::Leave),
        2 => (0..3000u64).prop_map(Step::Wait),
        4 => Just(Step::Tell),
        1 => Just(Step::Watch),
        1 => Just(Step::Desert),
    ];
    vec(step, 0..40)
}

/// What a watcher knows, according to the messages that it has received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Watcher {
    names: BTreeSet<String>,
    count: u64,
}

impl Watcher {
    /// Follows the documentation, and checks that each name is news.
    fn receive(&mut self, message: &str) {
        let message: Value = serde_json::from_str(message).unwrap();
        let names = |key: &str| {
            let names = message.get(key)?.as_array().unwrap().iter();
            Some(names.map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>())
        };
        if message.get("members").is_some() || message.get("joined").is_none() {
            self.names.clear();
        }
        for name in names("members").or(names("joined")).unwrap_or_default() {
            assert!(self.names.insert(name), "{message}");
        }
        for name in names("left").unwrap_or_default() {
            assert!(self.names.remove(&name), "{message}");
        }
        self.count = message["count"].as_u64().unwrap();
    }
}

/// The connections to a room, and when others have ended.
#[derive(Debug, Default)]
struct Model {
    open: Vec<(ClientId, Option<String>)>,
    left: HashMap<String, Instant>,
    nameless_left: VecDeque<Instant>,
}

impl Model {
    fn join(&mut self, client: ClientId, name: Option<String>) {
        if name.is_none() {
            self.nameless_left.pop_front();
        }
        self.open.push((client, name));
    }

    fn leave(&mut self, index: &Index, now: Instant) -> Option<ClientId> {
        let index = (!self.open.is_empty()).then(|| index.index(self.open.len()))?;
        let (client, name) = self.open.swap_remove(index);
        match name {
            Some(name) => _ = self.left.insert(name, now),
            None => self.nameless_left.push_back(now),
        }
        Some(client)
    }

    /// What everyone who watches must know.
    fn truth(&mut self, has_names: bool, now: Instant) -> Watcher {
        let is_there = |left: &Instant| now < *left + GRACE;
        self.left.retain(|_, left| is_there(left));
        self.nameless_left.retain(is_there);
        let mut names: BTreeSet<_> = self.left.keys().cloned().collect();
        names.extend(self.open.iter().filter_map(|(_, name)| name.clone()));
        let nameless = self.open.iter().filter(|(_, name)| name.is_none()).count();
        let count = names.len() + nameless + self.nameless_left.len();
        if !has_names || count > MAX_NAMES {
            names.clear();
        }
        Watcher { names, count: count as u64 }
    }
}

proptest! {
    #[test]
    fn what_watchers_are_sent_adds_up_to_the_truth(
        steps in steps(),
        names in any::<bool>(),
        may_miss in any::<bool>(),
    ) {
        let mut now = Instant::now();
        let mut roster = Roster::new(GRACE, Audience { names, may_miss }, []);
        let mut model = Model::default();
        // With the newest message that each of them has not read.
        let mut watchers: Vec<(Watcher, Option<String>)> = Vec::new();
        let mut told = Watcher::default();
        let mut clients = (1..).map(client);
        let mut turns = 0..;
        let end = [Step::Watch, Step::Wait(GRACE.as_millis() as u64), Step::Tell];
        for step in steps.into_iter().chain(end) {
            match step {
                Step::Join { people, named } => for number in people {
                    let name = (named && names).then(|| number.to_string());
                    let client = clients.next().unwrap();
                    roster.join(client, name.as_deref().and_then(user));
                    model.join(client, name);
                },
                Step::Leave(indices) => for index in indices {
                    model.leave(&index, now).inspect(|&client| roster.leave(client, now));
                },
                Step::Wait(time) => now += Duration::from_millis(time),
                Step::Tell => {
                    roster.expire(now);
                    let change = take_change(&mut roster);
                    let truth = model.truth(names, now);
                    prop_assert!(watchers.is_empty() || change.is_some() == (told != truth));
                    told = truth;
                    for ((watcher, unread), turn) in watchers.iter_mut().zip(&mut turns) {
                        *unread = change.clone().or(unread.take());
                        if may_miss && turn % 3 != 0 {
                            continue;
                        }
                        unread.take().iter().for_each(|message| watcher.receive(message));
                        prop_assert_eq!(&*watcher, &told);
                    }
                }
                Step::Watch => {
                    let mut watcher = Watcher::default();
                    if watchers.is_empty() {
                        roster.settle();
                        watcher.receive(&snapshot(&roster));
                        told = watcher.clone();
                    } else {
                        watcher.receive(&snapshot(&roster));
                        prop_assert_eq!(&watcher, &told);
                    }
                    watchers.push((watcher, None));
                }
                Step::Desert => watchers.clear(),
            }
        }
    }
}
