//! What other processes have told about the people in their rooms.

use std::collections::HashMap;

use super::people::People;

/// The people of other processes.
#[derive(Debug, Default)]
pub struct Remote {
    /// By process, and by room. Rooms in which nobody is are not here.
    processes: HashMap<Box<str>, HashMap<Box<str>, People>>,
}

impl Remote {
    /// Those whom a process has in a room, if it has any.
    pub fn get(&self, process: &str, room: &str) -> Option<&People> {
        self.processes.get(process)?.get(room)
    }

    /// Notes whom a process has in a room now.
    pub fn set(&mut self, process: &str, room: &str, people: People) {
        if !people.is_empty() {
            self.processes.entry(process.into()).or_default().insert(room.into(), people);
        } else if let Some(rooms) = self.processes.get_mut(process) {
            rooms.remove(room);
            if rooms.is_empty() {
                self.processes.remove(process);
            }
        }
    }

    /// Forgets a process, and returns the people whom it had in its rooms.
    pub fn forget(&mut self, process: &str) -> HashMap<Box<str>, People> {
        self.processes.remove(process).unwrap_or_default()
    }

    /// Those whom each process has in a room.
    pub fn in_room(&self, room: &str) -> impl Iterator<Item = &People> {
        self.processes.values().filter_map(move |rooms| rooms.get(room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nameless(count: usize) -> People {
        People::new(count, [].into_iter(), count)
    }

    fn count(remote: &Remote, room: &str) -> usize {
        remote.in_room(room).map(People::connections).sum()
    }

    #[test]
    fn the_people_of_all_processes_add_up() {
        let mut remote = Remote::default();
        remote.set("1", "/a", nameless(2));
        remote.set("2", "/a", nameless(3));
        remote.set("2", "/b", nameless(4));
        assert_eq!(["/a", "/b", "/c"].map(|room| count(&remote, room)), [5, 4, 0]);
        remote.set("1", "/a", nameless(1));
        assert_eq!(count(&remote, "/a"), 4);
        assert_eq!(remote.get("1", "/a"), Some(&nameless(1)));
        assert_eq!(remote.get("1", "/b"), None);
        remote.set("1", "/a", People::default());
        remote.set("1", "/b", People::default());
        assert_eq!(["/a", "/b"].map(|room| count(&remote, room)), [3, 4]);
        assert_eq!(remote.processes.len(), 1, "nothing is kept about vacant rooms");
        assert_eq!(remote.forget("2").len(), 2);
        assert_eq!(remote.forget("2").len(), 0);
        assert!(remote.processes.is_empty());
    }
}
