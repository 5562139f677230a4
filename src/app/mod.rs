//! What the program does with the events of its clients.

mod delivery;
mod pages;

use std::io;
use std::rc::Rc;

use townhall::{ClientId, Event, Hub, Message, Server, ShutdownConfig, Start};

use crate::admin;
use crate::auth::{self, Auth, Session};
use crate::presence::{self, Counter, MemberRooms, Presence};
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
        self.admin.into_iter().for_each(admin::Running::finish);
        Ok(())
    }

    fn handle(&mut self, hub: &mut Hub, client: ClientId, event: Event<'_>) {
        match event {
            Event::Begin => self.begin(hub),
            Event::End => self.end(hub),
            Event::Request(exchange) => match &mut self.publisher {
                Some(publisher) if !matches!(exchange.request().method(), "GET" | "HEAD") => {
                    publisher.answer(&self.presence, hub, client, exchange);
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
            Event::Stop => systemd::stopping(&self.shutdown),
            _ => {}
        }
    }

    fn begin(&mut self, hub: &mut Hub) {
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
        let auth = self.auth.as_deref();
        if !auth.is_none_or(|auth| auth.open(hub, client)) || !hub.join_from(client, room, start) {
            return;
        }
        if let Some(auth) = auth {
            auth.plan_notice(hub, client, room, subprotocol);
        }
        self.presence.join(hub, client, room);
    }

    /// Forwards a message, if its sender may publish.
    fn forward(&self, hub: &mut Hub, client: ClientId, message: Message<'_>) {
        if self.auth.as_ref().is_none_or(|auth| auth.may_publish(hub, client)) {
            self.delivery.deliver(hub, client, message);
        }
    }

    fn close(&mut self, hub: &mut Hub, client: ClientId) {
        self.auth.iter().for_each(|auth| auth.close(hub, client));
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
            systemd::WATCHDOG => systemd::feed_watchdog(hub),
            _ => {}
        }
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
