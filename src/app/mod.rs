//! What the program does with the events of its clients.

mod delivery;
mod pages;

use std::io;
use std::rc::Rc;

use log::warn;
use townhall::{ClientId, Event, Hub, Message, Server, ShutdownConfig, Start};

use crate::admin;
use crate::auth::{self, Auth, Session};
use crate::cluster::{self, Cluster, Hearsay, News};
use crate::presence::{self, Counter, MemberRooms, People, Presence};
use crate::publish::{self, Publisher};
use crate::state::State;
use crate::systemd;

pub use delivery::Delivery;
pub use pages::Pages;

/// The application: what the flags ask for, and what there is of each.
pub struct App {
    pub delivery: Delivery,
    pub pages: Pages,
    pub auth: Option<Rc<Auth>>,
    pub rooms: MemberRooms,
    pub presence: Presence,
    pub counter: Counter,
    pub publisher: Option<Publisher>,
    /// The rooms that other processes have too, if there are some.
    pub cluster: Option<Cluster>,
    pub state: Option<State>,
    pub admin: Option<admin::Running>,
    pub shutdown: ShutdownConfig,
}

impl App {
    /// Serves until the server is stopped.
    ///
    /// # Errors
    /// Those of [`Server::run`].
    pub fn run(mut self, server: Server) -> io::Result<()> {
        server.run(|hub, client, event| self.handle(hub, client, event))?;
        self.cluster.into_iter().for_each(Cluster::finish);
        self.admin.into_iter().for_each(admin::Running::finish);
        Ok(())
    }

    fn handle(&mut self, hub: &mut Hub, client: ClientId, event: Event<'_>) {
        match event {
            Event::Begin => self.begin(hub),
            Event::End => self.end(hub),
            Event::Request(exchange) => match &mut self.publisher {
                Some(publisher) if !matches!(exchange.request().method(), "GET" | "HEAD") => {
                    let cluster = self.cluster.as_mut();
                    publisher.answer(&self.presence, hub, client, exchange, cluster);
                }
                _ => self.pages.answer(&self.counter, &self.presence, hub, client, exchange),
            },
            Event::Head(head) if let Some(publisher) = &self.publisher => {
                publisher.admit(hub, client, head);
            }
            Event::Upgrade(upgrade) if let Some(auth) = &self.auth => {
                let room = self.rooms.governing(upgrade.room()).to_owned();
                auth.admit(hub, client, &room, upgrade);
            }
            Event::Open { room, subprotocol, start, .. } => {
                self.open(hub, client, (room, start), subprotocol);
            }
            Event::Message(_) if self.presence.silence(hub, client) => {}
            Event::Message(message) => self.forward(hub, client, message),
            Event::Close(_) => self.close(hub, client),
            Event::Timer { token, .. } => self.expire(hub, client, token),
            // The next process may take over the addresses now.
            Event::Shutdown => self.admin.iter().for_each(admin::Running::stop),
            Event::Reload => self.reload(),
            Event::Stop => self.stop(hub),
            _ => {}
        }
    }

    fn begin(&mut self, hub: &mut Hub) {
        if let Some(cluster) = &self.cluster {
            self.presence.share();
            cluster.begin(hub);
        }
        if let Some(state) = &mut self.state {
            state.restore(hub, self.publisher.as_mut());
        }
    }

    fn end(&self, hub: &Hub) {
        if let Some(state) = &self.state {
            state.save(hub, self.publisher.as_ref());
        }
    }

    /// Lets a client that has opened join its room, if it may.
    fn open(
        &mut self,
        hub: &mut Hub,
        client: ClientId,
        (room, start): (&str, Start),
        subprotocol: Option<&str>,
    ) {
        if let Some(name) = subprotocol.filter(|_| self.admin.is_some()) {
            keep_subprotocol(hub, client, name);
        }
        if self.auth.as_deref().is_none_or(|auth| auth.open(hub, client))
            && self.join(hub, client, room, start)
        {
            self.note_member(hub, client, room);
        }
    }

    /// Lets a client join a room. Returns whether it is a member now. A room that others have too may first
    /// have to be found.
    fn join(&mut self, hub: &mut Hub, client: ClientId, room: &str, start: Start) -> bool {
        match &mut self.cluster {
            Some(cluster) if self.rooms.shown_by(room).is_none() => {
                cluster.enter(hub, client, room, start)
            }
            _ => hub.join_from(client, room, start),
        }
    }

