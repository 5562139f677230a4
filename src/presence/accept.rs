//! What the sender of a request would like to read (RFC 9110, section 12.5.1).

use townhall::Request;

/// Whether a request asks for JSON by name. One for a path that `is_page` must prefer it to HTML.
pub fn prefers_json(request: &Request<'_>, is_page: bool) -> bool {
    let json = quality(request, &["application/json"]);
    let html = quality(request, &["text/html", "text/*", "*/*"]);
    json > 0.0 && !(is_page && html >= json)
}

/// The weight of the first of these media ranges that the request names; 0 if it names none.
fn quality(request: &Request<'_>, ranges: &[&str]) -> f32 {
    ranges.iter().find_map(|range| weight(request, range)).unwrap_or(0.0)
}

fn weight(request: &Request<'_>, range: &str) -> Option<f32> {
    let values = request.header_values("Accept").filter_map(|value| str::from_utf8(value).ok());
    let mut items = values.flat_map(|value| value.split(','));
    items.find_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let is_range = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(range));
        is_range.then(|| parts.find_map(parse_weight).unwrap_or(1.0))
    })
}

/// The value of a parameter `q`. One that is not valid means that the range is not wanted.
fn parse_weight(parameter: &str) -> Option<f32> {
    let (name, value) = parameter.split_once('=')?;
    let valid = |weight: &f32| (0.0..=1.0).contains(weight);
    let weight = || value.trim().parse().ok().filter(valid).unwrap_or(0.0);
    name.trim().eq_ignore_ascii_case("q").then(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether JSON is preferred in a room, and on the page.
    fn prefers(accept: &str) -> [bool; 2] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{accept}\r\n");
        let request = Request::parse(head.as_bytes(), 10).unwrap();
        [false, true].map(|is_page| prefers_json(&request, is_page))
    }

    #[test]
    fn the_page_wins_unless_json_is_preferred() {
        for (accept, expected) in [
            ("", [false, false]),
            ("Accept: */*\r\n", [false, false]),
            ("Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n", [false, false]),
            ("Accept: application/json\r\n", [true, true]),
            ("Accept: Application/JSON; charset=utf-8 ; Q=0.5\r\n", [true, true]),
            ("Accept: text/plain, application/json, */*;q=0.5\r\n", [true, true]),
            ("Accept: text/plain\r\nAccept: application/json\r\n", [true, true]),
            ("Accept: application/json, text/*;q=0.9, text/html;q=0.1\r\n", [true, true]),
            ("Accept: application/json, text/html\r\n", [true, false]),
            ("Accept: application/json, */*\r\n", [true, false]),
            ("Accept: application/json;q=0.5, text/html\r\n", [true, false]),
            ("Accept: application/json;q=0\r\n", [false, false]),
            ("Accept: application/json;q=NaN\r\n", [false, false]),
            ("Accept: application/json;q=2\r\n", [false, false]),
            ("Accept: application/jsonp\r\n", [false, false]),
        ] {
            assert_eq!(prefers(accept), expected, "{accept}");
        }
    }
}
