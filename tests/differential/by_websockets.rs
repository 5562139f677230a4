//! websockets, a library for Python, as a receiver: a process that answers lines of JSON.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::answer::{
    Answer, End, Event, Library, MAX_MESSAGE_BYTES, Question, Receiver, Role, TheirAnswer,
};

/// The process. The variable `PYTHON` names the interpreter that has the library.
#[derive(Debug)]
pub struct Websockets {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Websockets {
    pub fn start() -> Self {
        let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/receiver.py");
        let mut process = Command::new(python)
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let questions = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, questions, answers }
    }

    /// Whether it accepts a response with this text, in which `{key}` stands for the accept key.
    pub fn accepts(&mut self, response: &str) -> bool {
        let bytes = to_hex(response.as_bytes());
        self.ask(&json!({ "to": "negotiate as a client", "bytes": bytes }))["accepted"] == true
    }

    /// The key with which it accepts a request.
    pub fn negotiate(&mut self, head: &[u8]) -> Option<String> {
        let answer = self.ask(&json!({ "to": "negotiate as a server", "bytes": to_hex(head) }));
        (answer["status"] == 101).then(|| answer["accept"].as_str().unwrap().to_owned())
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").expect("it reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).expect("JSON; its own error is above")
    }
}

impl Drop for Websockets {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Receiver for Websockets {
    fn library(&self) -> Library {
        Library::Websockets
    }

    fn receive(&mut self, question: &Question) -> TheirAnswer {
        let deflate = question.setting.deflate.map(|terms| {
            json!({ "window_bits": terms.window_bits, "context_takeover": terms.context_takeover })
        });
        let question = json!({
            "to": match question.setting.role {
                Role::Server => "receive as a server",
                Role::Client => "receive as a client",
            },
            "max_size": MAX_MESSAGE_BYTES,
            "deflate": deflate,
            "bytes": to_hex(&question.bytes),
        });
        let answer = self.ask(&question);
        let received = answer["received"].as_array().unwrap().iter().map(event).collect();
        let code = answer["code"].as_u64().map(|code| code as u16);
        let end = match answer["end"].as_str().unwrap() {
            "open" => End::Open,
            "closed" => End::Closed(code),
            _ => End::Failed(code.unwrap()),
        };
        let reason = answer["reason"].as_str().unwrap_or_default().to_owned();
        TheirAnswer { answer: Answer { received, end }, reason }
    }
}

fn event(event: &Value) -> Event {
    let payload = from_hex(event[1].as_str().unwrap());
    match event[0].as_str().unwrap() {
        "text" => Event::Text(String::from_utf8(payload).unwrap()),
        "binary" => Event::Binary(payload),
        "ping" => Event::Ping(payload),
        _ => Event::Pong(payload),
    }
}

fn to_hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn from_hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}
