use proptest::prelude::*;

use super::*;

impl From<End> for Framing {
    fn from(end: End) -> Self {
        Self::without_expectation(end)
    }
}

/// The outcome of a body that arrives in pieces of these sizes, and what follows it.
fn receive(bytes: &[u8], end: End, sizes: &[usize]) -> Outcome {
    let mut body = Body::new(b"head".to_vec(), Framing::from(end), 64, 64);
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    let mut sizes = sizes.iter().copied().chain(std::iter::repeat(usize::MAX));
    loop {
        let size = sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len().max(1)).min(rest.len());
        let (mut piece, behind) = mem::take(&mut rest).split_at_mut(size);
        match body.receive(&mut piece) {
            Ok(None) if behind.is_empty() => return Outcome::Incomplete,
            Ok(None) => assert!(piece.is_empty(), "all of it belongs to the body"),
            Ok(Some((head, body))) => {
                assert_eq!(head, b"head");
                return Outcome::Whole(body, piece.len() + behind.len());
            }
            Err(refusal) => return Outcome::Refused(refusal),
        }
        rest = behind;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Incomplete,
    /// The body, and the number of bytes that follow it.
    Whole(Vec<u8>, usize),
    Refused(Refusal),
}

fn chunked(bytes: &str) -> Outcome {
    receive(bytes.as_bytes(), End::Chunked, &[])
}

#[test]
fn a_body_with_a_length_ends_there() {
    let whole = |body: &[u8], rest| Outcome::Whole(body.to_vec(), rest);
    assert_eq!(receive(b"helloGET /", End::Length(5), &[]), whole(b"hello", 5));
    assert_eq!(receive(b"POST", End::Length(0), &[]), whole(b"", 4));
    assert_eq!(receive(b"hell", End::Length(5), &[]), Outcome::Incomplete);
}

#[test]
fn chunks_make_up_a_body_and_trailers_are_skipped() {
    let whole = |body: &str, rest| Outcome::Whole(body.into(), rest);
    assert_eq!(chunked("0\r\n\r\nGET"), whole("", 3));
    assert_eq!(chunked("5\r\nhello\r\n0\r\n\r\nGET"), whole("hello", 3));
    assert_eq!(
        chunked("A\r\n0123456789\r\n1;a=\"b;c\"\r\n\n\r\n000\r\n\r\n"),
        whole("0123456789\n", 0)
    );
    assert_eq!(chunked("1 ;a\r\nx\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n"), whole("x", 0));
}

#[test]
fn a_malformed_chunk_is_refused() {
    for bytes in [
        "\r\n",
        " \r\n",
        ";a\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhellos\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "+5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "-1\r\n",
        "5 5\r\nhello",
        "10000000000000000\r\n",
        "1;a\nb\r\nx",
        "1;a\rb\r\nx",
        "1;\0\r\nx",
        "g\r\n",
        "0\r\n\n",
        "0\r\nno field\r\n\r\n",
        "0\r\nfield\r\n\r\n",
        "5\r\nhellos\n",
        // Each of these is too long for its line, whatever follows.
        "5\r\nhellos\r\r",
        "0\r\nX: a\r\n b\r\n\r\n",
        "0\r\n: a\r\n\r\n",
    ] {
        assert_eq!(chunked(bytes), Outcome::Refused(MALFORMED_CHUNK), "{bytes:?}");
    }
}

#[test]
fn everything_that_is_not_limited_by_a_length_has_a_limit() {
    let too_long = Outcome::Refused(Refusal::BodyTooLong);
    for bytes in ["41\r\n", "fffffffffffffff\r\n", "ffffffffffffffff\r\n", "40\r\n"] {
        let fits = bytes == "40\r\n";
        assert_eq!(chunked(bytes) == too_long, !fits, "{bytes:?}");
    }
    let chunk = format!("40\r\n{}\r\n", "x".repeat(64));
    assert_eq!(chunked(&format!("{chunk}1\r\n")), too_long);
    assert_eq!(chunked(&format!("1;{}", "a".repeat(300))), Outcome::Refused(MALFORMED_CHUNK));
    let trailer = format!("0\r\n{}", "a:b\r\n".repeat(20));
    assert_eq!(chunked(&trailer), Outcome::Refused(Refusal::HeadTooLong));
}

#[test]
fn the_line_of_a_chunk_has_a_limit_of_its_own() {
    let mut body = Body::new(Vec::new(), End::Chunked.into(), 64, 1 << 20);
    let mut line = format!("1;{}", "a".repeat(MAX_CHUNK_LINE_BYTES - 2)).into_bytes();
    assert_eq!(body.receive(&mut &mut line[..]), Ok(None));
    assert!(body.held_bytes() >= line.len());
    assert_eq!(body.receive(&mut &mut b"a".to_owned()[..]), Err(MALFORMED_CHUNK));
}

/// The lines have 256 bytes at most.
#[test]
fn extensions_may_be_as_long_as_the_limit() {
    for (excess, fits) in [(0, true), (1, false)] {
        let mut body = Body::new(Vec::new(), End::Chunked.into(), 1 << 20, 64);
        let mut left = MAX_EXTENSION_BYTES + excess;
        let mut outcome = Ok(None);
        while left > 0 && outcome.is_ok() {
            let size = left.min(200);
            left -= size;
            let mut chunk = format!("0001{:;<size$}\r\nx\r\n", "").into_bytes();
            outcome = body.receive(&mut &mut chunk[..]);
        }
        assert_eq!(outcome.is_ok(), fits);
        assert_eq!(left, 0);
    }
}

#[test]
fn extensions_are_limited_over_all_chunks() {
    let mut body = Body::new(Vec::new(), End::Chunked.into(), 1 << 20, 64);
    let line = format!("1;{}\r\nx\r\n", "a".repeat(200)).into_bytes();
    let outcome = (0..1_000).find_map(|_| body.receive(&mut &mut line.clone()[..]).err());
    assert_eq!(outcome, Some(MALFORMED_CHUNK));
}

#[test]
fn memory_grows_with_what_has_arrived() {
    let mut body = Body::new(Vec::new(), End::Length(1 << 30).into(), 1 << 30, 0);
    assert_eq!(body.receive(&mut &mut b"hello".to_vec()[..]), Ok(None));
    assert!(body.held_bytes() < 100, "{}", body.held_bytes());
    assert_eq!(body.expected_bytes(), (1 << 30) - 5);
}

proptest! {
    #[test]
    fn the_pieces_in_which_a_body_arrives_do_not_matter(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..9), 0..6),
        noise in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        sizes in proptest::collection::vec(1_usize..7, 0..80),
    ) {
        let mut bytes = Vec::new();
        for chunk in &chunks {
            bytes.extend_from_slice(format!("{:x};e\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\nT: x\r\n\r\nnext");
        if let Some((at, byte)) = &noise {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let whole = receive(&bytes, End::Chunked, &[]);
        prop_assert_eq!(&receive(&bytes, End::Chunked, &sizes), &whole);
        if noise.is_none() {
            prop_assert_eq!(whole, Outcome::Whole(chunks.concat(), 4));
        }
    }
}
