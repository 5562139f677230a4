//! Closing connections by an operator's order.

use log::info;
use serde_json::{Value, json};
use townhall::{ClientId, CloseCode, Handle, Request};

use super::parameters::{number, parameters};
use super::question::{Unanswered, ask};

/// How many connections are closed in one turn of the event loop. This takes about as long as a flush.
const BATCH: usize = 500;

/// The maximum length of a reason in bytes: a close frame has at most 125, of which two are the code
/// (RFC 6455, section 5.5).
const MAX_REASON_BYTES: usize = 123;

/// The only code that a client may send, but not a server (RFC 6455, section 7.4.1).
const MANDATORY_EXTENSION: u16 = 1010;

/// What to write into the close frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    code: CloseCode,
    reason: String,
}

impl Order {
    pub fn new(code: CloseCode, reason: &str) -> Self {
        Self { code, reason: reason.to_owned() }
    }

    /// Reads the parameters `code`, which is 1000 by default, and `reason`. Others do not count.
    ///
    /// # Errors
    /// Why a parameter is wrong.
    pub fn parse(request: &Request<'_>) -> Result<Self, String> {
        let mut order = Self { code: CloseCode::NORMAL, reason: String::new() };
        for (name, value) in parameters(request) {
            match &*name {
                "code" => order.code = code(&value)?,
                "reason" if value.len() > MAX_REASON_BYTES => {
                    let length = value.len();
                    return Err(format!(
                        "reason has {length} bytes, but must have at most {MAX_REASON_BYTES}"
                    ));
                }
                "reason" => order.reason = value.into_owned(),
                _ => {}
            }
        }
        Ok(order)
    }
}

/// A code that a server may send (RFC 6455, section 7.4).
fn code(value: &str) -> Result<CloseCode, String> {
    let code = number(value).filter(|&code| code != MANDATORY_EXTENSION).and_then(CloseCode::new);
    code.ok_or_else(|| {
        format!(
            "code is {value:?}, but must be 1000 to 1003, 1007 to 1009, 1011 to 1014, or 3000 to 4999"
        )
    })
}

/// Closes everyone who is in a room now. Returns `None` if there is no such room.
///
/// # Errors
/// The event loop did not answer. A part of the members may have been closed.
pub fn close_room(handle: &Handle, room: &str, order: &Order) -> Result<Option<Value>, Unanswered> {
    let name = room.to_owned();
    let list = move |hub: &mut townhall::Hub| {
        hub.room(&name).map(|room| hub.members(room.name()).collect::<Vec<_>>())
    };
    let Some(members) = ask(handle, list)? else { return Ok(None) };
    let mut closed = 0;
    for batch in members.chunks(BATCH) {
        closed += close(handle, batch.to_vec(), Some(room.to_owned()), order.clone())?;
    }
    info!("an operator closed {closed} connections in {room} with {}", order.code);
    Ok(Some(json!({"closed": closed})))
}

/// Closes one connection. Returns `None` if it is not open.
///
/// # Errors
/// The event loop did not answer.
pub fn close_connection(
    handle: &Handle,
    client: ClientId,
    order: &Order,
) -> Result<Option<Value>, Unanswered> {
    let closed = close(handle, vec![client], None, order.clone())?;
    if closed == 0 {
        return Ok(None);
    }
    info!("an operator closed {client} with {}", order.code);
    Ok(Some(json!({"closed": closed})))
}

/// Closes those of the clients that are open, and returns how many they are.
///
/// # Errors
/// The event loop did not answer. A part of the clients may have been closed.
pub fn close_all(
    handle: &Handle,
    clients: &[ClientId],
    order: &Order,
) -> Result<usize, Unanswered> {
    let batches = clients.chunks(BATCH);
    batches.map(|batch| close(handle, batch.to_vec(), None, order.clone())).sum()
}

/// Closes those of the clients that are open, and are still in the room if there is one. Returns how many
/// they are.
fn close(
    handle: &Handle,
    clients: Vec<ClientId>,
    room: Option<String>,
    order: Order,
) -> Result<usize, Unanswered> {
    ask(handle, move |hub| {
        let mut closed = 0;
        for client in clients {
            let is_there = room.is_none() || hub.room_of(client) == room.as_deref();
            if is_there && hub.is_open(client) {
                hub.close(client, order.code, &order.reason);
                closed += 1;
            }
        }
        closed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(query: &str) -> Result<Order, String> {
        let head = format!("DELETE /rooms/a?{query} HTTP/1.1\r\nHost: a\r\n\r\n");
        Order::parse(&Request::parse(head.as_bytes(), 10).unwrap())
    }

    #[test]
    fn an_order_has_a_code_that_a_server_may_send_and_a_reason_that_fits() {
        let normal = Order { code: CloseCode::NORMAL, reason: String::new() };
        assert_eq!(order(""), Ok(normal));
        let moved = Order { code: CloseCode::new(4001).unwrap(), reason: "we moved".to_owned() };
        assert_eq!(order("code=4001&reason=we+moved"), Ok(moved));
        for code in [1000, 1003, 1007, 1009, 1011, 1014, 3000, 4999] {
            assert_eq!(order(&format!("code={code}")).unwrap().code.get(), code);
        }
        for code in ["", "0", "999", "1004", "1005", "1006", "1010", "1015", "2999", "5000", "x"] {
            let reason = order(&format!("code={code}")).unwrap_err();
            assert!(reason.starts_with(&format!("code is {code:?}, but")), "{reason}");
        }
        assert_eq!(order(&format!("reason={}", "a".repeat(123))).unwrap().reason.len(), 123);
        let long = order(&format!("reason={}", "%C3%A9".repeat(62))).unwrap_err();
        assert_eq!(long, "reason has 124 bytes, but must have at most 123");
    }
}
