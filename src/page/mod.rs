//! The chat page at `/`, one document that loads nothing else, and the module `/townhall.js` for other pages.

mod client_module;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use townhall::Response;

pub use client_module::ClientModule;

const HTML: &str = include_str!("index.html");
const CSS: &str = include_str!("page.css");
const JS: &str = concat!(include_str!("townhall.js"), include_str!("page.js"));

/// The document and its Content-Security-Policy.
pub struct Page {
    html: String,
    policy: String,
}

impl Page {
    /// Assembles the document. Its policy allows only the style and the script that it contains, by
    /// their hashes (Content Security Policy Level 3, section 2.3.1).
    pub fn new() -> Self {
        let html = HTML.replace("/*css*/", CSS).replace("/*js*/", JS);
        let style = hash(CSS);
        let script = hash(JS);
        let policy = format!(
            "default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Self { html, policy }
    }

    /// The response to a request for the page.
    pub fn response(&self) -> Response {
        let fields = [
            ("Content-Type", "text/html; charset=utf-8".into()),
            ("Content-Security-Policy", self.policy.clone()),
            ("X-Content-Type-Options", "nosniff".into()),
            ("Referrer-Policy", "no-referrer".into()),
            ("Cross-Origin-Opener-Policy", "same-origin".into()),
            ("Cache-Control", "no-cache".into()),
        ];
        let page = Response::new(200).body(self.html.clone().into_bytes());
        let add = |response: Response, (name, value)| response.header(name, value);
        fields.into_iter().try_fold(page, add).expect("the fields are valid")
    }
}

fn hash(content: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(content)))
}
