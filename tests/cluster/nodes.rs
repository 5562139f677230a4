//! A cluster of three nodes without replicas.

use crate::redis::Redis;
use crate::support::{eventually, free_port};

const SLOTS: [[&str; 2]; 3] = [["0", "5460"], ["5461", "10922"], ["10923", "16383"]];

pub struct Nodes(pub [Redis; 3]);

impl Nodes {
    pub fn start() -> Self {
        let buses = [(); 3].map(|()| free_port());
        let nodes = Self(buses.map(|bus| {
            Redis::start_on_port(&format!("cluster-enabled yes\ncluster-port {bus}\n"))
        }));
        for (node, [first, last]) in nodes.0.iter().zip(SLOTS) {
            node.cli(&["cluster", "addslotsrange", first, last]);
        }
        for (node, bus) in nodes.0.iter().zip(buses).skip(1) {
            let (port, bus) = (node.port.to_string(), bus.to_string());
            nodes.0[0].cli(&["cluster", "meet", "127.0.0.1", &port, &bus]);
        }
        let is_complete = |node: &Redis| {
            let info = node.cli(&["cluster", "info"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        };
        eventually("the cluster is complete", || nodes.0.iter().all(is_complete));
        nodes
    }

    /// The URLs for `--redis`.
    pub fn urls(&self) -> String {
        self.0.iter().map(Redis::url).collect::<Vec<_>>().join(",")
    }

    /// The slot of a key.
    pub fn slot(&self, key: &str) -> u16 {
        self.0[0].cli(&["cluster", "keyslot", key]).parse().unwrap()
    }

    /// The index of the node that has a slot, at the beginning.
    pub fn owner(slot: u16) -> usize {
        SLOTS.iter().position(|[_, last]| slot <= last.parse().unwrap()).unwrap()
    }

    /// Moves a slot with its keys from one node to another, as Redis documents it (`CLUSTER SETSLOT`).
    pub fn move_slot(&self, slot: u16, from: usize, to: usize) {
        let (from, to, slot) = (&self.0[from], &self.0[to], slot.to_string());
        let [from_id, to_id] = [from, to].map(|node| node.cli(&["cluster", "myid"]));
        to.cli(&["cluster", "setslot", &slot, "importing", &from_id]);
        from.cli(&["cluster", "setslot", &slot, "migrating", &to_id]);
        let port = to.port.to_string();
        loop {
            // One key at a time, so that there is a moment in which each node has some of them.
            let key = from.cli(&["cluster", "getkeysinslot", &slot, "1"]);
            if key.is_empty() {
                break;
            }
            from.cli(&["migrate", "127.0.0.1", &port, &key, "0", "5000"]);
        }
        for node in [to, from] {
            node.cli(&["cluster", "setslot", &slot, "node", &to_id]);
        }
    }
}
