//! Three Sentinels, which choose another master when theirs does not answer.

use crate::redis::Redis;
use crate::support::eventually;

const NAME: &str = "mymaster";

/// Milliseconds that are shorter than those of real life. A pause of a busy machine does not count as a
/// change of the clock.
const HASTE: &str =
    "info-period 500 ping-period 200 ask-period 200 publish-period 300 tilt-trigger 60000";

pub struct Sentinels(Vec<Redis>);

impl Sentinels {
    /// Starts three Sentinels, and waits until they know one another and the replicas.
    pub fn start(master: &Redis, replicas: usize) -> Self {
        let lines = format!(
            "sentinel monitor {NAME} 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds {NAME} 1000\n",
            master.port
        );
        let sentinels = Self((0..3).map(|_| Redis::start_sentinel(&lines)).collect());
        let debug: Vec<_> = ["sentinel", "debug"].into_iter().chain(HASTE.split(' ')).collect();
        sentinels.tell(&debug);
        let knows = |sentinel: &Redis| {
            let state = sentinel.cli(&["sentinel", "master", NAME]);
            let lines: Vec<_> = state.lines().collect();
            let value =
                |field| lines.iter().position(|line| *line == field).map(|at| lines[at + 1]);
            value("num-other-sentinels") == Some("2")
                && value("num-slaves") == Some(&replicas.to_string())
        };
        eventually("the Sentinels know one another", || sentinels.0.iter().all(knows));
        sentinels
    }

    fn tell(&self, arguments: &[&str]) {
        for sentinel in &self.0 {
            sentinel.cli(arguments);
        }
    }

    /// The URLs for `--redis`.
    pub fn urls(&self) -> String {
        self.0.iter().map(Redis::url).collect::<Vec<_>>().join(",")
    }

    /// Waits until the Sentinels have made another server the master, because theirs is gone.
    pub fn wait_for_master(&self, redis: &Redis) {
        // If they do not agree who of them acts, they soon try again. Before, it also was how long a replica
        // might follow another address than that of the master, such as a relay.
        self.tell(&["sentinel", "set", NAME, "failover-timeout", "2000"]);
        let (port, role) = (redis.port.to_string(), Some("master".to_owned()));
        let agrees = |sentinel: &Redis| {
            let address = sentinel.cli(&["sentinel", "get-master-addr-by-name", NAME]);
            address.lines().nth(1) == Some(&port)
        };
        eventually("there is another master", || {
            self.0.iter().all(agrees) && redis.info("role") == role
        });
    }
}
