//! The whole event loop over a simulated system, with peers that a seed drives.

mod compression;
mod deadlines;
mod elsewhere;
mod frames;
mod link;
mod manner;
mod peer;
mod pings;
mod plan;
mod proxies;
mod receiving;
mod record;
mod tap;
mod tests;
mod turn;
mod world;

use std::cell::RefCell;
use std::env;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::LazyLock;

use super::{EventLoop, MAX_EVENTS};
use crate::server::Server;
use crate::server::client_id::ClientId;
use crate::server::event::Event;
use crate::server::hub::Hub;
use crate::server::system::{self, Events, Kernel, Random};

use plan::Plan;
use record::App;
use world::World;

/// The environment variable with the seed that is replayed.
const SEED: &str = "TOWNHALL_SIMULATION_SEED";

/// Runs the server with the peers of a seed until it has stopped. Returns a hash of everything that has
/// happened.
///
/// # Panics
/// If the server does not do what it promises, or does it too late or too early.
pub(super) fn run(seed: u64) -> u64 {
    let outcome = catch_unwind(AssertUnwindSafe(|| simulate(seed)));
    // Sockets that are dropped while the stack unwinds are those of nobody.
    system::uninstall();
    outcome.unwrap_or_else(|panic| {
        eprintln!("seed {seed} fails; to replay it: {SEED}={seed} cargo test --lib simulated");
        resume_unwind(panic)
    })
}

fn simulate(seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let plan = Plan::new(&mut random);
    let config = plan.config.clone();
    let kernel = Kernel::new(random.next(), plan.faults.clone(), plan.max_descriptors);
    if env::var_os(SEED).is_some() {
        println!("{plan:#?}");
    }
    let app = App::default();
    let world = Rc::new(RefCell::new(World::new(plan, random, app.0.clone())));
    system::install(kernel, Some(world.clone()));
    let mut server = Server::bind(config).expect("the simulated system binds everything");
    server.listen_to_signals().expect("the simulated system has signals");
    world.borrow_mut().begin(server.handle());
    serve(server.event_loop, &app);
    let world = world.borrow();
    world.check_end();
    let kernel = system::uninstall().expect("it was installed");
    assert_eq!(kernel.descriptors(), 0, "file descriptors are left");
    kernel.trace
}

/// Prints what happens, if one seed is replayed.
fn log(line: fmt::Arguments<'_>) {
    static IS_REPLAY: LazyLock<bool> = LazyLock::new(|| env::var_os(SEED).is_some());
    if *IS_REPLAY {
        let now = system::with(|kernel| kernel.elapsed());
        println!("{:11.6} {line}", now.as_secs_f64());
    }
}

/// Does what [`EventLoop::run`] does, and looks at the hub after each turn.
fn serve(mut event_loop: EventLoop, app: &App) {
    let handler = &mut |hub: &mut Hub, client, event: Event<'_>| app.handle(hub, client, event);
    let mut events = Events::with_capacity(MAX_EVENTS);
    handler(&mut event_loop.hub, ClientId::SERVER, Event::Begin);
    while !event_loop.is_over() {
        event_loop.turn(&mut events, handler).expect("the poll does not fail");
        turn::check_memory(&event_loop.hub);
        turn::check_counts(&event_loop.hub);
        app.check_timers(&event_loop.hub);
    }
    event_loop.abandon(handler);
    turn::check_end(&event_loop.hub);
    handler(&mut event_loop.hub, ClientId::SERVER, Event::End);
}
