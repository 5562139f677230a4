//! Making a token for a trial, and explaining one.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header, encode};
use serde::Serialize;
use serde_json::Value;

use super::claims::Claims;
use super::info::Info;
use super::keys::{self, Keys, Rules};
use crate::flags::TokenFlags;

/// Makes a token with the key in a file: an HMAC secret, or a private key in PEM.
///
/// # Errors
/// The key or the info cannot be used.
pub fn make(flags: &TokenFlags) -> io::Result<String> {
    let [file] = &*flags.key_file else {
        return Err(io::Error::other("one --key-file is needed to make a token"));
    };
    let content = keys::read(file).map_err(|error| keys::explain(error, file))?;
    let invalid =
        |reason: String| keys::explain(io::Error::new(io::ErrorKind::InvalidData, reason), file);
    let (algorithm, key) = signing_key(&content).map_err(|reason| invalid(reason.to_owned()))?;
    let claims = claims(flags, keys::now())?;
    encode(&Header::new(algorithm), &claims, &key).map_err(|error| invalid(error.to_string()))
}

fn signing_key(content: &[u8]) -> Result<(Algorithm, EncodingKey), &'static str> {
    let Some(pem) = keys::as_pem(content) else {
        let key = EncodingKey::from_secret(keys::secret(content)?).map_err(|_| "it is empty")?;
        return Ok((Algorithm::HS256, key));
    };
    if pem.contains("PUBLIC KEY-----") {
        return Err("it holds a public key, but the private one is needed to make a token");
    }
    let bytes = pem.as_bytes();
    let ed = EncodingKey::from_ed_pem(bytes).map(|key| (Algorithm::EdDSA, key));
    let ec = || EncodingKey::from_ec_pem(bytes).map(|key| (Algorithm::ES256, key));
    let rsa = || EncodingKey::from_rsa_pem(bytes).map(|key| (Algorithm::RS256, key));
    ed.or_else(|_| ec()).or_else(|_| rsa()).map_err(|_| {
        "it is not an Ed25519, P-256 or RSA key in PEM without a password; openssl pkcs8 -topk8 -nocrypt \
         converts one that begins with -----BEGIN EC PRIVATE KEY-----"
    })
}

/// The claims of a new token.
#[derive(Debug, Serialize)]
struct NewClaims<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'f str>,
    iat: u64,
    exp: u64,
    townhall: NewRights,
}

#[derive(Debug, Serialize)]
struct NewRights {
    join: Vec<String>,
    publish: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Info>,
}

fn claims(flags: &TokenFlags, now: f64) -> io::Result<NewClaims<'_>> {
    let now = now as u64;
    let texts = |patterns: Vec<townhall::RoomPattern>| -> Vec<_> {
        patterns.iter().map(ToString::to_string).collect()
    };
    let info = flags.info.as_deref().map(Info::parse).transpose();
    let invalid = |reason| io::Error::new(io::ErrorKind::InvalidInput, format!("--info: {reason}"));
    let townhall = NewRights {
        join: texts(flags.join()),
        publish: texts(flags.publish()),
        info: info.map_err(invalid)?,
    };
    Ok(NewClaims {
        sub: flags.sub.as_deref(),
        jti: flags.jti.as_deref(),
        aud: flags.audience.as_deref(),
        iss: flags.issuer.as_deref(),
        iat: now,
        exp: now.saturating_add(flags.ttl.as_secs()),
        townhall,
    })
}

/// Describes a token, and says whether it is valid with the keys of the flags.
///
/// # Errors
/// A key cannot be used.
pub fn explain(flags: &TokenFlags, token: &str) -> io::Result<(String, bool)> {
    let rules = Rules { audience: flags.audience.clone(), issuer: flags.issuer.clone() };
    let files: &[PathBuf] = &flags.key_file;
    let keys = Keys::read(files, &rules)?;
    let mut text = String::new();
    // Writing to a string does not fail.
    if let Ok(header) = decode_header(token) {
        let _ = writeln!(text, "algorithm: {:?}", header.alg);
    }
    if let Ok(claims) = insecure_decode_claims::<Value>(token) {
        let _ = writeln!(text, "claims: {claims:#}");
    }
    let now = keys::now();
    let verified = keys.verify(token, now);
    match &verified {
        Ok(claims) => describe(claims, now, &mut text),
        Err(denial) => text += &format!("not valid: {}\n", denial.reason),
    }
    Ok((text, verified.is_ok()))
}

fn describe(claims: &Claims, now: f64, text: &mut String) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "may join: {}", claims.join.show());
    let _ = writeln!(text, "may publish in: {}", claims.publish.show());
    let rest = Duration::from_secs((claims.expires_at - now).max(0.0) as u64);
    let _ = writeln!(text, "valid for {}", humantime::format_duration(rest));
}