    fn note_member(&mut self, hub: &mut Hub, client: ClientId, room: &str) {
        if let Some(auth) = &self.auth {
            auth.plan_notice(hub, client, room);
        }
        self.presence.join(hub, client, room);
    }

    /// Handles what came from Redis.
    fn work(&mut self, hub: &mut Hub) {
        let Some(cluster) = &mut self.cluster else { return };
        let News { joined, published, revocations, heard } = cluster.work(hub);
        for (client, room) in joined {
            self.note_member(hub, client, &room);
        }
        for (number, published) in published {
            let publisher = self.publisher.iter_mut();
            let presence = &self.presence;
            publisher.for_each(|publisher| publisher.complete(presence, hub, number, &published));
        }
        for revocation in revocations {
            let left = revocation.left();
            let auth = self.auth.iter();
            auth.for_each(|auth| auth.learn(hub, revocation.identity.clone(), left, revocation.at));
        }
        heard.into_iter().for_each(|hearsay| self.hear(hub, hearsay));
    }

    /// Notes what another process says about the people in its rooms.
    fn hear(&mut self, hub: &mut Hub, hearsay: Hearsay) {
        match hearsay {
            Hearsay::Room { process, room, people } => {
                let people =
                    people.map_or_else(|| Ok(People::default()), |text| People::decode(&text));
                match people {
                    Ok(people) => self.presence.set_remote(hub, &process, &room, people),
                    Err(error) => warn!("Redis: {process} says of {room:?}: {error}"),
                }
            }
            Hearsay::Forget { process } => self.presence.forget_process(hub, &process),
        }
    }

    /// Says to other processes who is in the rooms here.
    fn share(&mut self, hub: &mut Hub) {
        let Self { presence, cluster: Some(cluster), .. } = self else { return };
        cluster.share(hub, |everything| {
            let changes = presence.changes();
            let people = if everything { presence.all() } else { changes };
            let say =
                |(room, people): (_, People)| (room, (!people.is_empty()).then(|| people.encode()));
            people.into_iter().map(say).collect()
        });
    }

    /// Forwards a message, if its sender may publish.
    fn forward(&mut self, hub: &mut Hub, client: ClientId, message: Message<'_>) {
        if !self.auth.as_ref().is_none_or(|auth| auth.may_publish(hub, client)) {
            return;
        }
        let message = self.delivery.truncate(message);
        match &mut self.cluster {
            Some(cluster) => cluster.publish(hub, client, message),
            None => self.delivery.deliver(hub, client, message),
        }
    }

    fn close(&mut self, hub: &mut Hub, client: ClientId) {
        self.auth.iter().for_each(|auth| auth.close(hub, client));
        self.cluster.iter_mut().for_each(|cluster| cluster.leave(client));
        self.presence.leave(hub, client);
    }

    /// Does what a timer was set for.
    fn expire(&mut self, hub: &mut Hub, client: ClientId, token: u64) {
        match token {
            presence::CHANGES | presence::EVENTS => self.presence.expire(hub, token),
            auth::NOTICE => self.auth.iter().for_each(|auth| auth.notify(hub, client)),
            auth::EXPIRY => auth::expire(hub, client),
            publish::EXPIRY => {
                self.publisher.iter_mut().for_each(|publisher| publisher.expire(hub));
            }
            cluster::REPORTS => self.work(hub),
            cluster::SHARE => self.share(hub),
            cluster::CHECK => self.cluster.iter_mut().for_each(|cluster| cluster.check(hub)),
            systemd::WATCHDOG => systemd::feed_watchdog(hub),
            _ => {}
        }
    }

    fn stop(&mut self, hub: &mut Hub) {
        self.cluster.iter_mut().for_each(|cluster| cluster.stop(hub));
        systemd::stopping(&self.shutdown);
    }

    /// Reads the keys again.
    fn reload(&self) {
        self.auth.iter().for_each(|auth| auth.reload());
        systemd::reloaded();
    }
}

/// Keeps the subprotocol of a client for the admin listener.
fn keep_subprotocol(hub: &mut Hub, client: ClientId, name: &str) {
    if hub.data::<Session>(client).is_none() {
        hub.set_data(client, Session::default());
    }
    if let Some(session) = hub.data_mut::<Session>(client) {
        session.subprotocol = Some(name.into());
    }
}
