//! The keys that tokens are verified with.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};

use super::claims::{Claims, LEEWAY, RawClaims};
use super::denial::Denial;

/// The maximum length of a token. A cookie has about as much space.
const MAX_TOKEN_BYTES: usize = 4 << 10;

/// The maximum size of a key's file. An RSA key of 8,192 bits has about 1.5 KiB.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// The minimum length of an HMAC secret (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// The least that an RSA key of 2,048 bits takes, and how every P-256 key in PEM begins: the object
/// identifiers of RFC 5480, section 2.1.1, and the octet of an uncompressed point.
const MIN_RSA_BYTES: usize = 256;
const P256_BEGINNING: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

const ALGORITHM: Denial = Denial::invalid("no key has the algorithm of the token");
const SIGNATURE: Denial = Denial::invalid("the signature of the token is not valid");

/// Whom a token must be for, and from.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub audience: Option<String>,
    pub issuer: Option<String>,
}

/// A key, which fixes the algorithm of its tokens.
#[derive(Debug)]
pub struct Key {
    decoding: DecodingKey,
    validation: Validation,
}

impl Key {
    /// Reads a key from a file.
    ///
    /// # Errors
    /// The file cannot be read, or its content is not a key for verification.
    pub fn read(file: &Path, rules: &Rules) -> io::Result<Self> {
        let explain = |error| explain(error, file);
        let content = read(file).map_err(explain)?;
        let invalid = |reason| explain(io::Error::new(io::ErrorKind::InvalidData, reason));
        let (algorithm, decoding) = parse(&content).map_err(invalid)?;
        Ok(Self { decoding, validation: validation(algorithm, rules) })
    }

    /// The claims of a token.
    ///
    /// # Errors
    /// The token is not valid.
    fn verify(&self, token: &str) -> Result<Claims, Denial> {
        let decoded = decode::<RawClaims>(token, &self.decoding, &self.validation);
        Claims::of(decoded.map_err(|error| denial(error.kind()))?.claims)
    }
}

/// The keys of all files.
#[derive(Debug)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads the keys in these files.
    ///
    /// # Errors
    /// What is wrong with the first file that cannot be used.
    pub fn read(files: &[PathBuf], rules: &Rules) -> io::Result<Self> {
        files.iter().map(|file| Key::read(file, rules)).collect::<Result<_, _>>().map(Self)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The claims of a token. `now` is in seconds since the epoch.
    ///
    /// # Errors
    /// The token is not valid with any key.
    pub fn verify(&self, token: &str, now: f64) -> Result<Claims, Denial> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Denial::invalid("the token is longer than 4096 bytes"));
        }
        // A machine without a clock begins at the epoch.
        if now < 2.0 * LEEWAY.as_secs_f64() {
            return Err(Denial::invalid("the server's clock is not set"));
        }
        let mut denial = ALGORITHM;
        for key in &self.0 {
            match key.verify(token) {
                Err(ALGORITHM) => {}
                Err(SIGNATURE) => denial = SIGNATURE,
                result => return result,
            }
        }
        Err(denial)
    }
}

/// The time in seconds since the epoch, as tokens have it (RFC 7519, section 2).
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The content of a key's file.
///
/// # Errors
/// The file cannot be read, or is too long.
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 64 KiB"));
    }
    Ok(content)
}

/// Adds the file to an error about its key.
pub fn explain(error: io::Error, file: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("cannot use the key in {}: {error}", file.display()))
}

/// Whether the content of a file is text in PEM (RFC 7468).
pub fn as_pem(content: &[u8]) -> Option<&str> {
    str::from_utf8(content).ok().filter(|text| text.contains("-----BEGIN "))
}

/// An HMAC secret: the content of its file without a line feed at the end.
///
/// # Errors
/// It is too short, or looks like something that is not secret.
pub fn secret(content: &[u8]) -> Result<&[u8], &'static str> {
    let secret = content.strip_suffix(b"\n").unwrap_or(content);
    if secret.starts_with(b"ssh-") || secret.starts_with(b"{") {
        return Err("it looks like a key in another form than PEM");
    }
    if secret.len() < MIN_SECRET_BYTES {
        return Err("it is neither a public key in PEM, nor an HMAC secret of at least 32 bytes");
    }
    Ok(secret)
}

fn parse(content: &[u8]) -> Result<(Algorithm, DecodingKey), &'static str> {
    let Some(pem) = as_pem(content) else {
        let key = DecodingKey::from_secret(secret(content)?).map_err(|_| "it is empty")?;
        return Ok((Algorithm::HS256, key));
    };
    if pem.contains("PRIVATE KEY-----") {
        return Err("it holds a private key, but only the public key is needed: \
                    openssl pkey -in FILE -pubout prints it");
    }
    if pem.matches("-----BEGIN ").count() > 1 {
        return Err("it has more than one PEM block, but each key needs its own file");
    }
    parse_public(pem)
}

/// The algorithm and the key of PEM with one block.
fn parse_public(pem: &str) -> Result<(Algorithm, DecodingKey), &'static str> {
    const KINDS: &str = "it is not an Ed25519, P-256 or RSA key in PEM, which begins with \
                         -----BEGIN PUBLIC KEY-----";
    let is_spki = pem.contains("-----BEGIN PUBLIC KEY-----");
    if !is_spki && !pem.contains("-----BEGIN RSA PUBLIC KEY-----") {
        return Err(KINDS);
    }
    let bytes = pem.as_bytes();
    if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
        return Ok((Algorithm::EdDSA, key));
    }
    if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
        let lines = pem.lines().filter(|line| !line.starts_with("-----"));
        let base64: String = lines.map(str::trim).collect();
        let is_p256 = base64.starts_with(P256_BEGINNING);
        return if is_p256 { Ok((Algorithm::ES256, key)) } else { Err(KINDS) };
    }
    let key = DecodingKey::from_rsa_pem(bytes).map_err(|_| KINDS)?;
    match key.try_get_as_bytes() {
        Ok(der) if der.len() >= MIN_RSA_BYTES => Ok((Algorithm::RS256, key)),
        _ => Err("an RSA key must have at least 2048 bits"),
    }
}

fn validation(algorithm: Algorithm, rules: &Rules) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY.as_secs();
    validation.validate_nbf = true;
    validation.validate_aud = rules.audience.is_some();
    if let Some(audience) = &rules.audience {
        validation.set_audience(&[audience]);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    if let Some(issuer) = &rules.issuer {
        validation.set_issuer(&[issuer]);
        validation.required_spec_claims.insert("iss".to_owned());
    }
    validation
}

/// Why a token is not valid. The reasons have nothing of the token itself.
fn denial(error: &ErrorKind) -> Denial {
    match error {
        ErrorKind::InvalidAlgorithm => ALGORITHM,
        ErrorKind::InvalidSignature => SIGNATURE,
        ErrorKind::ExpiredSignature => Denial::ENDED,
        ErrorKind::ImmatureSignature => Denial::invalid("the token is not valid yet"),
        ErrorKind::InvalidAudience => Denial::invalid("the token is for another audience"),
        ErrorKind::InvalidIssuer => Denial::invalid("the token is from another issuer"),
        ErrorKind::MissingRequiredClaim(claim) => match &**claim {
            "aud" => Denial::invalid("the token names no audience"),
            "iss" => Denial::invalid("the token names no issuer"),
            _ => Denial::invalid("the token has no valid exp"),
        },
        ErrorKind::InvalidClaimFormat(_) => {
            Denial::invalid("a claim of the token has the wrong type")
        }
        _ => Denial::invalid("the token is not a JSON Web Token with valid claims"),
    }
}
